"""Tracking, registry and gateway in processes of their own, with links between them that break.

What runs is the product: the commands `modelyard tracking|registry|gateway`, with their settings
in the environment. Only a mutant changes what a service does, and reports it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tests.faults.proxy import Proxy
from tests.support.databases.dialects import migrated_url
from tests.support.databases.postgres import Postgres
from tests.support.processes.ports import free_port
from tests.support.processes.up_process import environment

from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
ROLES = ("tracking", "registry", "gateway")
_LAUNCHER = Path(__file__).with_name("launch.py")
_ROOT = str(Path(__file__).parents[2])


class Service:
    """One process of a service, which is killed and started again.

    Args:
        role: The command that runs it.
        settings: Its environment.
        folder: Where its log goes.
        mutant: What to break in it; empty for the product as it is.
    """

    def __init__(
        self, role: str, settings: Mapping[str, str], folder: Path, mutant: str = ""
    ) -> None:
        self._command = [sys.executable, str(_LAUNCHER), role, mutant]
        self._environment = environment(
            PYTHONPATH=_ROOT, MODELYARD_LOG_LEVEL="ERROR", GRPC_VERBOSITY="NONE", **settings
        )
        self.log = folder / f"{role}.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it ended with code {self._process.wait()}: {self.log.read_text()}"

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: it does nothing, and its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wait(self, timeout_s: float) -> int:
        """Return the code with which it ended by itself."""
        assert self._process is not None
        return self._process.wait(timeout_s)


@dataclass
class Deployment:
    """What runs, and what can be done to it.

    Attributes:
        services: By role.
        proxies: Links by what is behind them: "registry", "tracking" for clients, and "database"
            for the registry, where there is a server.
        targets: `host:port` of each role, without a proxy.
        database_url: Of the registry, without a proxy.
        postgres: The server; None on SQLite.
        store: The folder of the objects.
    """

    services: dict[str, Service]
    proxies: dict[str, Proxy]
    targets: dict[str, str]
    database_url: str
    postgres: Postgres | None
    store: Path

    def doors(self) -> dict[str, str]:
        """Return what a client connects to: gRPC over the proxies, HTTP directly."""
        doors = {name: f"127.0.0.1:{self.proxies[name].port}" for name in ("registry", "tracking")}
        return doors | {"gateway": self.targets["gateway"]}


@contextmanager
def deployed(
    folder: Path,
    postgres: Postgres | None = None,
    roles: tuple[str, ...] = ROLES,
    mutant: str = "",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Deployment]:
    """Run services on fresh databases; everything is killed at the end.

    Args:
        folder: Gets files, logs and objects.
        postgres: Has the databases; None for SQLite files.
        roles: Which services to run.
        mutant: What to break in each of them.
        variables: More of the environment, or other than by default.
    """
    ports = {role: free_port() for role in ROLES}
    targets = {role: f"127.0.0.1:{port}" for role, port in ports.items()}
    urls: dict[str, str] = {
        area: _fresh(postgres, folder, area) for area in ("tracking", "registry") if area in roles
    }
    with ExitStack() as running:
        proxies = {
            role: running.enter_context(Proxy(ports[role])) for role in ("tracking", "registry")
        }
        behind = dict(urls)
        if postgres is not None and "registry" in urls:
            proxies["database"] = running.enter_context(Proxy(postgres.port))
            direct, through = f":{postgres.port}/", f":{proxies['database'].port}/"
            behind["registry"] = urls["registry"].replace(direct, through)
        settings = _settings(folder, targets, behind) | dict(variables or {})
        services = {role: Service(role, settings, folder, mutant) for role in roles}
        for service in services.values():
            running.callback(service.kill)
            service.start()
        yield Deployment(
            services, proxies, targets, urls.get("registry", ""), postgres, folder / "objects"
        )


def _fresh(postgres: Postgres | None, folder: Path, area: str) -> str:
    if postgres is None:
        return migrated_url("sqlite", folder, MIGRATIONS_BY_SERVICE[area])
    return postgres.migrated(MIGRATIONS_BY_SERVICE[area])


def _settings(folder: Path, targets: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, str]:
    settings = {
        "MODELYARD_HOME": str(folder / "home"),
        "MODELYARD_ARTIFACTS": str(folder / "objects"),
        "MODELYARD_PUBLIC_URL": f"http://{targets['gateway']}",
    }
    for role, target in targets.items():
        settings[f"MODELYARD_{role.upper()}_LISTEN"] = target
    for area, url in urls.items():
        settings[f"MODELYARD_{area.upper()}_DATABASE_URL"] = url
        settings[f"MODELYARD_{area.upper()}_TARGET"] = targets[area]
    return settings


def paused_backend(postgres: Postgres) -> int | None:
    """Stop a PostgreSQL process that serves us now; return its id, None if none does anything."""
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'modelyard' "
            "ORDER BY state = 'active' DESC, query_start DESC LIMIT 1"
        ).fetchone()
    if row is None:
        return None
    os.kill(row[0], signal.SIGSTOP)
    return int(row[0])
