"""B18, Python's own: the worked examples X01 to X04 on threads, processes and coroutines, against a real serial run.

The ideal is the longest of (serial time / CPUs that can take part) and the longest single item; see docs/benchmarks.md.
"""

import asyncio
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import peer
import work

WORKERS = 4
WAIT = 0.1
MILLION = 10**6

EXAMPLES = {
    "X01": (work.sum_of_squares, [(1, n * MILLION + 1) for n in (10, 20, 30, 40)],
            [333333383333335000000, 2666666866666670000000, 9000000450000005000000, 21333334133333340000000]),
    "X02": (work.count_primes, [(100_000,)] * 4, [9592] * 4),
    "X03": (work.sum_of_squares, [(0, n * MILLION) for n in (1, 2, 3, 10)],
            [333332833333500000, 2666664666667000000, 8999995500000500000, 333333283333335000000]),
}  # fmt: skip


def seconds_of(run, expected):
    start = time.perf_counter()
    results = run()
    elapsed = time.perf_counter() - start
    peer.require(results == expected, f"{results} instead of {expected}")
    return elapsed


def serial_seconds(function, arguments, expected):
    return [seconds_of(lambda one=one: function(*one), right) for one, right in zip(arguments, expected)]


def cpu_bound(options):
    function, arguments, expected = EXAMPLES[options.example]
    make = {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}[options.place]
    with make(WORKERS) as pool:
        list(pool.map(work.fetch, [0.05] * WORKERS))  # every worker is there before the clock starts
        items = serial_seconds(function, arguments, expected)
        columns = list(zip(*arguments))
        parallel = seconds_of(lambda: list(pool.map(function, *columns)), expected)
    ideal = max(sum(items) / min(WORKERS, len(options.cpus)), max(items))
    peer.show(ratio=ideal / parallel, seconds=parallel)


async def ten_sleeps():
    async def fetch():
        await asyncio.sleep(WAIT)
        return WAIT

    return list(await asyncio.gather(*(fetch() for _ in range(10))))


def waiting(options):
    threads = options.place == "threads"
    ideal = WAIT * 2 if threads else WAIT
    times = []
    for _ in range(3):
        if threads:
            with ThreadPoolExecutor(5) as pool:
                list(pool.map(work.fetch, [0.0] * 5))
                times.append(seconds_of(lambda: list(pool.map(work.fetch, [WAIT] * 10)), [WAIT] * 10))
        else:

            async def main():
                start = time.perf_counter()
                peer.require(await ten_sleeps() == [WAIT] * 10, "a wait was lost")
                return time.perf_counter() - start

            times.append(asyncio.run(main()))
    seconds = statistics.median(times)
    peer.show(ratio=ideal / seconds, seconds=seconds)


def main():
    options = peer.options()
    waiting(options) if options.example == "X04" else cpu_bound(options)


if __name__ == "__main__":
    main()
