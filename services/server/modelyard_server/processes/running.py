"""Runs a service until it is stopped: settings, ready line, signals, shutdown."""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from modelyard.api.access.v1 import access_service_pb2
from modelyard.command_line import Parser
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
from modelyard_kit.settings.programs import KNOWN_VARIABLES
from modelyard_kit.settings.table import ServiceSettings, ServingSettings, TrackingSettings
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
        addresses: Addresses for the ready line.
        readiness: Readiness of the service.
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
        role: Name of the command.
        kind: Class of the service's settings.
        start: Starts the service and pushes the clean-up of everything onto the stack.
        argv: Flags of the command.
    """
    try:
        settings = read(kind, role, argv, os.environ)
        hold_stop_signals()
        logs.configure(settings.log_level, settings.log_format)
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
        InvalidArgument: A variable is unknown, or a value is invalid for its setting.
    """
    parser = Parser(
        prog=f"modelyard {role}",
        allow_abbrev=False,  # a token given by --token would be shown as the name of a file
        description=f"Run the service `{role}` in its own process, until it is stopped.",
    )
    add_flags(parser, kind, role)
    options = parser.parse_args(argv)
    refuse_unknown(environ, KNOWN_VARIABLES)
    return load(kind, environ, vars(options))


def listen_grpc(
    server: RpcServer, settings: ServiceSettings, role: str, undo: ExitStack
) -> Running:
    """Start the gRPC server of a role, whose services are mounted; drain it at the end.

    Raises:
        InvalidArgument: The address is taken, or public although no token is required.
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
    """Return the service token; None if no token is required.

    Raises:
        InvalidArgument: The file cannot be read, or does not hold a service token.
    """
    return None if settings.token_file is None else read_service_token(settings.token_file)


def url_signer(home: Path, token: str | None, base_url: str) -> UrlSigner:
    """Return the signer of artifact URLs, the same in every service.

    Args:
        home: Folder of the secret if there is no token.
        token: Service token.
        base_url: Address of the gateway for clients, without a trailing slash.

    Raises:
        InvalidArgument: There is no token, and the home's secret cannot be created or read.
    """
    return UrlSigner(url_secret(home, token), lambda: base_url)


def tls_files(settings: ServiceSettings) -> TlsFiles:
    """Return the TLS files of a service.

    Raises:
        InvalidArgument: A file is given without another that it requires.
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
    """Return the API tokens of the registry; None if no token is required."""
    if token is None:
        return None
    access = access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]
    credentials = tls_files(settings).newest_credentials()
    channel = connect(settings.registry_target, access, credentials=credentials)
    undo.callback(channel.close)
    return Tokens(from_registry(channel, token))
