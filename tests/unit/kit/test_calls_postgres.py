"""Calls whose transaction PostgreSQL delays, or whose connection is lost at the commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TypeAlias

import grpc
import pytest
from sqlalchemy import make_url, text
from tests.faults.proxy import Cut, Direction, Proxy
from tests.support.databases import postgres
from tests.support.platforms.notebook import (
    SERVICE,
    Notebook,
    SessionNotebook,
    Stub,
    create,
    failure,
    notes,
)

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2_grpc
from modelyard_kit.clock import now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.rpc import idempotency
from modelyard_kit.rpc.server import RpcServer

LOST_REPLY = Cut(Direction.REPLY, b"COMMIT\0")
"""Cuts the connection after the commit, before its reply arrives."""


@pytest.fixture
def database() -> Iterator[Database]:
    with closing(open_database(postgres.server().create())) as database:
        with database.write() as session:
            idempotency.replies.metadata.create_all(session.connection())
            session.execute(text("CREATE TABLE note (name TEXT)"))
        yield database


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(postgres.server().port) as proxy:
        yield proxy


Form: TypeAlias = type[Notebook]


@pytest.fixture(params=[Notebook, SessionNotebook])
def form(request: pytest.FixtureRequest) -> Form:
    """The form of transactions of the service."""
    found: Form = request.param
    return found


@contextmanager
def serving(database: Database, form: Form) -> Iterator[Stub]:
    server = RpcServer()
    server.add(SERVICE, form(database))
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield registry_service_pb2_grpc.RegistryServiceStub(channel)
    server.drain(5)


@pytest.fixture
def stub(database: Database, proxy: Proxy, form: Form) -> Iterator[Stub]:
    """A service that is connected to the database through the proxy."""
    with (
        closing(open_database(database.engine.url.set(port=proxy.port), pool_size=1)) as far,
        serving(far, form) as stub,
    ):
        create(stub, "first")  # a new connection commits its settings
        yield stub


def test_a_commit_without_an_answer_is_not_reported_as_failed(
    stub: Stub, proxy: Proxy, database: Database
) -> None:
    proxy.arm(LOST_REPLY)
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, "a")
    code, _, details = failure(caught.value)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "the request may have been done" in details
    assert notes(database) == 2


def test_a_commit_without_an_answer_is_found_by_its_key(
    stub: Stub, proxy: Proxy, database: Database
) -> None:
    proxy.arm(LOST_REPLY)
    reply = create(stub, "a", key="k")
    assert proxy.was_cut.wait(10)
    assert create(stub, "a", key="k") == reply
    assert notes(database) == 2


def test_when_nothing_can_be_found_by_the_key_either_nothing_is_claimed(
    stub: Stub, proxy: Proxy, database: Database
) -> None:
    name = make_url(database.engine.url).database
    database.close()  # or the server would not refuse the connections to come
    with closing(open_database(postgres.server().url)) as other, other.engine.connect() as alone:
        proxy.arm(LOST_REPLY)
        alone.execution_options(isolation_level="AUTOCOMMIT")
        alone.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        with pytest.raises(grpc.RpcError) as caught:
            create(stub, "a", key="k")
        alone.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    assert "may have been done" in failure(caught.value)[2]
    assert notes(database) == 2


def test_a_statement_ends_at_the_deadline_of_its_caller(database: Database, form: Form) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with serving(database, form) as stub, database.engine.connect() as connection:
        connection.execute(text("LOCK TABLE note"))
        call = stub.CreateRegisteredModel.future(
            pb.CreateRegisteredModelRequest(name="a"), timeout=0.5
        )
        with pytest.raises(grpc.RpcError) as caught:
            call.result()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        while connection.scalar(waiting):
            pass  # the lock is held all the while: it ends by the deadline alone
        connection.rollback()
        assert notes(database) == 0


def test_replies_that_another_replica_deletes_are_not_waited_for(database: Database) -> None:
    with serving(database, Notebook) as stub:
        create(stub, "a", key="old")
        create(stub, "b", key="older")
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE idempotent_reply SET created_ms = 0"))
        with database.engine.begin() as connection:
            connection.execute(text("SELECT * FROM idempotent_reply WHERE key = 'old' FOR UPDATE"))
            create(stub, "c", key="new")
            idempotency.forget_expired(database, now_ms())
    with database.read() as session:
        assert set(session.scalars(text("SELECT key FROM idempotent_reply"))) == {"old", "new"}
