"""B06, asyncio and uvloop: two threads, loop.call_soon_threadsafe; at most 100,000 callbacks on their way."""

import asyncio
import threading
import time

import peer

THREADS = 2
OUTSTANDING = 100_000
SHARE = OUTSTANDING // THREADS
STEP = SHARE // 50


async def receive(count):
    loop = asyncio.get_running_loop()
    all_ended = loop.create_future()
    ran = [0] * THREADS
    ended = 0

    def thread_ended():
        nonlocal ended
        ended += 1
        if ended == THREADS:
            all_ended.set_result(None)

    def produce(index):
        def posted():
            ran[index] += 1

        post = loop.call_soon_threadsafe
        for i in range(count // THREADS):
            if i % STEP == 0:
                while i - ran[index] > SHARE - STEP:
                    time.sleep(0)
            post(posted)
        post(thread_ended)

    threads = [threading.Thread(target=produce, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    await all_ended
    for thread in threads:
        thread.join()
    return sum(ran)


def main():
    options = peer.options()

    def body(count):
        peer.require(peer.run_loop(options.loop, receive(count)) == count, "not every callback ran")

    peer.show(posts=1e9 / peer.nanoseconds_per_unit(options.seconds, body, THREADS))


main()
