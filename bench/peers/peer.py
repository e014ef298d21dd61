"""What every Python peer shares: the same options, stopwatch and result line as support/measure.hpp."""

import argparse
import json
import math
import os
import sys
import time


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--placement", default="free", choices=["free", "same_cpu", "across"])
    parser.add_argument("--cpus", type=lambda text: [int(one) for one in text.split(",")],
                        default=sorted(os.sched_getaffinity(0)))
    parser.add_argument("--loop", default="asyncio", choices=["asyncio", "uvloop"])
    parser.add_argument("--pool", default="")
    parser.add_argument("--example", default="")
    parser.add_argument("--place", default="")
    parser.add_argument("--buffer", type=int, default=1024)  # of the echo servers; a Protocol has none of its own
    parser.add_argument("--source", default="")  # B21
    parser.add_argument("command", nargs="*")  # behind "--"
    result = parser.parse_args()
    result.pinned = result.placement != "free"
    result.first_cpu = result.cpus[0]
    result.second_cpu = result.cpus[0] if result.placement == "same_cpu" else result.cpus[-1]
    return result


def pin_thread(cpu):
    """Threads and processes started afterwards by this thread inherit it."""
    os.sched_setaffinity(0, {cpu})


def pin_process(cpu):
    """Every thread this process has now."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {cpu})


def require(condition, text):
    if not condition:
        sys.exit("wrong result: " + text)


def run_loop(which, main):
    import asyncio

    if which == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    return asyncio.run(main)


def nanoseconds_per_unit(seconds, body, granularity=1):
    """Finds how many units fill `seconds`, which also warms up, then measures once with that many."""
    count = granularity
    while True:
        start = time.perf_counter_ns()
        body(count)
        elapsed = time.perf_counter_ns() - start
        if elapsed >= seconds * 1e9 / 8:
            break
        count *= 2
    count = (int(count * seconds * 1e9 / elapsed) // granularity + 1) * granularity
    start = time.perf_counter_ns()
    body(count)
    return (time.perf_counter_ns() - start) / count


def round_trips(seconds, trip):
    """Times of single round trips in nanoseconds, after an eighth of `seconds` as warm-up."""
    i = 0
    start = time.perf_counter_ns()
    while time.perf_counter_ns() - start < seconds * 1e9 / 8:
        trip(i)
        i += 1
    times = []
    begin = start = time.perf_counter_ns()
    while start - begin < seconds * 1e9:
        trip(i)
        end = time.perf_counter_ns()
        times.append(end - start)
        start = end
        i += 1
    return times


def percentile(values, fraction):
    """Nearest rank: a time that was really seen."""
    return sorted(values)[max(math.ceil(fraction * len(values)) - 1, 0)]


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def show(**metrics):
    print(json.dumps(metrics), flush=True)
