"""The whole platform in one process: every service on one gRPC server, the gateway beside it.

The services talk to each other over the server's own socket, as they would over a network.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from importlib.metadata import version

import modelyard_registry.app
import modelyard_serving.app
import modelyard_tracking.app
from modelyard_gateway.app import Gateway
from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_gateway.backends import SERVICES, Backend
from modelyard_gateway.server import HttpServer
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.artifacts.choosing import open_store
from modelyard_kit.auth.grants import read_service_token
from modelyard_kit.db.base import Database
from modelyard_kit.db.identity import id_in
from modelyard_kit.db.migrations import migrate
from modelyard_kit.http.listening import listen
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer, check_address
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE, open_own
from modelyard_server.processes.home import Home, url_secret
from modelyard_server.processes.stores import store_settings

_GRACE_S = 20


class Embedded:
    """A running platform.

    Attributes:
        home: Home folder, which holds all data.
        http: URL of the HTTP edge.
        grpc: `host:port` of the gRPC port.
        socket: Path of the gRPC socket.
        server: gRPC server behind both.

    Raises:
        FailedPrecondition: Another process uses this home.
        InvalidArgument: An address is taken, or public although no token is required.
    """

    def __init__(self, settings: UpSettings) -> None:
        with ExitStack() as undo:
            self._home = Home(settings.home)
            undo.callback(self._home.close)
            self.home = self._home.path
            token = None if settings.token_file is None else read_service_token(settings.token_file)
            check_address(_address(settings.host, settings.port), token)
            listener = undo.enter_context(listen(settings.host, settings.port))
            self.http = settings.public_url or _url(settings.host, listener)
            signer = UrlSigner(url_secret(self.home, token), lambda: self.http)
            store = open_store(store_settings(settings), signer)
            self.socket = self._home.socket()
            tracking, registry = self._databases(undo)
            self.server = RpcServer(token, tokens=modelyard_registry.app.api_tokens(registry))
            undo.callback(self.server.drain, _GRACE_S)
            channel = connect(f"unix:{self.socket}", *SERVICES["registry"])
            self.server.on_close(channel.close)
            modelyard_tracking.app.mount(
                self.server, tracking, store, signer, registry=channel, token=token
            )
            self._mount_others(settings, registry, store, token)
            self._identify(tracking, registry)
            grpc_port = self._listen(settings)
            self.grpc = _address(_reachable(settings.host), grpc_port)
            gateway = Gateway(
                [Backend(area, f"unix:{self.socket}", f":{grpc_port}") for area in SERVICES],
                store,
                signer,
                self.server.active,
                host=settings.host,
                token=token,
                uploads=UploadLimits(self._home.path, settings.max_upload_bytes),
            )
            http_server = HttpServer(gateway, listener, _GRACE_S)
            http_server.start()
            undo.callback(http_server.stop)
            self._home.publish(version("modelyard"), self.http, self.grpc, self.socket)
            undo.callback(self._home.withdraw)
            self._undo = undo.pop_all()

    def _mount_others(
        self, settings: UpSettings, registry: Database, store: ArtifactStore, token: str | None
    ) -> None:
        tracking = connect(f"unix:{self.socket}", *SERVICES["tracking"])
        self.server.on_close(tracking.close)
        modelyard_registry.app.mount(
            self.server,
            registry,
            store,
            tracking,
            token=token,
            protects_staged=settings.deletion_protection == "staged",
        )
        modelyard_serving.app.mount(self.server)
        if settings.reflection:
            from modelyard_kit.rpc import reflection

            reflection.mount(self.server)

    def _identify(self, tracking: Database, registry: Database) -> None:
        """Refuse to start unless databases, store and home are of one installation."""
        for database in (tracking, registry):
            database.check()
        with tracking.read() as session:
            self._home.identify(str(id_in(session, "tracking")))

    def _listen(self, settings: UpSettings) -> int:
        address = _address(settings.host, settings.grpc_port)
        port, _ = self.server.start(address, f"unix:{self.socket}")
        self.socket.chmod(0o600)
        return port

    def _databases(self, undo: ExitStack) -> list[Database]:
        """Open both databases before either gets its tables: one alone is taken for a loss."""
        opened = {area: open_own(area, "", self.home) for area in MIGRATIONS_BY_SERVICE}
        for area, database in opened.items():
            undo.callback(database.close)
            migrate(database, MIGRATIONS_BY_SERVICE[area])
        return list(opened.values())

    def stop(self) -> None:
        """Refuse new calls, wait for those in flight, then close everything."""
        self._undo.close()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reachable(host: str) -> str:
    return socket.gethostname() if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{_address(_reachable(host), listener.getsockname()[1])}"
