"""The checker knows good histories from bad ones, also where outcomes are unknown."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from tests.faults.linearizability import (
    STALE,
    Operation,
    Step,
    counter,
    points,
    stage,
    text,
    unexplained,
)

NEVER = math.inf


def history(*returned: tuple[Any, ...]) -> list[Operation]:
    """Operations as (start, end, kind, asked, result)."""
    return [
        Operation(f"op-{index}", started, ended, kind, asked, result)
        for index, (started, ended, kind, asked, result) in enumerate(returned)
    ]


def promote(
    start: float, end: float, version: int, expected: int | None = None, returned: Any = None
) -> tuple[Any, ...]:
    return (start, end, "promote", (version, expected), returned)


def read(start: float, end: float, returned: Any) -> tuple[Any, ...]:
    return (start, end, "read", (), returned)


def create(start: float, end: float, number: int | None) -> tuple[Any, ...]:
    return (start, end, "create", (), number)


def write(
    start: float, end: float, value: str, expected: int | None, returned: Any
) -> tuple[Any, ...]:
    return (start, end, "write", (value, expected), returned)


GOOD: dict[str, tuple[Step, Any, Sequence[tuple[Any, ...]]]] = {
    "numbers in the order of overlapping calls": (
        counter, 0, [create(0, 9, 3), create(1, 2, 1), create(1, 5, 2), create(10, 11, 4)],
    ),
    "a create that never answered took a number": (
        counter, 0, [create(0, NEVER, None), create(1, 2, 2)],
    ),
    "a create that never answered took none": (
        counter, 0, [create(0, NEVER, None), create(1, 2, 1), create(3, 4, 2)],
    ),
    "a create that never answered happened much later": (
        counter, 0, [create(0, NEVER, None), create(1, 2, 1), create(3, 4, 3)],
    ),
    "a read during a promotion may see either": (
        stage, (1,), [promote(0, 5, 2), read(1, 2, 1), read(3, 4, 2), read(6, 7, 2)],
    ),
    "one of two promotions that expect the same holder is stale": (
        stage, (1,), [promote(0, 5, 2, 1), promote(1, 4, 3, 1, STALE), read(6, 7, 2)],
    ),
    "a stale promotion with unknown outcome did nothing": (
        stage, (1,), [promote(0, NEVER, 2, 5), read(1, 2, 1)],
    ),
    "a promotion of the holder may be what brings it back": (
        stage,
        (1,),
        [promote(0, 9, 1), promote(1, 2, 2), read(3, 4, 1)],
    ),
    "a roll-back twice goes back twice": (
        stage, (1,),
        [
            promote(0, 1, 2), promote(2, 3, 3),
            (4, 5, "roll_back", (), 2), (6, 7, "roll_back", (), 1), read(8, 9, 1),
        ],
    ),
    "a version that was rolled back may be promoted again": (
        stage, (1,),
        [
            promote(0, 1, 2), (2, 3, "roll_back", (), 1), promote(4, 5, 2), promote(6, 7, 3),
            (8, 9, "roll_back", (), 2),
        ],
    ),
    "no version to roll back to": (stage, (1,), [(0, 1, "roll_back", (), STALE), read(2, 3, 1)]),
    "a roll-back with unknown outcome": (
        stage, (2, 1), [(0, NEVER, "roll_back", (), None), read(1, 2, 2), read(3, 4, 1)],
    ),
    "an etag that is stale": (
        text, (1, "a"), [write(0, 1, "b", 1, 2), write(2, 3, "c", 1, STALE), read(4, 5, (2, "b"))],
    ),
    "points of overlapping writers": (
        points, frozenset(),
        [(0, 9, "add", (1, 2), None), (1, 2, "add", (3,), None), read(3, 4, frozenset({3}))],
    ),
    "a point that is sent twice": (
        points, frozenset(),
        [(0, 1, "add", (1,), None), (2, 3, "add", (1,), None), read(4, 5, frozenset({1}))],
    ),
}  # fmt: skip

BAD: dict[str, tuple[Step, Any, Sequence[tuple[Any, ...]]]] = {
    "a number given twice": (counter, 0, [create(0, 5, 1), create(1, 4, 1)]),
    "a number that goes backwards": (counter, 0, [create(0, 1, 2), create(2, 3, 1)]),
    "a gap": (counter, 0, [create(0, 1, 1), create(2, 3, 3)]),
    "a gap that no later call explains": (
        counter, 0, [create(0, 1, 2), create(2, NEVER, None)],
    ),
    "two holders, seen in turn": (
        stage, (1,), [promote(0, 1, 2), promote(0, 1, 3), read(2, 3, 2), read(4, 5, 3)],
    ),
    "a stale read": (stage, (1,), [promote(0, 1, 2), read(2, 3, 1)]),
    "a lost promotion": (stage, (1,), [promote(0, 1, 2), read(2, 3, 2), read(4, 5, 1)]),
    "an empty stage": (stage, (1,), [promote(0, 1, 2), read(2, 3, 0)]),
    "two winners of one comparison": (
        stage, (1,), [promote(0, 5, 2, 1), promote(1, 4, 3, 1)],
    ),
    "refused as stale though it was not": (stage, (1,), [promote(0, 1, 2, 1, STALE)]),
    "a roll-back to the wrong one": (
        stage, (3, 2, 1), [(0, 1, "roll_back", (), 1)],
    ),
    "a second roll-back undoes the first": (
        stage, (1,),
        [promote(0, 1, 2), (2, 3, "roll_back", (), 1), (4, 5, "roll_back", (), 2)],
    ),
    "what never answered happened twice": (
        stage, (1,),
        [promote(0, NEVER, 2), read(1, 2, 2), promote(3, 4, 1), read(5, 6, 1), read(7, 8, 2)],
    ),
    "a promotion seen before it was sent": (stage, (1,), [read(0, 1, 2), promote(2, 3, 2)]),
    "a lost update": (
        text, (1, "a"), [write(0, 5, "b", 1, 2), write(1, 4, "c", 1, 2), read(6, 7, (2, "c"))],
    ),
    "an etag that did not change": (
        text, (1, "a"), [write(0, 1, "b", 1, 1), read(2, 3, (1, "b"))],
    ),
    "a point that was acknowledged and is missing": (
        points, frozenset(), [(0, 1, "add", (1,), None), read(2, 3, frozenset())],
    ),
    "half of a batch": (
        points, frozenset(), [(0, 9, "add", (1, 2), None), read(3, 4, frozenset({1}))],
    ),
    "a point that no client logged": (
        points, frozenset(), [(0, 1, "add", (1,), None), read(2, 3, frozenset({1, 2}))],
    ),
    "a point that comes and goes": (
        points, frozenset(),
        [(0, NEVER, "add", (1,), None), read(1, 2, frozenset({1})), read(3, 4, frozenset())],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_one_order_explains_passes(name: str) -> None:
    step, start, returned = GOOD[name]

    assert unexplained(history(*returned), step, start) == []


@pytest.mark.parametrize("name", BAD)
def test_what_no_order_explains_is_found(name: str) -> None:
    step, start, returned = BAD[name]

    assert unexplained(history(*returned), step, start) != []


def test_an_empty_history_passes() -> None:
    assert unexplained([], counter, 0) == []


def test_a_bad_history_is_described_readably() -> None:
    [description] = unexplained(history(promote(0, 1, 2), read(2, 3, 1)), stage, (1,))

    assert description.splitlines()[1:] == [
        "     0.0000    1.0000  op-0           promote(2, None) -> None",
        "?    2.0000    3.0000  op-1           read() -> 1",
    ]


def made_up(seed: int, count: int, clients: int, unknown: int) -> list[Operation]:
    """A history of a stage that happened: each call took effect somewhere inside itself."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    free_s = [0.0] * clients
    calls = []
    for index in range(count):
        client = index % clients
        start = free_s[client] + chance.random()
        end = start + chance.random()
        free_s[client] = end
        calls.append((chance.uniform(start, end), start, end, chance.choice(["read", "promote"])))
    state: tuple[int, ...] = (1,)
    returned = []
    for _, start, end, kind in sorted(calls):
        if kind == "read":
            returned.append(read(start, end, state[0]))
            continue
        version, expected = chance.randint(1, 6), chance.choice([None, None, state[0], 1])
        item = history(promote(start, NEVER, version, expected))[0]
        after = stage(state, item)
        assert after is not None
        stale = expected is not None and expected != state[0]
        unheard = unknown > 0 and chance.random() < 0.2
        unknown -= unheard
        end_s = NEVER if unheard else end
        returned.append(
            promote(start, end_s, version, expected, STALE if stale and not unheard else None)
        )
        state = after
    return history(*returned)


@pytest.mark.parametrize("seed", range(5))
def test_three_hundred_overlapping_operations_are_checked(seed: int) -> None:
    good = made_up(seed, count=300, clients=8, unknown=8)

    assert unexplained(good, stage, (1,)) == []


def test_a_lie_in_the_middle_of_many_operations_is_found() -> None:
    returned = made_up(7, count=300, clients=8, unknown=4)
    reads = [index for index, item in enumerate(returned) if item.kind == "read"]
    middle = reads[len(reads) // 2]
    item = returned[middle]
    lie = Operation(item.name, item.started_s, item.ended_s, "read", (), 99)

    assert unexplained([*returned[:middle], lie, *returned[middle + 1 :]], stage, (1,)) != []
