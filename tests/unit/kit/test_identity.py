"""Databases and a store join one installation, and are used together only while their ids agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.stores.memory import MemoryStore

import modelyard_registry.app
import modelyard_tracking.app
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.marks import INSTALLATION, member, new_id
from modelyard_kit.db.base import Database
from modelyard_kit.db.identity import Identity, id_in, installations
from modelyard_kit.errors import FailedPrecondition, Unavailable
from modelyard_tracking.models import Base, StoredObject

OBJECTS = Base.metadata.tables["stored_object"]


class LosableStore(MemoryStore):
    """A store that can become unreachable."""

    is_away = False

    def __init__(self) -> None:
        super().__init__(UrlSigner(b"s" * 32, lambda: "http://store.test"))

    def mark(self, name: str) -> str | None:
        if self.is_away:
            raise Unavailable("The artifact store cannot be reached; try again.")
        return super().mark(name)


@pytest.fixture
def database(dialect: Dialect, tmp_path: Path) -> Iterator[Database]:
    with closing(open_migrated(dialect, tmp_path, modelyard_tracking.app.MIGRATIONS)) as database:
        yield database


@pytest.fixture
def registry_database(dialect: Dialect, tmp_path: Path) -> Iterator[Database]:
    with closing(open_migrated(dialect, tmp_path, modelyard_registry.app.MIGRATIONS)) as database:
        yield database


@pytest.fixture
def store() -> LosableStore:
    return LosableStore()


def tracking(database: Database, store: MemoryStore) -> Identity:
    identity = Identity("tracking", database, store, OBJECTS)
    identity.fresh_s = 0
    return identity


def forget(database: Database) -> None:
    """Make a database a new one, as far as the identity is concerned."""
    with database.write() as session:
        session.execute(delete(installations))


def put(store: MemoryStore, data: bytes = b"bytes") -> Digest:
    digest = Digest.of(data)
    store.put(digest, [data], len(data))
    return digest


def test_new_databases_and_a_new_store_join_one_installation(
    database: Database, registry_database: Database, store: LosableStore
) -> None:
    Identity("registry", registry_database, store).check()
    tracking(database, store).check()
    with database.read() as session, registry_database.read() as other:
        found = {id_in(session, "tracking"), id_in(other, "registry"), store.mark(INSTALLATION)}
    assert len(found) == 1
    assert store.mark(member("tracking")) == store.mark(member("registry")) in found


def test_a_start_that_was_killed_between_two_steps_is_completed_by_the_next(
    database: Database, store: LosableStore
) -> None:
    store.set_mark(INSTALLATION, new_id())
    tracking(database, store).check()
    store.marks.pop(member("tracking"))
    tracking(database, store).check()
    assert store.mark(member("tracking")) == store.mark(INSTALLATION)


def test_a_new_database_beside_a_store_that_has_had_one_is_refused(
    database: Database, store: LosableStore
) -> None:
    tracking(database, store).check()
    forget(database)
    with pytest.raises(Unavailable, match="but the artifact store has had a database"):
        tracking(database, store).check()
    with database.read() as session:
        assert id_in(session, "tracking") is None


def test_a_database_that_knows_no_objects_beside_a_store_that_has_some_is_refused(
    database: Database, store: LosableStore
) -> None:
    digest = put(store)
    with pytest.raises(Unavailable, match=r"database is new, but .* has objects"):
        tracking(database, store).check()
    known = {"digest": digest, "size_bytes": 5, "state": "stored", "is_manifest": False}
    with database.write() as session:
        session.execute(insert(StoredObject).values(known | {"leased_until_ms": 0}))
    tracking(database, store).check()  # of a version without identities


@pytest.mark.parametrize("found", ["0" * 32, None, "damaged"])
def test_a_database_beside_another_store_is_not_used(
    database: Database, store: LosableStore, found: str | None
) -> None:
    tracking(database, store).check()
    other = LosableStore()
    if found is not None:
        other.set_mark(INSTALLATION, found)
    shown = {"0" * 32: "00000000…", None: "none", "damaged": "an unreadable id"}[found]
    with pytest.raises(Unavailable, match=f"the artifact store to {shown}"):
        tracking(database, other).check()
    with pytest.raises(FailedPrecondition, match=f"the artifact store to {shown}"):
        tracking(database, other).require()
    assert other.mark(member("tracking")) is None


def test_a_service_becomes_not_ready_when_its_store_is_exchanged_and_ready_when_it_is_back(
    database: Database, store: LosableStore
) -> None:
    database.require(tracking(database, store).check, repeatedly=True)
    assert database.problem() == ""
    own = store.marks.pop(INSTALLATION)
    assert "the artifact store to none" in database.problem()
    with pytest.raises(Unavailable, match="nothing is served or changed"), database.read():
        pass
    with pytest.raises(Unavailable, match="nothing is served or changed"), database.write():
        pass
    store.set_mark(INSTALLATION, own)
    assert database.problem() == ""
    with database.read() as session:
        assert session.scalar(select(installations.c.id)) == own


def test_a_store_that_is_away_is_not_another_one_except_for_a_sweep(
    database: Database, store: LosableStore
) -> None:
    identity = tracking(database, store)
    store.is_away = True
    with pytest.raises(Unavailable, match="identity of the artifact store cannot be read"):
        identity.check()
    store.is_away = False
    identity.check()
    store.is_away = True
    identity.check()
    with pytest.raises(FailedPrecondition, match="cannot be read"):
        identity.require()


def test_probes_read_the_store_seldom_and_a_sweep_always(
    database: Database, store: LosableStore
) -> None:
    identity = Identity("tracking", database, store, OBJECTS)
    identity.check()
    store.marks.clear()
    identity.check()
    with pytest.raises(FailedPrecondition, match="the artifact store to none"):
        identity.require()
    with pytest.raises(Unavailable, match="the artifact store to none"):
        identity.check()


def test_a_database_of_another_installation_is_not_used(
    database: Database, store: LosableStore
) -> None:
    identity = tracking(database, store)
    identity.check()
    with database.write() as session:
        session.execute(update(installations).values(id="a" * 32))
    with pytest.raises(Unavailable, match="database belongs to the installation aaaaaaaa…"):
        identity.check()


def test_a_sweep_is_refused_for_good_also_while_all_calls_are(
    database: Database, store: LosableStore
) -> None:
    identity = tracking(database, store)
    database.require(identity.check, repeatedly=True)
    assert identity.require() == store.mark(INSTALLATION)
    store.marks.clear()
    assert "the artifact store to none" in database.problem()
    with pytest.raises(FailedPrecondition, match="the artifact store to none"):
        identity.require()
