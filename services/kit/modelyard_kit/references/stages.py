"""The stages of a model version."""

from __future__ import annotations

from enum import StrEnum

from modelyard_kit.errors import InvalidArgument


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
