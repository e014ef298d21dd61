"""What is asked: every measurement with its sides, figures, aims and limits. The ids and aims are those of docs/benchmarks.md.

A measurement is a set of sides that answer the same question in the same placement; its programs run in turn. One program
run may give several figures (p50 and p99).
"""

from dataclasses import dataclass
from typing import Callable, Optional

OURS = "fourfold"
LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Side:
    name: str
    program: str  # an executable of bench/, or a script of bench/peers/ if it ends in .py
    arguments: tuple = ()
    needs: tuple = ()  # Python modules
    floor: bool = False  # a limit to compare with, not a peer
    variant: bool = False  # fourfold in another mode than it comes, not a peer
    server: tuple = ()  # a program or script, with its arguments, that `program` starts and measures
    environment: tuple = ()  # pairs


@dataclass(frozen=True)
class Aim:
    text: str
    reached: Callable  # values by side -> bool


@dataclass(frozen=True)
class Figure:
    name: str
    metric: str
    title: str
    unit: str
    better: str
    aims: tuple = ()
    limit: object = None  # the name of a side, or a number


@dataclass(frozen=True)
class Measurement:
    sides: tuple
    figures: tuple
    placement: str = "free"  # one_cpu, same_cpu, across, spinning, free
    arguments: tuple = ()
    about: str = ""

    @property
    def name(self):
        return self.figures[0].name


def at_most(value, unit):
    return Aim(f"≤ {value:,} {unit}", lambda values: values[OURS] <= value)


def at_least(value, unit, text=None):
    return Aim(text or f"≥ {value:,} {unit}", lambda values: values[OURS] >= value)


def within(factor, peer):
    return Aim(f"≤ {factor} × {peer}", lambda values: values[OURS] <= factor * values[peer])


def at_least_times(factor, peer, side=OURS):
    """For a figure where higher is better."""
    text = f"≥ {factor} × {peer}" if factor != 1 else f"≥ {peer}"
    where = f" ({side.removeprefix(OURS).strip()})" if side != OURS else ""
    return Aim(text + where, lambda values: values[side] >= factor * values[peer])


def times_faster(factor, what, peers):
    """For a figure where lower is better: than every one of `peers`."""
    return Aim(f"≥ {factor} × {what}", lambda values: min(values[peer] for peer in peers) >= factor * values[OURS])


def ours(program, *arguments):
    return Side(OURS, program, arguments)


ASYNCIO = ("--loop", "asyncio")
UVLOOP = ("--loop", "uvloop")

B01 = Measurement(
    sides=(
        ours("b01_yield"),
        Side("asio", "asio_b01_yield"),
        Side("asio thread-safe", "asio_b01_yield_thread_safe"),
        Side("asyncio", "asyncio_b01_yield.py", ASYNCIO),
        Side("uvloop", "asyncio_b01_yield.py", UVLOOP, needs=("uvloop",)),
        Side("two vectors of handles", "floor_b01_yield", floor=True),
    ),
    figures=(
        Figure("B01", "ns", "yield through the loop, 200 tasks", "ns", LOWER,
               (at_most(10, "ns"), times_faster(8, "asio", ["asio"])), limit="two vectors of handles"),
    ),
    placement="one_cpu",
)  # fmt: skip

B02 = Measurement(
    sides=(ours("b02_await_ready"), Side("asio", "asio_b02_await_ready")),
    figures=(Figure("B02", "ns", "await a child task that is ready", "ns", LOWER, (at_most(5, "ns"),)),),
    placement="one_cpu",
)

B03 = Measurement(
    sides=(
        ours("b03_spawn_join"),
        Side("asio", "asio_b03_spawn_join"),
        Side("asio thread-safe", "asio_b03_spawn_join_thread_safe"),
        Side("asyncio", "asyncio_b03_spawn_join.py", ASYNCIO),
        Side("uvloop", "asyncio_b03_spawn_join.py", UVLOOP, needs=("uvloop",)),
    ),
    figures=(Figure("B03", "ns", "spawn into a group and join, per child", "ns", LOWER, (at_most(80, "ns"),)),),
    placement="one_cpu",
)

