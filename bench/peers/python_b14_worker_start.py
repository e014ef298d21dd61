"""B14, Python's start methods: until a pool of two has run its first task, and until the next worker has run one."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import peer
import work


def first_result(context):
    start = time.perf_counter_ns()
    pool = ProcessPoolExecutor(2, mp_context=context)
    peer.require(pool.submit(work.following, 41).result() == 42, "the worker gave another answer")
    took = time.perf_counter_ns() - start
    pool.shutdown()
    return took


def median_of_many(seconds, once):
    once()
    times = []
    begin = time.perf_counter_ns()
    while time.perf_counter_ns() - begin < seconds * 1e9 / 2 or len(times) < 3:
        times.append(once())
    return peer.percentile(times, 0.5) / 1e6


def main():
    options = peer.options()
    context = multiprocessing.get_context(options.place)
    pool = median_of_many(options.seconds, lambda: first_result(context))
    with context.Pool(1, maxtasksperchild=1) as recycled:

        def next_worker():
            start = time.perf_counter_ns()
            peer.require(recycled.apply(work.following, (41,)) == 42, "the worker gave another answer")
            return time.perf_counter_ns() - start

        recycle = median_of_many(options.seconds, next_worker)
    peer.show(pool=pool, recycle=recycle)


if __name__ == "__main__":
    main()
