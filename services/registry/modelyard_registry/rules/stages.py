"""What a stage is."""

from __future__ import annotations

from enum import StrEnum

from modelyard_kit.errors import Aborted, InvalidArgument

NOBODY = "none"
"""What `expected_holder` says of a stage that should be empty."""


class Stage(StrEnum):
    """Where a version stands on its way to production, spelled as MLflow spells it."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @classmethod
    def named(cls, text: str) -> Stage | None:
        """Return the stage of that name in any case, or None."""
        return next((stage for stage in cls if stage.lower() == text.lower()), None)

    @classmethod
    def parse(cls, text: str) -> Stage:
        """Return the stage of that name in any case.

        Raises:
            InvalidArgument: There is no such stage; the message lists them.
        """
        stage = cls.named(text)
        if stage is None:
            raise InvalidArgument(
                f"Invalid Model Version stage: {text}. Value must be one of {', '.join(cls)}.",
                stage=text,
            )
        return stage

    @property
    def is_exclusive(self) -> bool:
        """Whether at most one version of a model may be in it."""
        return self in (Stage.STAGING, Stage.PRODUCTION)


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
