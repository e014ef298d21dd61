"""The functions the Python pools call. In a module of their own, so that every pool sends them by name, which is cheapest."""

import time


def following(value):
    return value + 1


def sum_of_squares(first, end):
    total = 0
    for i in range(first, end):
        total += i * i
    return total


def count_primes(limit):
    count = 0
    for n in range(2, limit + 1):
        divisor = 2
        while divisor * divisor <= n:
            if n % divisor == 0:
                break
            divisor += 1
        else:
            count += 1
    return count


def fetch(seconds):
    time.sleep(seconds)
    return seconds
