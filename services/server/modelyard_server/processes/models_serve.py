"""`modelyard models serve`: one endpoint in its own process.

Exit codes: 0 stopped, 1 it could not start, or its reference named no model then, 2 invalid
argument or setting.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelyard.command_line import Parser
from modelyard.exceptions import ModelyardException
from modelyard.internal import connections, instances
from modelyard_kit.auth import grants
from modelyard_kit.errors import Error, InvalidArgument
from modelyard_kit.http import hosts
from modelyard_kit.http.listening import listen
from modelyard_kit.http.monitoring import Monitoring
from modelyard_kit.http.server import Server
from modelyard_kit.observability import logs, tracing
from modelyard_kit.rpc.server import check_address
from modelyard_kit.settings.checks import MAX_PORT, split_address
from modelyard_kit.settings.declarations import add_flags, load, refuse_unknown
from modelyard_kit.settings.programs import KNOWN_VARIABLES
from modelyard_kit.settings.table import ModelServerSettings
from modelyard_serving import scratch
from modelyard_serving.callers import Callers
from modelyard_serving.clients import Registry
from modelyard_serving.endpoint import Endpoint
from modelyard_serving.following import Follower
from modelyard_serving.http import App
from modelyard_serving.runtime import limits, sandbox
from modelyard_serving.runtime.process import Confinement

_DRAIN_MARGIN_S = 5.0
_MONITORING = "MODELYARD_SERVING_MONITORING"

_log = logging.getLogger(__name__)


def run(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        refuse_unknown(os.environ, KNOWN_VARIABLES)
        settings = load(ModelServerSettings, os.environ, vars(arguments))
        logs.configure(settings.log_level, settings.log_format)
        token = _token(settings)
        check_address(f"{arguments.host}:{arguments.port}", token)
        if settings.serving_monitoring:
            check_address(settings.serving_monitoring, token)
    except Error as error:
        return _complain(error.message, 2)
    try:
        listener = listen(arguments.host, arguments.port)
        sandbox.hide()
        _log.info("workers are confined by %s", sandbox.in_force() or "limits: no Landlock here")
        with (
            listener,
            tracing.exported("modelyard-endpoint", os.environ),
            scratch.folder() as folder,
        ):
            confinement = _confinement(settings, folder)
            no_model = asyncio.run(_serve(arguments, settings, token, listener, confinement))
    except Error as error:
        return _complain(error.message, 1)
    return _complain(no_model, 1) if no_model else 0


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard models serve",
        description="Serve predictions over HTTP from the version that a model URI resolves to, "
        "until Ctrl-C. The version is replaced without an interruption when the URI resolves to "
        "another one.",
        examples=("-m models:/iris_classifier/Production", "-m models:/iris@champion -p 8080"),
    )
    parser.add_argument(
        *("-m", "--model-uri"),
        required=True,
        type=_model_uri,
        help="models:/name/Production, models:/name@alias, models:/name/3, models:/m-<id> or "
        "runs:/<run_id>/<path>",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        *("-p", "--port"), default=5001, type=_port, help="0 for a free one (default: 5001)"
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="load pickled models, which can run any code",
    )
    parser.add_argument(
        "--allow-unverified",
        action="store_true",
        help="load an unverified version from the local folder that is its source",
    )
    # The token is not a flag: the SDK reads it from the environment.
    flags = (
        *("log_level", "log_format", "serving_monitoring"),
        *("serving_max_body_bytes", "serving_timeout_s", "serving_memory_bytes"),
    )
    add_flags(parser, ModelServerSettings, "serving", only=flags)
    return parser


def _model_uri(text: str) -> str:
    if not text.startswith(("models:/", "runs:/")):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a model URI; use models:/name/Production, models:/name@alias, "
            "models:/name/3, models:/m-<id> or runs:/<run_id>/<path>"
        )
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; use 0 to {MAX_PORT}")
    return int(text)


def _token(settings: ModelServerSettings) -> str | None:
    """Return the token for the registry; callers that present it may do everything here.

    Raises:
        InvalidArgument: The registry's address is malformed, the token file cannot be read, or the
            token is shorter than a token file's may be.
    """
    try:
        of_address = connections.credentials(connections.registry_uri())
    except ModelyardException as error:
        raise InvalidArgument(error.message) from None
    if of_address:
        return _strong(of_address.token, "The token in the registry's URI")
    if settings.token:
        return _strong(settings.token, "MODELYARD_TOKEN")
    return None if settings.token_file is None else grants.read_token(settings.token_file)


def _strong(token: str, source: str) -> str:
    if not grants.is_strong(token):
        raise InvalidArgument(
            f"{source} must have at least {grants.MIN_TOKEN_LENGTH} printable ASCII characters: "
            "callers that send it may do everything."
        )
    return token


def _confinement(settings: ModelServerSettings, folder: Path) -> Confinement:
    """Return the bounds of the workers, whose temporary files are in a folder."""
    closed = []
    with suppress(ModelyardException):  # the user has no home
        closed.append(instances.home())
    if settings.token_file is not None:
        closed.append(settings.token_file)
    memory_bytes = settings.serving_memory_bytes or limits.default_memory_bytes()
    return Confinement(memory_bytes, tuple(closed), folder)


async def _serve(
    arguments: argparse.Namespace,
    settings: ModelServerSettings,
    token: str | None,
    listener: socket.socket,
    confinement: Confinement,
) -> str:
    """Serve until a signal; return the reason if the reference names no model at the start."""
    timeout_s = settings.serving_timeout_s
    endpoint = Endpoint(arguments.model_uri)
    registry = Registry(token, allow_unverified=arguments.allow_unverified)
    follower = Follower(
        endpoint,
        registry,
        allow_pickle=arguments.allow_pickle,
        timeout_s=timeout_s,
        confinement=confinement,
    )
    names = hosts.of_server(arguments.host, token)
    callers = Callers(token, registry.grant)
    app = App(endpoint, callers, settings.serving_max_body_bytes, timeout_s, names)
    server = Server(app, int(timeout_s + _DRAIN_MARGIN_S))
    app.is_full = server.is_full
    _drain_on_signals(server, endpoint)
    following = asyncio.create_task(follower.run())
    following.add_done_callback(lambda _: server.stop() if follower.no_model else None)
    announcing = asyncio.create_task(_announce(endpoint, follower, _url(listener)))
    try:
        with _monitored(settings.serving_monitoring, app):
            await server.serve(sockets=[listener])
    finally:
        following.cancel()
        announcing.cancel()
        await asyncio.wait([following, announcing])
        if not server.force_exit:
            await follower.close()
    return follower.no_model


def _drain_on_signals(server: Server, endpoint: Endpoint) -> None:
    def drain() -> None:
        server.force_exit = endpoint.is_draining  # second signal: do not wait for requests
        endpoint.is_draining = True
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, drain)


@contextmanager
def _monitored(address: str, app: App) -> Iterator[None]:
    """Run the monitoring port inside the block, if it has an address."""
    if not address:
        yield
        return
    host, port = split_address(_MONITORING, address)
    monitoring = Monitoring(host, port, lambda: list(filter(None, [app.problem()])))
    try:
        yield
    finally:
        monitoring.close()


async def _announce(endpoint: Endpoint, follower: Follower, url: str) -> None:
    await follower.attempted.wait()
    if follower.no_model:
        return
    if endpoint.served is None:
        _say(f"waiting at {url}: {endpoint.why_not_ready}")
        await endpoint.loaded.wait()
    if endpoint.served is not None:
        _say(f"serving {endpoint.uri} {endpoint.served.identity} on {url}")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say(text: str) -> None:
    sys.stdout.write(f"modelyard: {text}\n")
    sys.stdout.flush()


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"modelyard models serve: {message}\n")
    return code
