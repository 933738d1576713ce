"""The list of RPCs in the contract that are not built yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.stores.memory import MemoryStore

import modelyard_registry.app
import modelyard_serving.app
import modelyard_tracking.app
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.db.open import open_database
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer

UNBUILT = {
    "modelyard.api.serving.v1.ServingService.Predict",
}


def test_what_is_not_built_is_known_and_printed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    server = RpcServer()
    signer = UrlSigner(bytes(32), lambda: "http://127.0.0.1")
    store = MemoryStore(signer)
    tracking = open_database(f"sqlite:///{tmp_path}/tracking.db")
    registry = open_database(f"sqlite:///{tmp_path}/registry.db")
    channel = connect("127.0.0.1:1")
    modelyard_tracking.app.mount(server, tracking, store, signer)
    modelyard_registry.app.mount(server, registry, store, channel)
    modelyard_serving.app.mount(server)
    record_property("unbuilt", "\n".join(sorted(server.unbuilt)))  # tests/conftest.py prints it
    assert set(server.unbuilt) == UNBUILT
    server.drain(0)
    channel.close()
    tracking.close()
    registry.close()
