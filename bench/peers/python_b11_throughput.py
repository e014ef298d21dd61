"""B11, Python's process pools: calls of a no-op a second, and tiny items a second through map."""

import time

import peer
import python_pools
import work

ITEMS = 1_000_000


def main():
    options = peer.options()
    pool = python_pools.POOLS[options.pool](len(options.cpus))
    pool.throughput(work.following, 200)  # the workers are there and warm

    count = options.count or 100_000
    start = time.perf_counter()
    total = pool.throughput(work.following, count)
    submits = count / (time.perf_counter() - start)
    peer.require(total == count * (count + 1) // 2, "a call was lost")

    inputs = list(range(ITEMS))
    start = time.perf_counter()
    results = pool.mapped(work.following, inputs)
    items = ITEMS / (time.perf_counter() - start)
    peer.require(results == list(range(1, ITEMS + 1)), "map is out of order")

    pool.close()
    peer.show(submits=submits, items=items)


if __name__ == "__main__":
    main()
