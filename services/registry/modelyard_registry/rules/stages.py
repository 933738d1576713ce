"""What a stage asks of its holder."""

from __future__ import annotations

from modelyard_kit.errors import Aborted, InvalidArgument
from modelyard_kit.references.stages import Stage

NOBODY = "none"
"""What `expected_holder` says of a stage that should be empty."""


def check_exclusive(stage: Stage, purpose: str) -> None:
    """Refuse what makes sense only for a stage with one holder.

    Raises:
        InvalidArgument: The stage holds any number of versions.
    """
    if not stage.is_exclusive:
        raise InvalidArgument(
            f"{purpose} needs a stage that one version holds, Staging or Production; got {stage}.",
            stage=stage,
        )


def check_holder(stage: Stage, expected: str, holder: int | None) -> None:
    """Refuse a move that was decided on when another version held the stage.

    Args:
        stage: What is held.
        expected: The number of a version, `none`, or empty for any holder.
        holder: The version in the stage now.

    Raises:
        Aborted: Somebody else moved a version first.
    """
    now = NOBODY if holder is None else str(holder)
    if expected and expected.lower() != now:
        raise Aborted(
            f"{stage} was expected to be held by {_shown(expected)}, but is held by {_shown(now)}; "
            "read it again, then retry.",
            expected_holder=expected,
            holder=now,
        )


def _shown(holder: str) -> str:
    return "no version" if holder.lower() == NOBODY else f"version {holder}"
