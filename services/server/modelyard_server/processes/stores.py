"""Location of an installation's objects."""

from __future__ import annotations

from pathlib import Path

from modelyard_kit.artifacts.choosing import StoreSettings
from modelyard_kit.settings.table import ArtifactSettings
from modelyard_server.processes.home import resolved


def store_settings(settings: ArtifactSettings) -> StoreSettings:
    """Return the store settings: the home's store unless another is set.

    Raises:
        InvalidArgument: An endpoint of S3 is malformed, or the home cannot be resolved.
    """
    return StoreSettings(
        settings.artifacts or objects_in(settings.home),
        settings.s3_endpoint,
        settings.s3_public_endpoint,
        settings.s3_region,
    )


def objects_in(home: Path) -> str:
    """Return the folder of artifacts in a home."""
    return str(resolved(home) / "objects")
