"""B01, asyncio and uvloop: 200 tasks, each `await asyncio.sleep(0)`, the documented way to yield."""

import asyncio

import peer

TASKS = 200


async def take_turns(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns


async def all_turns(turns):
    return sum(await asyncio.gather(*(take_turns(turns) for _ in range(TASKS))))


def main():
    options = peer.options()
    peer.pin_thread(options.first_cpu)

    def body(count):
        peer.require(peer.run_loop(options.loop, all_turns(count // TASKS)) == count, "not every task took every turn")

    peer.show(ns=peer.nanoseconds_per_unit(options.seconds, body, TASKS))


main()
