"""Which objects a scoped caller may reference without uploading them again (docs/adr/0018)."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import PART_BYTES, Digest
from modelyard_tracking.models import ArtifactFile, ArtifactPart, LoggedModel, Run, StoredObject
from modelyard_tracking.operations.artifacts import STORED, batches
from modelyard_tracking.rules.artifacts import OwnerKind


def hidden_objects(session: Session, digests: Iterable[Digest]) -> set[Digest]:
    """Return the objects that are in use, but not by any tree that the caller can see.

    Objects that are only declared are not in use yet. A manifest is in no tree, so it always counts
    as hidden: every prediction reveals its digest, which proves nothing.
    """
    hidden: set[Digest] = set()
    for batch in batches(digests):
        rows = select(StoredObject.digest).where(
            StoredObject.digest.in_(batch),
            or_(StoredObject.state == STORED, StoredObject.is_manifest),
            # The digest of a file in parts is unverified and names no object.
            ~exists().where(
                ArtifactFile.digest == StoredObject.digest,
                ArtifactFile.size_bytes <= PART_BYTES,
                _is_seen(ArtifactFile),
            ),
            ~exists().where(ArtifactPart.digest == StoredObject.digest, _is_seen(ArtifactPart)),
        )
        hidden.update(map(Digest, session.scalars(rows)))
    return hidden


def _is_seen(table: type[ArtifactFile | ArtifactPart]) -> ColumnElement[bool]:
    # Looked up by owner: a scope may contain many runs, and one that uses the object is enough.
    run = select(Run.run_id).where(Run.run_id == table.owner_id).exists()
    model = select(LoggedModel.model_id).where(LoggedModel.model_id == table.owner_id).exists()
    return or_(
        and_(table.owner_kind == OwnerKind.RUN, run),
        and_(table.owner_kind == OwnerKind.MODEL, model),
    )
