"""Python's process pools behind one face: `submit_and_get` one call, `throughput` of many, `mapped` over many items."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor


class Executor:
    """concurrent.futures.ProcessPoolExecutor, and loky, which has the same interface."""

    def __init__(self, workers, initializer=None, initargs=()):
        self.workers = workers
        self.pool = self.make(workers, initializer, initargs)

    def make(self, workers, initializer, initargs):
        return ProcessPoolExecutor(workers, initializer=initializer, initargs=initargs)

    def submit_and_get(self, function, value):
        return self.pool.submit(function, value).result()

    def throughput(self, function, count):
        futures = [self.pool.submit(function, i) for i in range(count)]
        return sum(future.result() for future in futures)

    def mapped(self, function, inputs):
        # The documentation advises large chunks; this is the size that multiprocessing.Pool chooses.
        chunk = -(-len(inputs) // (self.workers * 4))
        return list(self.pool.map(function, inputs, chunksize=chunk))

    def close(self):
        self.pool.shutdown()


class Loky(Executor):
    def make(self, workers, initializer, initargs):
        from joblib.externals.loky import ProcessPoolExecutor as LokyExecutor

        return LokyExecutor(workers, initializer=initializer, initargs=initargs)


class Pool:
    """multiprocessing.Pool: apply, apply_async, map."""

    def __init__(self, workers, initializer=None, initargs=()):
        self.pool = multiprocessing.Pool(workers, initializer=initializer, initargs=initargs)

    def submit_and_get(self, function, value):
        return self.pool.apply(function, (value,))

    def throughput(self, function, count):
        results = [self.pool.apply_async(function, (i,)) for i in range(count)]
        return sum(result.get() for result in results)

    def mapped(self, function, inputs):
        return self.pool.map(function, inputs)

    def close(self):
        self.pool.close()
        self.pool.join()


POOLS = {"executor": Executor, "pool": Pool, "loky": Loky}
