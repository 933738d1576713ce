from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from sqlalchemy import text
from tests.support.platforms.notebook import SERVICE, Notebook

from modelyard.api.registry.v1 import registry_service_pb2_grpc
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.rpc import idempotency
from modelyard_kit.rpc.server import RpcServer


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/notes.db")
    with database.write() as session:
        idempotency.replies.metadata.create_all(session.connection())
        session.execute(text("CREATE TABLE note (name TEXT)"))
    yield database
    database.close()


@pytest.fixture
def notebook(database: Database) -> Notebook:
    return Notebook(database)


@pytest.fixture
def server(notebook: Notebook) -> Iterator[RpcServer]:
    server = RpcServer()
    server.add(SERVICE, notebook, threads=4, streams=2)
    yield server
    notebook.proceed.set()
    server.drain(5)


@pytest.fixture
def stub(server: RpcServer) -> Iterator[registry_service_pb2_grpc.RegistryServiceStub]:
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield registry_service_pb2_grpc.RegistryServiceStub(channel)
