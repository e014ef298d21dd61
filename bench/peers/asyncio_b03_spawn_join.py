"""B03, asyncio and uvloop: 1000 children spawned into an asyncio.TaskGroup, then the next thousand."""

import asyncio

import peer

CHILDREN = 1000


async def child(ran):
    ran[0] += 1


async def groups(count):
    ran = [0]
    for _ in range(count):
        async with asyncio.TaskGroup() as group:
            for _ in range(CHILDREN):
                group.create_task(child(ran))
    return ran[0]


def main():
    options = peer.options()
    peer.pin_thread(options.first_cpu)

    def body(count):
        peer.require(peer.run_loop(options.loop, groups(count // CHILDREN)) == count, "not every child ran")

    peer.show(ns=peer.nanoseconds_per_unit(options.seconds, body, CHILDREN))


main()
