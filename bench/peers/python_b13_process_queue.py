"""B13, Python's multiprocessing.Queue: messages of 64 bytes a second from one process to another."""

import multiprocessing
import time

import peer


def produce(queue, count):
    message = bytes(64)
    for _ in range(count):
        queue.put(message)


def main():
    options = peer.options()
    count = options.count or 100_000
    queue = multiprocessing.Queue(4096)
    child = multiprocessing.Process(target=produce, args=(queue, count))
    child.start()
    queue.get()
    start = time.perf_counter()
    for _ in range(count - 1):
        message = queue.get()
    elapsed = time.perf_counter() - start
    child.join()
    peer.require(len(message) == 64, "the last message is another one")
    peer.show(messages=(count - 1) / elapsed)


if __name__ == "__main__":
    main()
