"""Services in processes of their own, as an installation runs them."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes.ports import free_port
from tests.support.processes.up_process import STOP_TIMEOUT_S, command, environment

ROLES = ("tracking", "registry", "serving", "gateway")
TOKEN = "the-services-own-token"


@dataclass
class Service:
    """A running service.

    Attributes:
        role: Command of the service.
        process: Process of the service.
        ready_line: Line that it printed when it listened.
    """

    role: str
    process: subprocess.Popen[str]
    ready_line: str

    @property
    def address(self) -> str:
        """Address of the service's own port, `host:port`."""
        found = re.search(r" - (?:gRPC |https?://)(\S+?)(?:,|$)", self.ready_line)
        assert found, self.ready_line
        return found[1]

    @property
    def readiness(self) -> tuple[int, str]:
        """Status and body of `/readyz` of the monitoring port."""
        return self.monitored("/readyz")

    def monitored(self, path: str) -> tuple[int, str]:
        found = re.search(r"monitoring http://(\S+)", self.ready_line)
        assert found, self.ready_line
        status, body = get(found[1], path)
        return status, body.decode().strip()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def service(role: str, *arguments: str | Path, **variables: str) -> Iterator[Service]:
    """Run a service until the block ends, then kill it if it still runs."""
    with starting(role, *arguments, **variables) as process:
        yield _ready(role, process)


@contextmanager
def starting(
    role: str, *arguments: str | Path, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """Start a service, which may never be ready; it is killed when the block ends."""
    words = (role, "--monitoring", "127.0.0.1:0", "--log-level", "ERROR", *arguments)
    process = subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, text=True, env=environment(**variables)
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _ready(role: str, process: subprocess.Popen[str]) -> Service:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"{role} ended with code {process.wait()}"
    return Service(role, process, line.strip())


def get(
    address: str, path: str, token: str = "", tls: ssl.SSLContext | None = None
) -> tuple[int, bytes]:
    """Send a GET request by HTTP, without TLS unless a context is given."""
    host, _, port = address.rpartition(":")
    connection = (
        http.client.HTTPConnection(host, int(port), timeout=60)
        if tls is None
        else http.client.HTTPSConnection(host, int(port), timeout=60, context=tls)
    )
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@dataclass
class Installation:
    """The four services, which know each other's addresses.

    Attributes:
        settings: Environment of each service.
        token: The service token; empty for no authentication.
        services: Running services by role.
    """

    settings: dict[str, str]
    token: str
    services: dict[str, Service] = field(default_factory=dict)
    _processes: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """URL of the gateway."""
        scheme = "https" if "MODELYARD_TLS_CERT_FILE" in self.settings else "http"
        return f"{scheme}://{self.settings['MODELYARD_GATEWAY_LISTEN']}"

    @property
    def client(self) -> dict[str, str]:
        """Settings of a client."""
        mine = {"MODELYARD_TRACKING_URI": self.url}
        tls = ("CA", "CERT", "KEY")
        for name in (f"MODELYARD_TLS_{kind}_FILE" for kind in tls):
            mine |= {name: self.settings[name]} if name in self.settings else {}
        return mine | ({"MODELYARD_TOKEN": self.token} if self.token else {})

    def start(self, *roles: str) -> None:
        """Start services concurrently; a restarted service keeps its addresses."""
        started = [
            (role, self._processes.enter_context(starting(role, **self.settings))) for role in roles
        ]
        for role, process in started:
            self.services[role] = _ready(role, process)

    def kill(self, *roles: str) -> None:
        for role in roles:
            self.services.pop(role).kill()

    def get(self, path: str, token: str = "") -> tuple[int, bytes]:
        """Send a GET request to the gateway."""
        ca = self.settings.get("MODELYARD_TLS_CA_FILE")
        tls = ssl.create_default_context(cafile=ca) if ca else None
        return get(self.settings["MODELYARD_GATEWAY_LISTEN"], path, token, tls)

    def health(self) -> tuple[int, str]:
        """Status of the gateway's `/health`, with "OK" or the message of the error."""
        status, body = self.get("/health")
        return status, body.decode() if status == http.client.OK else json.loads(body)["message"]

    def close(self) -> None:
        self._processes.close()


@contextmanager
def installation(
    folder: Path, *, token: str = "", path: str = "", **settings: str
) -> Iterator[Installation]:
    """Migrate the databases and run the four services until the block ends.

    Args:
        folder: Home, for data that the settings do not place elsewhere.
        token: The service token; empty for no authentication.
        path: Path of the public URL.
        settings: Additional settings.
    """
    listen = {role: f"127.0.0.1:{free_port()}" for role in ROLES}
    known = {f"MODELYARD_{role.upper()}_LISTEN": address for role, address in listen.items()}
    known |= {f"MODELYARD_{role.upper()}_TARGET": listen[role] for role in ROLES[:3]}
    known |= {"MODELYARD_HOME": str(folder / "home"), "MODELYARD_PUBLIC_URL": ""}
    if token:
        (folder / "token").write_text(token)
        known["MODELYARD_TOKEN_FILE"] = str(folder / "token")
    running = Installation({**known, **settings}, token)
    running.settings["MODELYARD_PUBLIC_URL"] = running.url + path
    subprocess.run(command("migrate"), check=True, env=environment(**running.settings))
    try:
        running.start(*ROLES)
        yield running
    finally:
        running.close()
