"""B04, asyncio: a million tasks in `asyncio.sleep`, without a coroutine of ours around it: the leanest form there is."""

import asyncio
import gc
import os

import peer


async def fill(count):
    before = peer.resident_bytes()
    tasks = []
    for i in range(count):
        tasks.append(asyncio.create_task(asyncio.sleep(3600 + i * 1e-6)))  # documented: keep a reference
        if i % 1000 == 999:
            await asyncio.sleep(0)  # what has not started yet would be counted twice
    await asyncio.sleep(0)
    after = peer.resident_bytes()
    peer.require(len(asyncio.all_tasks()) == count + 1, "not every task is asleep")
    peer.show(bytes=(after - before) / count)
    os._exit(0)  # tearing a million tasks down is another question


def main():
    options = peer.options()
    peer.pin_thread(options.first_cpu)
    gc.disable()  # nothing here is garbage; looking for it takes most of the time and none of the memory
    peer.run_loop(options.loop, fill(options.count or 1_000_000))


main()
