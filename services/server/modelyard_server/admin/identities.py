"""The ids of databases and store, for commands that join or compare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, insert

from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.artifacts.marks import INSTALLATION, is_id, member, new_id, shown
from modelyard_kit.db.identity import id_in, installations
from modelyard_kit.errors import FailedPrecondition


def join(connections: Mapping[str, Connection], store: ArtifactStore, identity: str) -> None:
    """Give databases and store an id, whatever they had before.

    Args:
        connections: Open write transactions of the databases, by area.
        store: Store of the installation.
        identity: Id of the installation.
    """
    for area, connection in connections.items():
        connection.execute(delete(installations))
        connection.execute(insert(installations).values(area=area, id=identity))
        store.set_mark(member(area), identity, replace=True)
    store.set_mark(INSTALLATION, identity, replace=True)


def adopt(connections: Mapping[str, Connection], store: ArtifactStore) -> str:
    """Join databases and store that an operator declares to belong together; return the id.

    An id that is the only one is kept, so that backups still fit; otherwise all get a new one.
    """
    found = _ids(connections).values()
    ids = {identity for identity in (*found, store.mark(INSTALLATION)) if is_id(identity)}
    identity = str(ids.pop()) if len(ids) == 1 else new_id()
    join(connections, store, identity)
    return identity


def join_restored(connections: Mapping[str, Connection], store: ArtifactStore) -> None:
    """Join restored databases and their store: with the backup's id, or else with the store's.

    If neither has one, the first start of the services creates it.

    Raises:
        FailedPrecondition: The databases of the backup and the store are not of one installation.
    """
    found = _ids(connections)
    ids = {"the artifact store": store.mark(INSTALLATION)}
    ids |= {f"the backup of {area}": identity for area, identity in found.items()}
    known = {where: identity for where, identity in ids.items() if identity is not None}
    if len(set(known.values())) > 1:
        raise FailedPrecondition(
            f"{described(known.items())}; nothing was restored. Restore into an empty store, or "
            "into the one that the backup was made of."
        )
    if known:
        join(connections, store, next(iter(known.values())))


def described(ids: Iterable[tuple[str, str | None]]) -> str:
    """Return which installation each part belongs to, as a sentence without its period."""
    parts = [f"{where} belongs to the installation {shown(identity)}" for where, identity in ids]
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _ids(connections: Mapping[str, Connection]) -> dict[str, str | None]:
    return {area: id_in(connection, area) for area, connection in connections.items()}
