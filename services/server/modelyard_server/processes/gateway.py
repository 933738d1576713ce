"""`modelyard gateway`: the HTTP edge in its own process.

Exit codes: 0 it was stopped; 1 it could not start; 2 usage.
"""

from __future__ import annotations

from contextlib import ExitStack

from modelyard_gateway.app import Gateway
from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_gateway.backends import SERVICES, Backend
from modelyard_gateway.server import HttpServer
from modelyard_kit.artifacts.choosing import open_store
from modelyard_kit.http.listening import listen
from modelyard_kit.rpc.health import Readiness
from modelyard_kit.rpc.server import ActiveCalls, check_address
from modelyard_kit.settings.checks import split_address
from modelyard_kit.settings.table import GatewaySettings
from modelyard_kit.tls import TlsFiles
from modelyard_server.processes import running
from modelyard_server.processes.stores import store_settings

_FULL = "All HTTP connections have a request in progress; new ones are closed at once."


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    return running.run("gateway", GatewaySettings, _start, argv)


def _start(settings: GatewaySettings, undo: ExitStack) -> running.Running:
    token = running.own_token(settings)
    host, port = split_address("MODELYARD_GATEWAY_LISTEN", settings.gateway_listen)
    check_address(running.joined(host, port), token)
    files = running.tls_files(settings)
    tls = files.server()
    backends = _backends(settings, files)
    listener = undo.enter_context(listen(host, port))
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://{running.joined(host, listener.getsockname()[1])}"
    signer = running.url_signer(settings.home, token, settings.public_url or url)
    gateway = Gateway(
        backends,
        open_store(store_settings(settings), signer),
        signer,
        ActiveCalls(),
        host=host,
        token=token,
        uploads=UploadLimits(max_bytes=settings.max_upload_bytes),
    )
    server = HttpServer(gateway, listener, running.GRACE_S, tls)
    server.start()
    undo.callback(server.stop)
    readiness = Readiness()
    readiness.add("http", lambda: _FULL if gateway.is_full() else "", "gateway")
    readiness.add("artifacts", gateway.artifacts_problem, "gateway")
    return running.Running(url, readiness)


def _backends(settings: GatewaySettings, tls: TlsFiles) -> list[Backend]:
    credentials = tls.newest_credentials()
    targets = {
        "tracking": (settings.tracking_target, settings.tracking_public_target),
        "registry": (settings.registry_target, settings.registry_public_target),
        "serving": (settings.serving_target, settings.serving_public_target),
    }
    return [
        Backend(area, targets[area][0], targets[area][1] or targets[area][0], credentials)
        for area in SERVICES
        if targets[area][0]
    ]
