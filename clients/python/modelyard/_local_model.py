"""A model folder on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model folder on this machine; digest and ids are None for one that was only saved."""

    path: Path
    digest: str | None = None
    name: str | None = None
    version: str | None = None
    model_id: str | None = None
    run_id: str | None = None
