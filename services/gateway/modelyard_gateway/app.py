"""The HTTP edge: an ASGI application with a table of routes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from urllib.parse import urlsplit

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

from modelyard_gateway import errors, objects
from modelyard_gateway.backends import Backend, Readiness
from modelyard_gateway.errors import HttpError
from modelyard_gateway.http import Receive, Request, Response, Scope, Send, send_response
from modelyard_kit import errors as kit_errors
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.server import ActiveCalls

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

http_duration = Histogram(
    "modelyard_http_duration_seconds",
    "Time from the arrival of an HTTP request to the end of its answer.",
    ("route", "method", "status"),
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class Gateway:
    """Answers HTTP for the services behind it.

    Args:
        backends: The services.
        store: Where the bytes behind `/artifacts/objects/` are.
        signer: Made the URLs of those bytes.
        active: Counts transfers of bytes, beside the calls it counts already.
        host: The address it listens on, or None to answer whatever name it is called by. Without
            a token a page of another site could otherwise reach it through a name it controls.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        store: ArtifactStore,
        signer: UrlSigner,
        active: ActiveCalls,
        host: str | None,
    ) -> None:
        self._backends = backends
        self._readiness = Readiness(backends)
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._objects = objects.Objects(store, signer, active)
        self._hosts = None if host is None else _LOOPBACK | {host}
        self._version = version("modelyard")
        self.stopping = False
        """Set to be called not ready while the last requests are answered."""
        self._routes: dict[str, dict[str, Handler]] = {
            "/health": {"GET": self._health},
            "/version": {"GET": self._tell_version},
            "/.well-known/modelyard": {"GET": self._well_known},
            "/metrics": {"GET": self._metrics},
            objects.PREFIX: {"GET": self._objects.get, "PUT": self._objects.put},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = time.monotonic()
        response = await self._answer(request)
        try:
            await send_response(request, response, send)
        finally:
            route = _route(request.path)
            known = route if route in self._routes else "unknown"
            _observe(request, known, response.status, time.monotonic() - started)

    def close(self) -> None:
        self._objects.close()
        self._checking.shutdown()
        self._readiness.close()

    async def _answer(self, request: Request) -> Response:
        try:
            self._check_host(request)
            return await self._handler(request)(request)
        except (HttpError, kit_errors.Error) as error:
            return errors.response(error, request.request_id)
        except (ConnectionError, TimeoutError) as error:
            gone = kit_errors.Cancelled("The body stopped before its end; nothing was kept.")
            logger.info("upload broke off", extra={"cause": str(error)})
            return errors.response(gone, request.request_id)
        except Exception:
            logger.exception("unhandled error", extra={"request": request.request_id})
            return errors.internal(request.request_id)

    def _handler(self, request: Request) -> Handler:
        handlers = self._routes.get(_route(request.path))
        if handlers is None:
            raise HttpError(404, "ENDPOINT_NOT_FOUND", f"No such route: {request.path[:200]}")
        # A HEAD is a GET whose body is not sent.
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allowed = ", ".join(sorted({*handlers, "HEAD"}))
            message = f"{request.path[:200]} does not answer {request.method[:20]}, use {allowed}"
            raise HttpError(405, "BAD_REQUEST", message, {"allow": allowed})
        return handler

    def _check_host(self, request: Request) -> None:
        if self._hosts is None:
            return
        given = request.headers.get("host", "")
        try:
            name = urlsplit(f"//{given}").hostname
        except ValueError:
            name = None
        if name not in self._hosts:
            raise kit_errors.PermissionDenied(
                f"This server does not answer to the name '{given[:200]}'; "
                f"call it {', '.join(sorted(self._hosts))}, or start it with a token."
            )

    async def _health(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        missing = await loop.run_in_executor(self._checking, self._readiness.missing)
        if self.stopping:
            raise kit_errors.Unavailable("Not ready: stopping.")
        if missing:
            raise kit_errors.Unavailable(f"Not ready: {', '.join(missing)}.")
        return _text("OK")

    async def _tell_version(self, request: Request) -> Response:
        return _text(self._version)

    async def _well_known(self, request: Request) -> Response:
        targets = {backend.area: backend.public for backend in self._backends}
        body = orjson.dumps({"version": self._version, "grpc": targets})
        return Response(200, body, {"content-type": "application/json"})

    async def _metrics(self, request: Request) -> Response:
        return Response(200, generate_latest(), {"content-type": CONTENT_TYPE_LATEST})


def _text(text: str) -> Response:
    return Response(200, text.encode(), {"content-type": "text/plain; charset=utf-8"})


def _route(path: str) -> str:
    return objects.PREFIX if path.startswith(objects.PREFIX) else path


def _observe(request: Request, route: str, status: int, seconds: float) -> None:
    method = request.method if request.method in _METHODS else "other"
    http_duration.labels(route, method, str(status)).observe(seconds)
    logger.info(
        "http",
        # Without the query: the signature of a URL is a permission.
        extra={"method": method, "path": request.path[:200], "status": status}
        | {"ms": round(seconds * 1000, 1), "request": request.request_id},
    )
