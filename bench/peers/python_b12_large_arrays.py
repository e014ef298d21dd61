"""B12, Python: a numpy array of 512 MiB through ProcessPoolExecutor, as argument and as result."""

import time
from concurrent.futures import ProcessPoolExecutor

import numpy
import peer

ELEMENTS = (512 << 20) // 8


def mark(values, number):
    values[0] = number
    return values


def main():
    peer.options()
    with ProcessPoolExecutor(1) as pool:
        values = numpy.ones(ELEMENTS, dtype=numpy.int64)
        pool.submit(mark, values[:10].copy(), 1).result()  # the worker is there and warm
        start = time.perf_counter()
        values = pool.submit(mark, values, 7).result()
        elapsed = time.perf_counter() - start
        peer.require(len(values) == ELEMENTS and values[0] == 7 and values[1] == 1, "other elements came back")
    peer.show(milliseconds=elapsed * 1000)


if __name__ == "__main__":
    main()
