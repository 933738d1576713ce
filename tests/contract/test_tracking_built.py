from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import refused, tracking_at
from tests.support.stores.memory import MemoryStore

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.db.migrations import migrate
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.rpc.server import RpcServer
from modelyard_tracking.app import MIGRATIONS, mount


def test_every_rpc_is_built(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/tracking.db")
    server = RpcServer()
    signer = UrlSigner(b"s" * 32, lambda: "http://store.test")
    mount(server, database, MemoryStore(signer), signer)
    database.close()
    assert list(server.unbuilt) == []


def test_it_is_ready_only_with_its_tables(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/tracking.db")
    server = RpcServer()
    signer = UrlSigner(b"s" * 32, lambda: "http://store.test")
    mount(server, database, MemoryStore(signer), signer)
    (problem,) = server.readiness.problems()
    assert problem == (
        "tracking: The tracking database is at revision none, this version needs "
        f"{MIGRATIONS.head}. "
        "Run `modelyard migrate`."
    )
    migrate(database, MIGRATIONS)
    assert server.readiness.problems() == []
    database.close()


def test_what_was_logged_is_there_after_a_restart(tmp_path: Path, dialect: Dialect) -> None:
    with tracking_at(tmp_path, dialect) as tracking:
        run_id = tracking.create_run()
        tracking.rpc.LogMetric(pb.LogMetricRequest(run_id=run_id, key="m", value=1.0))
        run = tracking.get_run(run_id)
        if dialect == "sqlite":
            with pytest.raises(FailedPrecondition, match="open in another process"):
                open_database(f"sqlite:///{tmp_path}/tracking.db")
    with tracking_at(tmp_path, dialect, store=tracking.store) as tracking:
        assert tracking.get_run(run_id) == run


def test_a_call_without_the_token_is_refused(tmp_path: Path, dialect: Dialect) -> None:
    with (
        tracking_at(tmp_path, dialect, token="secret-token") as tracking,
        refused("UNAUTHENTICATED"),
    ):
        tracking.create_run()
