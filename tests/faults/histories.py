"""What clients recorded, as histories for the linearizability checker: one an object."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.faults.checkers import Done
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

_REFUSED = {
    "promote": "Holder mismatch",
    "edit": "Etag mismatch",
    "roll_back": "Nothing to roll back to",
}
"""Beginnings of refusals that depend on the state."""


def unexplained_numbers(done: Iterable[Done], model: str, at_start: int) -> list[str]:
    """P1, as a counter: the calls that made versions of a model."""
    return _unexplained(done, model, {"create_version": "create"}, counter, at_start)


def unexplained_holders(done: Iterable[Done], model: str, holder: int) -> list[str]:
    """P2 and P11, as a register: moves of versions into Production, and its observed holders."""
    kinds = {"promote": "promote", "roll_back": "roll_back", "read_holder": "read"}
    return _unexplained(done, model, kinds, stage, (holder,))


def unexplained_texts(done: Iterable[Done], model: str, start: tuple[int, str]) -> list[str]:
    """P11, as a register: edits of one text that may expect an etag, and what was read."""
    return _unexplained(done, model, {"edit": "write", "read_text": "read"}, text, start, tuple)


def unexplained_points(done: Iterable[Done], run: str) -> list[str]:
    """P12, as a set: points that were logged to one curve, and what was read of it."""
    kinds = {"add": "add", "read_points": "read"}
    return _unexplained(done, run, kinds, points, frozenset[int](), frozenset)


def _unexplained(
    done: Iterable[Done],
    model: str,
    kinds: dict[str, str],
    step: Step,
    start: Any,
    seen: Callable[[Any], Any] = lambda returned: returned,
) -> list[str]:
    operations: Sequence[Operation] = [
        Operation(
            name=item.call,
            started_s=item.started_s,
            ended_s=item.ended_s if item.outcome != "unknown" else math.inf,
            kind=kinds[item.kind],
            asked=tuple(item.asked),
            returned=STALE
            if item.outcome == "no"
            else seen(item.returned)
            if item.is_read
            else item.returned,
        )
        for item in done
        if item.model == model and item.kind in kinds and _tells_something(item)
    ]
    return [f"{model}: {sentence}" for sentence in unexplained(operations, step, start)]


def _tells_something(item: Done) -> bool:
    """Not a read without an answer, nor what was refused without having looked at the state."""
    if item.is_read:
        return item.is_ok
    return item.outcome != "no" or _REFUSED.get(item.kind, " ") in item.failures[-1][1]
