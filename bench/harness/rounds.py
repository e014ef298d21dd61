"""Runs the sides of a measurement in turn, round after round, and tells how long it will still take."""

import statistics
import sys
import time

from .programs import Failure

SLOW = 5.0  # seconds: a side whose first run takes longer ...
SLOW_ROUNDS = 3  # ... takes part in this many rounds
GUESS = 0.8  # seconds a run takes, before it has been seen


def median_and_deviation(values):
    """Median and median absolute deviation."""
    middle = statistics.median(values)
    return middle, statistics.median(abs(value - middle) for value in values)


class Result:
    """Medians, deviations and numbers of runs by figure and side."""

    def __init__(self, measurement):
        self.measurement = measurement
        self.samples = {side.name: [] for side in measurement.sides}
        self.failures = {}

    def median(self, figure, side):
        values = [sample[figure.metric] for sample in self.samples[side]]
        return median_and_deviation(values) if values else None

    def runs(self, side):
        return len(self.samples[side])


class Progress:
    """One line on a terminal, rewritten; one line a measurement anywhere else."""

    def __init__(self, measurements, rounds, stream=sys.stderr):
        self.stream = stream
        self.rewrites = stream.isatty()
        self.rounds = rounds
        self.left = {(one, side): rounds for one in measurements for side in one.sides}
        self.seen = {}
        self.announced = None

    def before(self, measurement, side, number):
        if self.rewrites:
            text = f"{measurement.name}: round {number + 1} of {self.rounds}, {side.name}; {self.time_left()} left"
            self.stream.write("\r\033[K" + text)
            self.stream.flush()
        elif self.announced is not measurement:
            self.announced = measurement
            print(f"{measurement.name}; {self.time_left()} left in all", file=self.stream, flush=True)

    def after(self, measurement, side, seconds, rounds_left):
        self.seen[measurement, side] = seconds
        self.left[measurement, side] = rounds_left

    def time_left(self):
        seconds = sum(self.seen.get(key, GUESS) * runs for key, runs in self.left.items())
        return f"about {seconds / 60:.0f} min" if seconds >= 120 else f"about {seconds:.0f} s"

    def clear(self):
        if self.rewrites:
            self.stream.write("\r\033[K")
            self.stream.flush()


def measure(measurement, rounds, programs, progress):
    result = Result(measurement)
    wanted = {side: rounds for side in measurement.sides}
    for number in range(rounds):
        for side in measurement.sides:
            if number >= wanted[side]:
                continue
            progress.before(measurement, side, number)
            start = time.monotonic()
            try:
                sample = programs.run(side, measurement)
                missing = [figure.metric for figure in measurement.figures if figure.metric not in sample]
                if missing:
                    raise Failure(f"{side.name} did not report {', '.join(missing)}")
                result.samples[side.name].append(sample)
            except Failure as failure:
                result.failures[side.name] = str(failure)
                wanted[side] = 0
            seconds = time.monotonic() - start
            if number == 0 and seconds > SLOW and wanted[side] > SLOW_ROUNDS:
                wanted[side] = SLOW_ROUNDS
            progress.after(measurement, side, seconds, max(wanted[side] - number - 1, 0))
    return result
