"""B19, Python: 10,000 times a wait of 10 ms and 0.1 ms of computing, in two processes with an asyncio loop each (what
aiomultiprocess does, written by hand so that nothing of it is counted), or on 1000 threads. Against the computing in a row.
"""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import peer
import work

WORKERS = 2
CALLS = 10_000
WAIT = 0.01
THREADS = 1000


async def share(size, count):
    async def one():
        await asyncio.sleep(WAIT)
        return work.sum_of_squares(0, size)

    return set(await asyncio.gather(*(one() for _ in range(count))))


def in_a_loop(size, count):
    return asyncio.run(share(size, count))


def on_a_thread(size):
    time.sleep(WAIT)
    return work.sum_of_squares(0, size)


def processes(pool, size):
    shares = [pool.submit(in_a_loop, size, CALLS // WORKERS) for _ in range(WORKERS)]
    return set().union(*(one.result() for one in shares))


def threads(pool, size):
    return set(pool.map(on_a_thread, [size] * CALLS))


def main():
    options = peer.options()
    in_threads = options.place == "threads"
    per_step = peer.nanoseconds_per_unit(0.1, lambda count: work.sum_of_squares(0, count))
    size = int(1e5 / per_step)
    expected = {work.sum_of_squares(0, size)}
    make, run = (ThreadPoolExecutor, threads) if in_threads else (ProcessPoolExecutor, processes)
    with make(THREADS if in_threads else WORKERS) as pool:
        run(pool, 1)
        start = time.perf_counter()
        for _ in range(CALLS):
            work.sum_of_squares(0, size)
        row = time.perf_counter() - start
        start = time.perf_counter()
        results = run(pool, size)
        seconds = time.perf_counter() - start
    peer.require(results == expected, f"{results} instead of {expected}")
    peer.show(ratio=(row / min(WORKERS, len(options.cpus)) + WAIT) / seconds, seconds=seconds)


if __name__ == "__main__":
    main()
