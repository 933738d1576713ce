"""Damaged bytes of versions, as tracking reports them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest
from modelyard_kit.errors import FailedPrecondition
from modelyard_registry.models import DamagedManifest
from modelyard_registry.statements.model_versions import Version


def replace(session: Session, damage: Mapping[Digest, str]) -> None:
    """Replace the texts that versions show, by the digest of their manifest."""
    session.execute(delete(DamagedManifest))
    if damage:
        rows = [{"digest": digest, "damage": text} for digest, text in damage.items()]
        session.execute(insert(DamagedManifest), rows)


def refuse_damaged(version: Version) -> None:
    """Refuse a version whose bytes are known to be damaged: serving could not load it.

    Raises:
        FailedPrecondition: The version's bytes are damaged.
    """
    if version.damage:
        raise FailedPrecondition(
            f"Version {version.version} of {version.name} is damaged: {version.damage}",
            name=version.name,
            version=str(version.version),
        )
