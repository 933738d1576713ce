"""`modelyard registry`: the registry in its own process.

Exit codes: 0 it was stopped; 1 it could not start; 2 usage.
"""

from __future__ import annotations

from contextlib import ExitStack

import modelyard_registry.app
from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard_kit.artifacts.choosing import open_store
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.settings.table import RegistrySettings
from modelyard_server.processes import running
from modelyard_server.processes.databases import open_own
from modelyard_server.processes.stores import store_settings


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    return running.run("registry", RegistrySettings, _start, argv)


def _start(settings: RegistrySettings, undo: ExitStack) -> running.Running:
    token = running.own_token(settings)
    tls = running.tls_files(settings)
    signer = running.url_signer(settings.home, token, settings.public_url)
    store = open_store(store_settings(settings), signer)
    artifacts = artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"]
    tracking = connect(settings.tracking_target, artifacts, credentials=tls.newest_credentials())
    undo.callback(tracking.close)
    database = open_own("registry", settings.registry_database_url, settings.home)
    undo.callback(database.close)
    server = RpcServer(token, tls.server(), tokens=modelyard_registry.app.api_tokens(database))
    modelyard_registry.app.mount(
        server,
        database,
        store,
        tracking,
        token=token,
        protects_staged=settings.deletion_protection == "staged",
    )
    return running.listen_grpc(server, settings, "registry", undo)
