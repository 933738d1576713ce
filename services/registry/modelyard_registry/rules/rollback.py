"""Which earlier holders of a stage or an alias a rollback may reinstate, from the moves alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Move:
    """What one event did to a stage or an alias.

    Args:
        entered: Number of the version that became or stayed the holder; None if none did.
        left: Number of the version that was the holder until then; None if none was.
        is_rollback: Whether it is a rollback of this stage or alias.
    """

    entered: int | None
    left: int | None
    is_rollback: bool


def earlier_holders(moves: Iterable[Move], present: int | None) -> Iterator[tuple[int, bool]]:
    """Yield each earlier holder and whether a rollback may choose it.

    A rollback passes over a version that a rollback took out since the last ordinary move of the
    version into the stage or alias.

    Args:
        moves: The moves, newest first; only as many are read as the result needs.
        present: Number of the present holder, which is not yielded; None if there is none.

    Yields:
        Number and whether it is a candidate, by the last time that the version became the holder,
        newest first.
    """
    decided: dict[int, bool] = {}
    waiting: list[int] = []
    seen = {present}
    for move in moves:
        if move.is_rollback and move.left is not None:
            decided.setdefault(move.left, False)
        if move.entered is not None and not move.is_rollback:
            decided.setdefault(move.entered, True)
        if move.entered is not None and move.entered not in seen:
            seen.add(move.entered)
            waiting.append(move.entered)
        while waiting and waiting[0] in decided:
            number = waiting.pop(0)
            yield number, decided[number]
    for number in waiting:
        yield number, decided.get(number, True)
