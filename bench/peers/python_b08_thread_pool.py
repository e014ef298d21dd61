"""B08, Python's ThreadPoolExecutor: 1000 submitted, then all fetched; pinned, one at a time."""

from concurrent.futures import ThreadPoolExecutor

import peer
import work

BATCH = 1000


def pipelined(options):
    with ThreadPoolExecutor(len(options.cpus)) as pool:

        def body(count):
            total = 0
            for _ in range(count // BATCH):
                futures = [pool.submit(work.following, i) for i in range(BATCH)]
                total += sum(future.result() for future in futures)
            peer.require(total == count // BATCH * (BATCH * (BATCH + 1) // 2), "a call was lost")

        return peer.nanoseconds_per_unit(options.seconds, body, BATCH)


def one_at_a_time(options):
    peer.pin_thread(options.first_cpu)
    with ThreadPoolExecutor(1, initializer=peer.pin_thread, initargs=(options.second_cpu,)) as pool:

        def body(count):
            value = 0
            for _ in range(count):
                value = pool.submit(work.following, value).result()
            peer.require(value == count, "a call was lost")

        return peer.nanoseconds_per_unit(options.seconds, body)


def main():
    options = peer.options()
    peer.show(ns=one_at_a_time(options) if options.pinned else pipelined(options))


main()