B04 = Measurement(
    sides=(
        ours("b04_sleeping_tasks"),
        Side("asio", "asio_b04_sleeping_tasks"),
        Side("asyncio", "asyncio_b04_sleeping_tasks.py", ASYNCIO),
        Side("threads (10,000)", "threads_b04_sleeping_tasks"),
    ),
    figures=(
        Figure("B04", "bytes", "resident memory per task asleep, 1,000,000 of them", "B", LOWER, (at_most(200, "B"),),
               limit=96),
    ),
    placement="one_cpu",
)  # fmt: skip

B05 = Measurement(
    sides=(
        ours("b05_timers"),
        Side("asio", "asio_b05_timers"),
        Side("libuv", "libuv_b05_timers"),
        Side("asyncio", "asyncio_b05_timers.py", ASYNCIO),
    ),
    figures=(
        Figure("B05.arm_fire", "arm_fire", "a million timers, armed and fired, per timer", "ns", LOWER,
               (at_most(150, "ns"),)),
        Figure("B05.arm_cancel", "arm_cancel", "a million timers, armed and cancelled, per timer", "ns", LOWER,
               (at_most(50, "ns"),)),
    ),
    placement="one_cpu",
)  # fmt: skip

B06 = Measurement(
    sides=(
        ours("b06_posts"),
        Side("asio", "asio_b06_posts"),
        Side("libuv", "libuv_b06_posts"),
        Side("asyncio", "asyncio_b06_posts.py", ASYNCIO),
        Side("uvloop", "asyncio_b06_posts.py", UVLOOP, needs=("uvloop",)),
    ),
    figures=(
        Figure("B06", "posts", "posts of two threads to one running loop", "1/s", HIGHER,
               (at_least(10_000_000, "1/s"),)),
    ),
    about="three threads",
)  # fmt: skip

QUEUES = ("std", "tbb", "moodycamel")


def b07_locks(name, threads, placement, about):
    def figure(lock):
        text = f"{lock.replace('_', ' ')}, {about}, locked and unlocked"
        aims = (times_faster(1, "std", ["std"]),) if threads == 1 else ()
        return Figure(f"B07.{lock}{name}", lock, text, "ns", LOWER, aims)

    return Measurement(
        sides=(ours("b07_locks"), Side("std", "std_b07_locks")),
        figures=(figure("mutex"), figure("recursive_mutex"), figure("semaphore")),
        placement=placement,
        arguments=("--threads", str(threads)),
        about=about,
    )


def b07_queue(name, threads, placement, about):
    return Measurement(
        sides=(ours("b07_queue"), *(Side(peer, f"{peer}_b07_queue") for peer in QUEUES)),
        figures=(
            Figure(f"B07.queue{name}", "queue", f"queue, {about}, per item", "ns", LOWER,
                   (times_faster(1, "the best peer", QUEUES),)),
        ),
        placement=placement,
        arguments=("--threads", str(threads)),
        about=about,
    )  # fmt: skip


def b07_coroutines(name, coroutines, about):
    return Measurement(
        sides=(ours("b07_coroutines"),),
        figures=tuple(
            Figure(f"B07.{metric}.coroutines{name}", metric, f"{metric}, {about}", "ns", LOWER)
            for metric in ("mutex", "semaphore", "queue")
        ),
        placement="one_cpu",
        arguments=("--threads", str(coroutines)),
        about=about,
    )


B07 = (
    b07_locks("", 1, "one_cpu", "one thread"),
    b07_locks(".contended", 2, "free", "two threads on as many CPUs as there are"),
    b07_queue("", 1, "one_cpu", "one thread"),
    b07_queue(".contended", 2, "free", "two producers and two consumers"),
    b07_coroutines("", 1, "one coroutine"),
    b07_coroutines(".contended", 2, "two coroutines of one loop that take turns"),
)

