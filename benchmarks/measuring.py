"""Timing in alternation, and the tables of the results."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

WARM_UP = 50
CALLERS = 8
_CALLS_EACH = 25
"""Calls of one caller in a round of `compare_rates`."""


def parts(arguments: Sequence[str], rounds: int) -> tuple[int, list[str]]:
    """Return the number of rounds and the parts that a command line asks for; [] for all parts."""
    numbers = [int(argument) for argument in arguments if argument.isdecimal()]
    return (numbers or [rounds])[0], [a.lower() for a in arguments if not a.isdecimal()]


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(
    name: str,
    call: Callable[[], Any],
    floor: Callable[[], Any],
    rounds: int,
    warm_up: int = WARM_UP,
) -> None:
    """Print the medians of both, in milliseconds, and the median of the paired ratios."""
    for _ in range(warm_up):
        call()
        floor()
    print_row(name, [(timed(call), timed(floor)) for _ in range(rounds)])


def print_row(name: str, pairs: Sequence[tuple[float, float]], points: int = 0) -> None:
    """Print a row of the table of times.

    Args:
        name: What was measured.
        pairs: Seconds of a call and of its floor.
        points: Number of points in each call, for a rate; 0 for none.
    """
    ours, floor = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    rate = f"{points / ours:>11,.0f}/s" if points else ""
    print(f"{name:<34}{ours * 1000:>9.2f}{floor * 1000:>9.2f}{ratio:>8.2f}{rate}", flush=True)


def compare_rates(
    name: str, call: Callable[[], Any], floor: Callable[[], Any], rounds: int
) -> None:
    """Print the calls per second of both from 8 threads, and the median share of the floor's rate.

    Rounds of both alternate. The threads share a channel, as those of a client do.
    """
    with ThreadPoolExecutor(CALLERS) as callers:

        def rate(work: Callable[[], Any]) -> float:
            def make_calls(_caller: int) -> None:
                for _ in range(_CALLS_EACH):
                    work()

            return (
                CALLERS * _CALLS_EACH / timed(lambda: list(callers.map(make_calls, range(CALLERS))))
            )

        rate(call)
        rate(floor)
        pairs = [(rate(call), rate(floor)) for _ in range(rounds)]
    ours, theirs = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    share = statistics.median(a / b for a, b in pairs)
    print(f"{name:<34}{ours:>9.0f}{theirs:>9.0f}{share:>8.2f}", flush=True)
