"""`modelyard tracking`: the tracking service in its own process.

Exit codes: 0 it was stopped; 1 it could not start; 2 usage.
"""

from __future__ import annotations

from contextlib import ExitStack

import modelyard_tracking.app
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard_kit.artifacts.choosing import open_store
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.settings.table import TrackingSettings
from modelyard_server.processes import running
from modelyard_server.processes.databases import open_own
from modelyard_server.processes.stores import store_settings


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    return running.run("tracking", TrackingSettings, _start, argv)


def _start(settings: TrackingSettings, undo: ExitStack) -> running.Running:
    token = running.own_token(settings)
    tls = running.tls_files(settings)
    signer = running.url_signer(settings.home, token, settings.public_url)
    store = open_store(store_settings(settings), signer)
    database = open_own("tracking", settings.tracking_database_url, settings.home)
    undo.callback(database.close)
    server = RpcServer(token, tls.server(), tokens=running.api_tokens(settings, token, undo))
    registry = connect(
        settings.registry_target,
        registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
        credentials=tls.newest_credentials(),
    )
    undo.callback(registry.close)
    modelyard_tracking.app.mount(server, database, store, signer, registry=registry, token=token)
    return running.listen_grpc(server, settings, "tracking", undo)