THREAD_POOLS = (
    ours("b08_thread_pool"),
    Side("asio", "asio_b08_thread_pool"),
    Side("tbb", "tbb_b08_thread_pool"),
    Side("ThreadPoolExecutor", "python_b08_thread_pool.py"),
)


def b08_round_trip(placement):
    figure = Figure(f"B08.roundtrip.{placement}", "ns", "thread pool, submit and get one at a time", "ns", LOWER)
    return Measurement(THREAD_POOLS, (figure,), placement)


B08 = (
    Measurement(
        THREAD_POOLS,
        (Figure("B08", "ns", "thread pool, submit 1000 and get all, per call", "ns", LOWER, (at_most(150, "ns"),)),),
        about="one worker a CPU",
    ),
    b08_round_trip("same_cpu"),
    b08_round_trip("across"),
)

B09 = Measurement(
    sides=(ours("b09_fork_join"), Side("tbb", "tbb_b09_fork_join"), Side("openmp", "openmp_b09_fork_join")),
    figures=(
        Figure("B09.fib", "fib", "fib(30) without a cut-off, per fork", "ns", LOWER, (times_faster(2, "tbb", ["tbb"]),)),
        Figure("B09.skynet", "skynet", "a tree of a million leaves, ten children each", "ms", LOWER),
        Figure("B09.loop", "loop", "a loop over ten million tiny bodies", "ms", LOWER, (within(1.05, "openmp"),)),
    ),
    about="one thread a CPU, the caller among them",
)  # fmt: skip

FLOORS = (
    Side("futex", "futex_b10_round_trip"),
    Side("pipe", "pipe_b10_round_trip"),
    Side("eventfd", "eventfd_b10_round_trip"),
)
PYTHON_CALLS = (
    Side("ProcessPoolExecutor", "python_b10_round_trip.py", ("--pool", "executor")),
    Side("Pool.apply", "python_b10_round_trip.py", ("--pool", "pool")),
    Side("loky", "python_b10_round_trip.py", ("--pool", "loky"), needs=("joblib.externals.loky",)),
)


def b10_round_trip(placement, name, floors, python, ours_waits):
    aims = []
    if floors:
        aims.append(within(1.5, "futex"))
    if python:
        aims.append(times_faster(20, "Python", [side.name for side in python]))
    figures = tuple(
        Figure(f"B10.{name}.{metric}", metric, f"process pool, no-op round trip, {metric}", "µs", LOWER, tuple(aims),
               limit="futex" if floors else None)
        for metric in ("p50", "p99")
    )  # fmt: skip
    about = f"one warm worker; {ours_waits}"
    return Measurement((ours("b10_process_round_trip"), *floors, *python), figures, placement, about=about)


B10 = (
    b10_round_trip("same_cpu", "same_cpu", FLOORS, PYTHON_CALLS, "fourfold parks at once"),
    b10_round_trip("across", "across", FLOORS, PYTHON_CALLS, "fourfold parks at once"),
    b10_round_trip("spinning", "spinning", FLOORS[:1], (), "no side parks"),
    b10_round_trip("free", "default", (), PYTHON_CALLS, "fourfold as it comes"),
)

B11 = Measurement(
    sides=(
        ours("b11_process_throughput"),
        Side("ProcessPoolExecutor", "python_b11_throughput.py", ("--pool", "executor")),
        Side("Pool", "python_b11_throughput.py", ("--pool", "pool")),
        Side("loky", "python_b11_throughput.py", ("--pool", "loky"), needs=("joblib.externals.loky",)),
    ),
    figures=(
        Figure("B11.submits", "submits", "process pool, 100,000 submits of a no-op", "1/s", HIGHER,
               (at_least(500_000, "1/s"),)),
        Figure("B11.map", "items", "process pool, map over 1,000,000 tiny items", "1/s", HIGHER,
               (at_least(50_000_000, "1/s"),)),
    ),
    about="one worker a CPU",
)  # fmt: skip


