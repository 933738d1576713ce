"""Whether what clients saw can be explained by one thing that does one operation at a time.

The search of Wing and Gong with the memory of Lowe: take any operation that no other one had to
precede, see whether the specification gives the result that was seen, go on with the rest, and
never visit the same remainder in the same state twice. An operation with unknown outcome may
have happened at any time after it was sent, or never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

NO_VERSION = 0
_MOST_PLACES = 1_000_000
"""A bound on the search, which takes exponential time at worst; what is not found is not right."""

_LINE = 160
"""What is longer, such as a set of many points, is cut."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The result of an operation that was refused because of the state it found."""

    reason: str = "stale"


STALE = Refused()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of one client, with its result and times.

    Attributes:
        name: Unique name, for messages.
        started_s: Time when it was sent, on the machine's monotonic clock.
        ended_s: Time of the reply; infinity without one.
        kind: Kind of operation, known to the specification.
        asked: Arguments of the operation.
        returned: Result of the operation; None if unknown.
    """

    name: str
    started_s: float
    ended_s: float
    kind: str
    asked: tuple[Any, ...] = ()
    returned: Any = None

    @property
    def is_known(self) -> bool:
        return self.ended_s < math.inf

    @property
    def changes_nothing(self) -> bool:
        """Whether it is a read, or was refused, so that it only tells what the state was."""
        return self.kind == "read" or self.returned == STALE


State: TypeAlias = Any
Step: TypeAlias = Callable[[State, Operation], State | None]
"""A specification: the state after an operation, None if its result is wrong in that state."""


def unexplained(history: Sequence[Operation], step: Step, start: Hashable) -> list[str]:
    """Return nothing if a history is linearizable, else what can be read of it.

    Args:
        history: At most some hundred operations on one object.
        step: Its specification.
        start: Its state before the history, hashable.
    """
    operations = sorted(history, key=lambda operation: operation.started_s)
    known = sum(1 << i for i, operation in enumerate(operations) if operation.is_known)
    deepest = 0
    seen: set[tuple[int, Hashable]] = set()
    path = [(0, _next(operations, 0, start, step))]
    while path:
        done, candidates = path[-1]
        if done & known == known:
            return []
        for index, after in candidates:
            place = (done | 1 << index, after)
            if place in seen:
                continue
            seen.add(place)
            if place[0].bit_count() > deepest.bit_count():
                deepest = place[0]
            path.append((place[0], _next(operations, place[0], after, step)))
            break
        else:
            path.pop()
        if len(seen) > _MOST_PLACES:
            return [f"after {len(seen)} tries, {_readable(operations, deepest)}"]
    return [_readable(operations, deepest)]


def _next(
    operations: Sequence[Operation], done: int, state: State, step: Step
) -> Iterator[tuple[int, State]]:
    """Yield what may be done next, and the state after it: whatever was sent before the first end.

    What only tells the state, such as a read, is done at once: it is right here, so nothing is
    gained by trying it later. Otherwise those with answers come first, soonest answer first: one
    without is only tried where nothing else explains what was seen.
    """
    left = [i for i in range(len(operations)) if not done >> i & 1]
    first_end = min((operations[i].ended_s for i in left), default=math.inf)
    possible = []
    for index in left:
        operation = operations[index]
        if operation.started_s > first_end:
            break  # they are in the order of their starts
        after = step(state, operation)
        if after is None:
            continue
        if operation.changes_nothing:
            return iter([(index, after)])
        if after != state or operation.is_known:
            possible.append((index, after))
    return iter(sorted(possible, key=lambda place: operations[place[0]].ended_s))


def _readable(operations: Sequence[Operation], explained: int) -> str:
    """Tell a history: what could be explained at best, and what followed."""
    origin_s = operations[0].started_s
    lines = ["no order of these operations gives these results:"]
    for index, item in enumerate(operations):
        mark = " " if explained >> index & 1 else "?"
        end = f"{item.ended_s - origin_s:9.4f}" if item.is_known else "     never"
        returned = item.returned if item.is_known else "unknown"
        times = f"{mark} {item.started_s - origin_s:9.4f} {end}"
        line = f"{times}  {item.name:<14} {item.kind}{item.asked} -> {returned}"
        lines.append(line if len(line) <= _LINE else f"{line[:_LINE]}…")
    return "\n".join(lines)


def counter(state: int, operation: Operation) -> int | None:
    """The numbers of a model's versions. State: how many were given.

    `create() -> number`.
    """
    number = state + 1
    return number if not operation.is_known or operation.returned == number else None


def stage(state: tuple[int, ...], operation: Operation) -> tuple[int, ...] | None:
    """A stage that one version holds. State: its holders, the present one first.

    A roll-back takes the present one out of the state, until it is promoted again.

    `read() -> holder`, `promote(version, expected=None)`, `roll_back() -> holder`; the last two
    may be refused as stale: another holder than expected, or no version to roll back to.
    """
    holder = state[0] if state else NO_VERSION
    match operation.kind:
        case "read":
            return state if operation.returned == holder else None
        case "promote":
            version, expected = operation.asked
            wrong = expected is not None and expected != holder
            if operation.returned == STALE or (wrong and not operation.is_known):
                return state if wrong else None
            return None if wrong else _first(version, state)
        case "roll_back":
            if operation.returned == STALE or (len(state) < 2 and not operation.is_known):
                return state if len(state) < 2 else None
            if len(state) < 2 or (operation.is_known and operation.returned != state[1]):
                return None
            return state[1:]
    raise ValueError(operation.kind)


def _first(version: int, state: tuple[int, ...]) -> tuple[int, ...]:
    return (version, *(other for other in state if other != version))


def text(state: tuple[int, str], operation: Operation) -> tuple[int, str] | None:
    """A text with an etag. State: the etag, which counts changes, and the text.

    `read() -> (etag, text)`, `write(text, expected_etag=None) -> etag`; a write may be refused as
    stale.
    """
    etag, _ = state
    if operation.kind == "read":
        return state if operation.returned == state else None
    written, expected = operation.asked
    wrong = expected is not None and expected != etag
    if operation.returned == STALE or (wrong and not operation.is_known):
        return state if wrong else None
    if wrong or (operation.is_known and operation.returned != etag + 1):
        return None
    return (etag + 1, written)


def points(state: frozenset[int], operation: Operation) -> frozenset[int] | None:
    """The points of a metric. State: their steps.

    `add(*steps)`, `read() -> the steps`. Adding again what is there changes nothing.
    """
    if operation.kind == "read":
        return state if operation.returned == state else None
    return state.union(operation.asked)
