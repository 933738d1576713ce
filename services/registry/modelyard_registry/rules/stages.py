"""Checks of stages that at most one version holds."""

from __future__ import annotations

from modelyard_kit.errors import Aborted, InvalidArgument
from modelyard_kit.references.stages import Stage

NO_HOLDER = "none"
"""Value of `expected_holder` for a stage that is expected to be vacant."""


def check_exclusive(stage: Stage, purpose: str) -> None:
    """Refuse a stage that any number of versions may be in.

    Args:
        stage: Stage of the request.
        purpose: Subject of the error message: the field or operation that needs one holder.

    Raises:
        InvalidArgument: The stage is not exclusive.
    """
    if not stage.is_exclusive:
        raise InvalidArgument(
            f"{purpose} needs a stage with a single holder, Staging or Production; got {stage}.",
            stage=stage,
        )


def check_holder(place: str, expected: str, holder: int | None) -> None:
    """Refuse a move that expects another holder of a stage or target of an alias.

    Args:
        place: An exclusive stage, or an alias as `@champion`.
        expected: Number of the expected holder, `none` for none, or empty for any.
        holder: Number of the current holder; None if there is none.

    Raises:
        Aborted: Another version is the holder.
    """
    now = NO_HOLDER if holder is None else str(holder)
    if expected and expected.lower() != now:
        raise Aborted(
            f"Holder mismatch: {place} is held by {_shown(now)}, the request expected "
            f"{_shown(expected)}. Nothing was written; read it again, then retry.",
            expected_holder=expected,
            holder=now,
        )


def _shown(holder: str) -> str:
    return "no version" if holder.lower() == NO_HOLDER else f"version {holder}"