B12 = Measurement(
    sides=(
        ours("b12_large_arrays"),
        Side("memcpy", "memcpy_b12_large_arrays", floor=True),
        Side("ProcessPoolExecutor", "python_b12_large_arrays.py", needs=("numpy",)),
    ),
    figures=(
        Figure("B12", "milliseconds", "512 MiB to a worker process and back, beyond writing them", "ms", LOWER,
               (at_most(1, "ms"),)),
    ),
    about="memcpy: one copy within a process, for comparison; Fourfold makes none",
)  # fmt: skip

B13 = Measurement(
    sides=(
        ours("b13_process_queue"),
        Side("ring", "ring_b13_process_queue", floor=True),
        Side("pipe", "pipe_b13_process_queue"),
        Side("mp.Queue", "python_b13_process_queue.py"),
    ),
    figures=(
        Figure("B13", "messages", "messages of 64 B from one process to another through a queue", "1/s", HIGHER,
               (at_least(10_000_000, "1/s"),), limit="ring"),
    ),
    placement="across",
)  # fmt: skip
START_PEERS = (
    Side("fork + exit", "fork_b14_worker_start", floor=True),
    Side("Python fork", "python_b14_worker_start.py", ("--place", "fork")),
    Side("Python forkserver", "python_b14_worker_start.py", ("--place", "forkserver")),
    Side("Python spawn", "python_b14_worker_start.py", ("--place", "spawn")),
)


def b14_worker_start(name, sides, aim, about):
    figures = (
        Figure(f"B14.{name}.pool", "pool", "until a pool of 2 has run one task", "ms", LOWER, aim, limit="fork + exit"),
        Figure(f"B14.{name}.recycle", "recycle", "until the next worker has run one task", "ms", LOWER, aim,
               limit="fork + exit"),
    )  # fmt: skip
    return Measurement((*sides, *START_PEERS), figures, about=about)


B14 = (
    b14_worker_start(
        "template",
        (ours("b14_worker_start", "--place", "template"),
         Side(f"{OURS}, first pool", "b14_worker_start", ("--place", "first"), variant=True)),
        (at_most(2, "ms"),), "forked from the template, which is there"),
    b14_worker_start("fresh", (ours("b14_worker_start", "--place", "fresh"),), (at_most(10, "ms"),), "fresh execution"),
)  # fmt: skip


EPOLL = f"{OURS} epoll"


def served(name, program, *arguments, **more):
    """An echo server, measured by the load that all of them share."""
    return Side(name, "echo_load", server=(program, *arguments), **more)


ECHO_SERVERS = (
    served(OURS, "b15_tcp_echo"),
    served(EPOLL, "b15_tcp_echo", variant=True, environment=(("FOURFOLD_REACTOR", "epoll"),)),
    served("raw epoll", "epoll_b15_tcp_echo"),
    served("raw io_uring", "uring_b15_tcp_echo"),
    served("libuv", "libuv_b15_tcp_echo"),
    served("asio", "asio_b15_tcp_echo"),
    served("asio coroutines", "asio_b15_tcp_echo_coroutines"),
    served("asyncio", "asyncio_b15_tcp_echo.py", *ASYNCIO),
    served("uvloop", "asyncio_b15_tcp_echo.py", *UVLOOP, needs=("uvloop",)),
)
ECHO_PLACES = "the server on the first, the load, which never sleeps, on the last"


