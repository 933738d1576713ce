"""A process that serves until it is told to stop: its ready line, its signals, its end."""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from modelyard.api.access.v1 import access_service_pb2
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.auth.grants import read_service_token
from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.errors import Error
from modelyard_kit.http.monitoring import Monitoring
from modelyard_kit.observability import logs, tracing
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.health import Readiness
from modelyard_kit.rpc.server import RpcServer, check_address
from modelyard_kit.rpc.token_checks import from_registry
from modelyard_kit.settings.checks import split_address
from modelyard_kit.settings.declarations import PREFIX, add_flags, load, refuse_unknown
from modelyard_kit.settings.table import (
    KNOWN_VARIABLES,
    ServiceSettings,
    ServingSettings,
    TrackingSettings,
)
from modelyard_kit.tls import TlsFiles
from modelyard_server import STARTED_S
from modelyard_server.processes.home import url_secret
from modelyard_server.processes.signals import (
    ended_by_stop,
    hold_stop_signals,
    wait_for_second_stop,
    wait_for_stop,
)

GRACE_S = 20

Settings = TypeVar("Settings", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class Running:
    """A service that listens.

    Attributes:
        addresses: Where, for people.
        readiness: Whether it can do its work now.
    """

    addresses: str
    readiness: Readiness


def run(
    role: str,
    kind: type[Settings],
    start: Callable[[Settings, ExitStack], Running],
    argv: Sequence[str],
) -> int:
    """Run a service with the arguments of its command; return the exit code.

    Args:
        role: The word that starts it.
        kind: Its settings.
        start: Starts it, and puts on the stack how everything ends, in reverse.
        argv: Its flags.
    """
    try:
        settings = read(kind, role, argv, os.environ)
        hold_stop_signals()
        logs.configure(settings.log_level)
        traced = tracing.exported(f"modelyard-{role}", os.environ)
        with traced, ExitStack() as last, ExitStack() as undo:
            started: list[Running] = []
            with ended_by_stop():
                monitoring = _monitoring(settings, role, started, last)
                running = start(settings, undo)
            started.append(running)
            _announce(role, running, monitoring)
            wait_for_stop()
            running.readiness.leave()
            wait_for_second_stop(settings.drain_delay_s)
    except Error as error:
        print(f"modelyard {role}: {error.message}", file=sys.stderr)
        return 1
    return 0


def read(
    kind: type[Settings], role: str, argv: Sequence[str], environ: Mapping[str, str]
) -> Settings:
    """Return the settings of a service, from its flags or else from the environment.

    A field `tracking_listen` is `--listen` of `modelyard tracking`, or
    `MODELYARD_TRACKING_LISTEN`.

    Raises:
        InvalidArgument: A variable is unknown, or a value is refused by its setting.
    """
    parser = argparse.ArgumentParser(
        prog=f"modelyard {role}",
        allow_abbrev=False,  # a token given by --token would be shown as the name of a file
        description=f"Run the service `{role}` in a process of its own, until it is told to stop.",
    )
    add_flags(parser, kind, role)
    options = parser.parse_args(argv)
    refuse_unknown(environ, KNOWN_VARIABLES)
    return load(kind, environ, vars(options))


def listen_grpc(
    server: RpcServer, settings: ServiceSettings, role: str, undo: ExitStack
) -> Running:
    """Start the gRPC server of a role with its services mounted, and have it drained at the end.

    Raises:
        InvalidArgument: The address is taken, or public while no token is asked for.
    """
    if settings.reflection:
        from modelyard_kit.rpc import reflection

        reflection.mount(server)
    name = f"{role}_listen"
    host, port = split_address(PREFIX + name.upper(), getattr(settings, name))
    undo.callback(server.drain, GRACE_S)
    (port,) = server.start(joined(host, port))
    return Running(f"gRPC {joined(host, port)}", server.readiness)


def joined(host: str, port: int) -> str:
    """Return `host:port`, with the brackets that IPv6 needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _monitoring(
    settings: ServiceSettings, role: str, started: list[Running], undo: ExitStack
) -> str | None:
    name = f"{role}_monitoring"
    address: str = getattr(settings, name)
    if not address:
        return None
    host, port = split_address(PREFIX + name.upper(), address)
    check_address(joined(host, port), own_token(settings))

    def problems() -> list[str]:
        return started[0].readiness.problems() if started else ["Starting."]

    monitoring = Monitoring(host, port, problems)
    undo.callback(monitoring.close)
    return f"http://{joined(host, monitoring.port)}"


def _announce(role: str, running: Running, monitoring: str | None) -> None:
    problems = running.readiness.problems()
    state = "listening, not ready yet" if problems else "ready"
    where = running.addresses + (f", monitoring {monitoring}" if monitoring else "")
    took_s = time.monotonic() - STARTED_S
    print(f"modelyard {role}: {state} after {took_s:.1f} s - {where}", flush=True)


def own_token(settings: ServiceSettings) -> str | None:
    """Return the service token, or None when none is asked for.

    Raises:
        InvalidArgument: The file cannot be read, or holds no token of the services.
    """
    return None if settings.token_file is None else read_service_token(settings.token_file)


def url_signer(home: Path, token: str | None, base_url: str) -> UrlSigner:
    """Return what signs URLs of artifacts, the same in every service.

    Args:
        home: Where the secret is kept if there is no token.
        token: The services' own.
        base_url: The gateway as clients reach it, without a slash at the end.

    Raises:
        InvalidArgument: There is no token, and the home's secret cannot be made or read.
    """
    return UrlSigner(url_secret(home, token), lambda: base_url)


def tls_files(settings: ServiceSettings) -> TlsFiles:
    """Return the TLS files of a service.

    Raises:
        InvalidArgument: Some are given without those that they need.
    """
    return TlsFiles(
        settings.tls_cert_file,
        settings.tls_key_file,
        settings.tls_ca_file,
        settings.tls_client_ca_file,
    )


def api_tokens(
    settings: TrackingSettings | ServingSettings, token: str | None, undo: ExitStack
) -> Tokens | None:
    """Return the API tokens as the registry knows them; None where no token is asked for."""
    if token is None:
        return None
    access = access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]
    credentials = tls_files(settings).newest_credentials()
    channel = connect(settings.registry_target, access, credentials=credentials)
    undo.callback(channel.close)
    return Tokens(from_registry(channel, token))
