"""B10, Python's process pools: one call of a no-op in a warm worker, there and back."""

import peer
import python_pools
import work


def main():
    options = peer.options()
    if options.pinned:
        peer.pin_thread(options.first_cpu)
        pool = python_pools.POOLS[options.pool](1, peer.pin_process, (options.second_cpu,))
    else:
        pool = python_pools.POOLS[options.pool](1)

    def trip(i):
        peer.require(pool.submit_and_get(work.following, i) == i + 1, "the worker gave another answer")

    times = peer.round_trips(options.seconds, trip)
    pool.close()
    peer.show(p50=peer.percentile(times, 0.50) / 1000, p99=peer.percentile(times, 0.99) / 1000)


if __name__ == "__main__":
    main()
