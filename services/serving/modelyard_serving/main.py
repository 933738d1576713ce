"""`modelyard models serve`: one endpoint in a process of its own.

Exit codes: 0 it was stopped, 1 it could not start, 2 a wrong argument or setting.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from modelyard_kit import auth, logs, settings, tracing
from modelyard_kit.errors import Error, InvalidArgument
from modelyard_kit.http.server import Server
from modelyard_kit.listening import listen
from modelyard_kit.server import check_address
from modelyard_serving.endpoint import Endpoint
from modelyard_serving.following import Follower
from modelyard_serving.http import App
from modelyard_serving.neighbours import Registry
from modelyard_serving.runtime.frames import MAX_BODY_BYTES

_ROLE = "SERVING"
_SERVICE_VARIABLES = {
    "MODELYARD_SERVING_LISTEN",
    "MODELYARD_SERVING_MONITORING",
    "MODELYARD_SERVING_TARGET",
    "MODELYARD_SERVING_PUBLIC_TARGET",
}
"""Of the serving service and of those that call it, which may share an environment with this."""
_DRAIN_MARGIN_S = 5.0
_MAX_PORT = 65535


@dataclass(frozen=True)
class Settings:
    """`MODELYARD_SERVING_*`.

    Attributes:
        max_body_bytes: Of a request; at most 256 MiB.
        timeout_s: Of a request, with its waiting.
    """

    max_body_bytes: int = 16 << 20
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.max_body_bytes <= MAX_BODY_BYTES:
            raise InvalidArgument(
                f"MODELYARD_SERVING_MAX_BODY_BYTES must be 1 to {MAX_BODY_BYTES}, "
                f"got {self.max_body_bytes}."
            )
        if not self.timeout_s > 0:
            raise InvalidArgument(
                f"MODELYARD_SERVING_TIMEOUT_S must be above 0, got {self.timeout_s}."
            )


def run(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    arguments = _parser().parse_args(argv)
    level = os.environ.get("MODELYARD_LOG_LEVEL") or "INFO"
    try:
        logs.check_level(level)
        logs.configure(level)
        chosen = _settings()
        token = _token()
        check_address(f"{arguments.host}:{arguments.port}", token)
    except Error as error:
        return _complain(error.message, 2)
    try:
        listener = listen(arguments.host, arguments.port)
    except Error as error:
        return _complain(error.message, 1)
    with listener, tracing.exported("modelyard-endpoint", os.environ):
        asyncio.run(_serve(arguments, chosen, token, listener))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard models serve",
        description="Answer predictions over HTTP from whichever version a reference means.",
    )
    parser.add_argument(
        *("-m", "--model-uri"),
        required=True,
        type=_model_uri,
        help="models:/name/Production, models:/name@alias, models:/name/3, models:/m-<id> or "
        "runs:/<run_id>/<path>",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        *("-p", "--port"), default=5001, type=_port, help="0 chooses a free one (default: 5001)"
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="load pickled models, which can run any code",
    )
    parser.add_argument(
        "--allow-unverified",
        action="store_true",
        help="open the local folder that an unverified version names as its source",
    )
    return parser


def _model_uri(text: str) -> str:
    if not text.startswith(("models:/", "runs:/")):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no model URI; use models:/name/Production, models:/name@alias, "
            "models:/name/3, models:/m-<id> or runs:/<run_id>/<path>"
        )
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"'{text}' is no port; use 0 to {_MAX_PORT}")
    return int(text)


def _settings() -> Settings:
    start = f"{settings.PREFIX}{_ROLE}_"
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(start) and name not in _SERVICE_VARIABLES
    }
    settings.refuse_unknown(ours, settings.variables(Settings, _ROLE).values())
    return settings.load(Settings, ours, _ROLE)


def _token() -> str | None:
    """The token that the registry asks for is the one that predictions need."""
    file = os.environ.get("MODELYARD_TOKEN_FILE")
    return auth.read_token(Path(file)) if file else os.environ.get("MODELYARD_TOKEN") or None


async def _serve(
    arguments: argparse.Namespace, chosen: Settings, token: str | None, listener: socket.socket
) -> None:
    endpoint = Endpoint(arguments.model_uri)
    registry = Registry(token, allow_unverified=arguments.allow_unverified)
    follower = Follower(
        endpoint, registry, allow_pickle=arguments.allow_pickle, timeout_s=chosen.timeout_s
    )
    app = App(endpoint, token, chosen.max_body_bytes, chosen.timeout_s)
    server = Server(app, int(chosen.timeout_s + _DRAIN_MARGIN_S))

    def drain() -> None:
        server.force_exit = endpoint.is_draining  # asked twice: do not wait for anybody
        endpoint.is_draining = True
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, drain)
    following = asyncio.create_task(follower.run())
    announcing = asyncio.create_task(_announce(endpoint, follower, _url(listener)))
    try:
        await server.serve(sockets=[listener])
    finally:
        following.cancel()
        announcing.cancel()
        await asyncio.wait([following, announcing])
        if not server.force_exit:
            await follower.close()


async def _announce(endpoint: Endpoint, follower: Follower, url: str) -> None:
    await follower.attempted.wait()
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
