"""What a version is pinned to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a source turned out to be: bytes by digest, and who made them.

    Args:
        digest: Of the manifest; None for a foreign source.
        run_id: The run that made it, if any.
        experiment_id: The experiment of that run, if any.
        model_id: The logged model it is, if any.
    """

    digest: str | None
    run_id: str | None
    experiment_id: str | None
    model_id: str | None
