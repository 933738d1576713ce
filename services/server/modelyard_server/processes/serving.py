"""`modelyard serving`: the serving service in its own process.

Exit codes: 0 it was stopped; 1 it could not start; 2 usage.
"""

from __future__ import annotations

from contextlib import ExitStack

import modelyard_serving.app
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.settings.table import ServingSettings
from modelyard_server.processes import running


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    return running.run("serving", ServingSettings, _start, argv)


def _start(settings: ServingSettings, undo: ExitStack) -> running.Running:
    token = running.own_token(settings)
    tls = running.tls_files(settings).server()
    server = RpcServer(token, tls, tokens=running.api_tokens(settings, token, undo))
    modelyard_serving.app.mount(server)
    return running.listen_grpc(server, settings, "serving", undo)
