"""B05, asyncio: loop.call_at, and TimerHandle.cancel; the same ends as on the other sides, within a second."""

import asyncio
import gc
import random
import time

import peer

SPAN = 1.0


async def arm_and_fire(ends):
    loop = asyncio.get_running_loop()
    left = len(ends)
    all_fired = loop.create_future()

    def fired():
        nonlocal left
        left -= 1
        if left == 0:
            all_fired.set_result(None)

    start = time.perf_counter_ns()
    now = loop.time()
    for end in ends:
        loop.call_at(now + end, fired)
    elapsed = time.perf_counter_ns() - start
    time.sleep(SPAN)  # not asyncio's: all are to be due at once
    due = time.perf_counter_ns()
    await all_fired
    return (elapsed + time.perf_counter_ns() - due) / len(ends)


async def arm_and_cancel(ends):
    loop = asyncio.get_running_loop()

    def fired():
        peer.require(False, "a cancelled timer fired")

    start = time.perf_counter_ns()
    now = loop.time()
    handles = [loop.call_at(now + end, fired) for end in ends]
    for handle in handles:
        handle.cancel()
    await asyncio.sleep(0)  # the loop throws out the cancelled ones when it runs
    elapsed = time.perf_counter_ns() - start
    peer.require(all(handle.cancelled() for handle in handles), "not every timer was cancelled")
    return elapsed / len(ends)


def main():
    options = peer.options()
    peer.pin_thread(options.first_cpu)
    gc.disable()  # nothing here is garbage that it would have to find
    numbers = random.Random(5)
    ends = [numbers.random() * SPAN for _ in range(options.count or 1_000_000)]
    cancel = peer.run_loop(options.loop, arm_and_cancel(ends))
    fire = peer.run_loop(options.loop, arm_and_fire(ends))
    peer.show(arm_fire=fire, arm_cancel=cancel)


main()