def b15_ping_pong(connections):
    text = f"TCP echo, 64 B, {connections:,} connection{'s' if connections > 1 else ''}"
    aims = (at_least_times(1, "raw epoll"), at_least_times(0.95, "raw epoll", EPOLL), at_least_times(1, "libuv"))
    figures = [
        Figure(f"B15.{connections}", "requests", f"{text}, requests", "1/s", HIGHER, aims),
        Figure(f"B15.{connections}.p99", "p99", f"{text}, p99 of the round trip", "µs", LOWER),
        Figure(f"B15.{connections}.cpu", "cpu", f"{text}, CPU time of the server per request", "ns", LOWER),
    ]
    if connections >= 1000:  # below, it is less than what malloc takes from the kernel at once
        figures.append(Figure(f"B15.{connections}.memory", "memory", f"{text}, memory per connection", "B", LOWER))
    arguments = ("--connections", str(connections), "--size", "64", "--window", "1", "--buffer", "1024")
    return Measurement(ECHO_SERVERS, tuple(figures), "across", arguments, ECHO_PLACES)


B15 = tuple(b15_ping_pong(connections) for connections in (1, 100, 1000, 10_000))


def b16_stream(connections):
    text = f"TCP echo, a stream of 64 KiB messages, {connections} connection{'s' if connections > 1 else ''}"
    figures = (
        Figure(f"B16.{connections}", "megabytes", text, "MB/s", HIGHER,
               (at_least_times(1, "libuv"), at_least_times(1, "libuv", EPOLL))),
        Figure(f"B16.{connections}.cpu", "cpu", f"{text}, CPU time of the server per message", "ns", LOWER),
    )  # fmt: skip
    # As much as asyncio and uvloop receive at once: this decides how many system calls there are.
    arguments = ("--connections", str(connections), "--size", "65536", "--window", "8", "--buffer", str(256 * 1024))
    return Measurement(ECHO_SERVERS, figures, "across", arguments, ECHO_PLACES)


B16 = (b16_stream(1), b16_stream(10))


def b18_example(example, place, peer, about):
    arguments = ("--example", example, "--place", place)
    return Measurement(
        sides=(ours("b18_worked_examples"), Side(peer, "python_b18_worked_examples.py")),
        figures=(
            Figure(f"B18.{example}.{place}", "ratio", f"{example} on {place}, ideal time / time", "ratio", HIGHER,
                   (at_least(0.97, "", "≥ 0.97 × ideal"),), limit=1.0),
            Figure(f"B18.{example}.{place}.seconds", "seconds", f"{example} on {place}, wall time", "s", LOWER),
        ),
        arguments=arguments,
        about=about,
    )  # fmt: skip


B18 = tuple(
    b18_example(example, place, peer, "four workers")
    for example in ("X01", "X02", "X03")
    for place, peer in (("threads", "ThreadPoolExecutor"), ("processes", "ProcessPoolExecutor"))
) + (
    b18_example("X04", "threads", "ThreadPoolExecutor", "five workers"),
    b18_example("X04", "coroutines", "asyncio", "one loop"),
)

B19 = Measurement(
    sides=(
        ours("b19_hybrid", "--place", "shares"),
        Side(f"{OURS}, 10,000 calls", "b19_hybrid", ("--place", "calls"), variant=True),
        Side("asyncio in processes", "python_b19_hybrid.py", ("--place", "processes")),
        Side("1000 threads", "python_b19_hybrid.py", ("--place", "threads")),
    ),
    figures=(
        Figure("B19", "ratio", "10,000 coroutines of 10 ms wait + 0.1 ms computing, ideal time / time", "ratio", HIGHER,
               (at_least(0.95, "", "≥ 0.95 × ideal"),), limit=1.0),
        Figure("B19.seconds", "seconds", "the same, wall time", "s", LOWER),
    ),
    about="two worker processes",
)  # fmt: skip


WATCHED = f"{OURS} watched"
WATCHING = (("FOURFOLD_DEADLOCKS", "report"),)


