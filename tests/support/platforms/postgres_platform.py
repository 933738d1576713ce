"""Tracking and registry on one server over PostgreSQL, and the contents of their tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from sqlalchemy import MetaData, text
from tests.support.databases import postgres
from tests.support.platforms.access_platform import SERVICE_TOKEN
from tests.support.stores.memory import MemoryStore

import modelyard_registry.app
import modelyard_registry.models
import modelyard_tracking.app
import modelyard_tracking.models
from modelyard_gateway.backends import SERVICES
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer

TABLES: dict[str, MetaData] = {
    "tracking": modelyard_tracking.models.Base.metadata,
    "registry": modelyard_registry.models.Base.metadata,
}


@dataclass
class PostgresPlatform:
    """A running platform without a gateway."""

    server: RpcServer
    channel: grpc.Channel
    store: MemoryStore
    databases: dict[str, Database]

    def put(self, _url: str, data: bytes) -> None:
        self.store.put(Digest.of(data), [data], len(data))

    def state(self, area: str) -> str:
        """Return a digest of the contents of a service's tables."""
        rows = " UNION ALL ".join(
            f"SELECT '{name}' || md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) "  # noqa: S608 - our own names
            f'FROM "{name}" AS t'
            for name in sorted(TABLES[area].tables)
        )
        with self.databases[area].read() as session:
            return "".join(session.scalars(text(rows)))


@contextmanager
def running_postgres_platform(folder: Path) -> Iterator[PostgresPlatform]:
    """Run the platform on free ports with new databases."""
    store = MemoryStore(UrlSigner(b"s" * 32, lambda: "http://store.test"))
    trees = {
        "tracking": modelyard_tracking.app.MIGRATIONS,
        "registry": modelyard_registry.app.MIGRATIONS,
    }
    address = f"unix:{folder}/socket"
    with ExitStack() as undo:
        databases = {
            area: undo.enter_context(closing(open_database(postgres.server().migrated(tree))))
            for area, tree in trees.items()
        }
        tracking, registry = databases["tracking"], databases["registry"]
        server = RpcServer(SERVICE_TOKEN, tokens=modelyard_registry.app.api_tokens(registry))
        services = (service for services in SERVICES.values() for service in services)
        channel = undo.enter_context(connect(address, *services))
        modelyard_tracking.app.mount(
            server,
            tracking,
            store,
            UrlSigner(b"s" * 32, lambda: "http://gateway.test"),
            registry=channel,
            token=SERVICE_TOKEN,
        )
        modelyard_registry.app.mount(server, registry, store, channel)
        server.start(address)
        undo.callback(server.drain, 5)
        yield PostgresPlatform(server, channel, store, databases)
