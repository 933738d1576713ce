"""The stages of a model version."""

from __future__ import annotations

from enum import StrEnum

from modelyard_kit.errors import InvalidArgument


class Stage(StrEnum):
    """The stage of a version on its way to production, spelled as in MLflow."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @classmethod
    def named(cls, text: str) -> Stage | None:
        """Return the stage with a name, in upper or lower case; None if there is none."""
        return next((stage for stage in cls if stage.lower() == text.lower()), None)

    @classmethod
    def parse(cls, text: str) -> Stage:
        """Return the stage with a name, in upper or lower case.

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
        """Whether at most one version of a model may be in the stage."""
        return self in (Stage.STAGING, Stage.PRODUCTION)
