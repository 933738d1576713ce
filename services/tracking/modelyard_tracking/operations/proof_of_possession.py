"""Which objects a caller may make files of without having sent them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import PART_BYTES, Digest
from modelyard_tracking.models import ArtifactFile, ArtifactPart, LoggedModel, Run, StoredObject
from modelyard_tracking.operations.artifacts import STORED, batches
from modelyard_tracking.rules.artifacts import OwnerKind


def hidden_objects(session: Session, digests: Iterable[Digest]) -> set[Digest]:
    """Return those of some objects that belong to something, but to nothing the caller sees.

    What was only declared belongs to nothing yet. A manifest is never of a tree: who has its
    digest, which every prediction tells, has not its bytes.
    """
    hidden: set[Digest] = set()
    for some in batches(digests):
        rows = select(StoredObject.digest).where(
            StoredObject.digest.in_(some),
            or_(StoredObject.state == STORED, StoredObject.is_manifest),
            # The digest of a file in parts is its sender's word, and of no object.
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
    # Looked up one by one: a scope may have many runs, of which an object needs one.
    run = select(Run.run_id).where(Run.run_id == table.owner_id).exists()
    model = select(LoggedModel.model_id).where(LoggedModel.model_id == table.owner_id).exists()
    return or_(
        and_(table.owner_kind == OwnerKind.RUN, run),
        and_(table.owner_kind == OwnerKind.MODEL, model),
    )