def b20_watched(figure, unwatched, watched, placement, *arguments, about=""):
    """What deadlock detection costs a program of an id above."""
    better = figure.better
    twice = Aim("watched ≤ 2 × unwatched", lambda values: values[WATCHED] <= 2 * values[OURS] if better == LOWER
                else 2 * values[WATCHED] >= values[OURS])  # fmt: skip
    name = "B20." + figure.name.removesuffix(".p50")
    figure = Figure(name, figure.metric, f"{figure.title}, with and without deadlock detection", figure.unit, better, (twice,))
    return Measurement((unwatched, watched), (figure,), placement, arguments, about)


def b20_program(program, measurement):
    watched = Side(WATCHED, program, variant=True, environment=WATCHING)
    return b20_watched(measurement.figures[0], ours(program), watched, measurement.placement, about=measurement.about)


B20 = (
    b20_program("b01_yield", B01),
    b20_program("b08_thread_pool", B08[0]),
    b20_program("b10_process_round_trip", B10[0]),
    b20_watched(B15[1].figures[0], served(OURS, "b15_tcp_echo"),
                served(WATCHED, "b15_tcp_echo", variant=True, environment=WATCHING),
                "across", *B15[1].arguments, about=ECHO_PLACES),
)  # fmt: skip


def size(metric, aims=()):
    title = "frame of a leaf coroutine" if metric == "leaf" else f"one {metric}"
    return Figure(f"B21.{metric}", metric, title, "B", LOWER, aims)


SIZES = ours("b21_sizes")
LIKE_STD = ("mutex", "recursive_mutex", "semaphore", "condition", "barrier", "latch", "future", "promise")
ALONE = ("task", "task_group", "ip_endpoint", "event", "queue", "priority_queue", "cancellation_source", "cancellation_token", "global_lock",
         "thread_pool", "process_pool")  # fmt: skip


def hello(name, source, program, **more):
    return Side(name, "compile_b21_hello.py", ("--source", source), server=(program,), **more)


B21 = (
    Measurement((SIZES, Side("asio", "asio_b21_sizes")), (size("leaf", (at_most(64, "B"),)),), "one_cpu"),
    Measurement((SIZES, Side("asio", "asio_b21_sizes"), Side("libuv", "libuv_b21_sizes")),
                (size("loop"), size("tcp_stream"), size("tcp_listener")), "one_cpu"),
    Measurement((SIZES, Side("std", "std_b21_sizes")),
                tuple(map(size, LIKE_STD)), "one_cpu"),
    Measurement((SIZES,), tuple(map(size, ALONE)), "one_cpu"),
    Measurement(
        sides=(
            hello(OURS, "b21_hello.cpp", "b21_hello"),
            hello(f"{OURS} umbrella", "b21_hello_umbrella.cpp", "b21_hello_umbrella", variant=True),
            hello("asio", "peers/asio_b21_hello.cpp", "asio_b21_hello"),
            hello("libuv", "peers/libuv_b21_hello.cpp", "libuv_b21_hello"),
        ),
        figures=(
            Figure("B21.compile", "seconds", "a hello-world compiled at -O0", "s", LOWER, (at_most(1.0, "s"),)),
            Figure("B21.binary", "kilobytes", "the same optimised, linked and stripped", "kB", LOWER),
        ),
        placement="one_cpu",
    ),
)  # fmt: skip

ALL = (B01, B02, B03, B04, B05, B06, *B07, *B08, B09, *B10, B11, B12, B13, *B14, *B15, *B16, *B18, B19, *B20, *B21)


def ids():
    return sorted({figure.name.split(".")[0] for one in ALL for figure in one.figures})


def selected(names: Optional[list]):
    """The measurements for `names`: ids (B10), parts (B10.across) or figures (B10.across.p50); all for none."""
    if not names:
        return list(ALL)
    for name in names:
        if not any(_asks_for(name, one) for one in ALL):
            raise KeyError(name)
    return [one for one in ALL if any(_asks_for(name, one) for name in names)]


def _asks_for(name, measurement):
    return any(figure.name == name or figure.name.startswith(name + ".") for figure in measurement.figures)
