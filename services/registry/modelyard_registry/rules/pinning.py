"""The reference of a version to its bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a version is pinned to: the bytes by digest, and the run that made them.

    Args:
        digest: Digest of the manifest; None for a foreign source.
        run_id: Id of the run that made the files, if known.
        experiment_id: Id of the experiment of that run, if known.
        model_id: Id of the logged model, if the files are of one.
        has_model: Whether the files have `MLmodel` at their root, if known.
    """

    digest: str | None
    run_id: str | None
    experiment_id: str | None
    model_id: str | None
    has_model: bool | None
