"""The HTTP edge: an ASGI application with a table of routes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelyard_gateway import errors, openapi, server_info, unsupported
from modelyard_gateway.artifacts.doors import Artifacts
from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_gateway.backends import Backend, Readiness
from modelyard_gateway.errors import HttpError
from modelyard_gateway.http import (
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_response,
    send_response,
)
from modelyard_gateway.metrics import http_duration
from modelyard_gateway.routes import Handler, Route, Routes
from modelyard_gateway.transcoder import Transcoder
from modelyard_kit import auth
from modelyard_kit import errors as kit_errors
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.server import ActiveCalls

logger = logging.getLogger(__name__)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_SERVER_ERROR = 500


class Gateway:
    """Answers HTTP for the services behind it.

    Args:
        backends: The services.
        store: Where the bytes behind `/artifacts/objects/` are.
        signer: Made the URLs of those bytes.
        active: Counts transfers of bytes, beside the calls it counts already.
        host: The address it listens on, or None to answer whatever name it is called by. Without
            a token a page of another site could otherwise reach it through a name it controls.
        token: The gateway's own, for requests that carry a signature instead of a token; also
            what `/metrics` then asks for.
        uploads: Limits of uploads of files of unknown digest.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        store: ArtifactStore,
        signer: UrlSigner,
        active: ActiveCalls,
        host: str | None,
        token: str | None = None,
        uploads: UploadLimits = UploadLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._backends = backends
        self._readiness = Readiness(backends)
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._artifacts = Artifacts(backends, store, signer, active, token, uploads)
        self._token = token
        self._hosts = None if host is None else _LOOPBACK | {host}
        self._version = version("modelyard")
        self.stopping = False
        """Set to be called not ready while the last requests are answered."""
        self._transcoder = Transcoder(backends)
        self._routes = self._mounted()

    def _mounted(self) -> Routes:
        routes = Routes()
        routes.exact("/health", {"GET": self._health})
        routes.exact("/version", {"GET": self._tell_version})
        routes.exact("/.well-known/modelyard", {"GET": self._well_known})
        routes.exact("/openapi.json", {"GET": openapi.tell})
        routes.exact("/metrics", {"GET": self._metrics})
        self._artifacts.mount(routes)
        for path in server_info.PATHS:
            routes.exact(path, {"GET": server_info.tell})
        self._transcoder.mount(routes)
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = time.monotonic()
        response = await self._answer(request)
        try:
            await send_response(request, response, send)
        finally:
            _observe(request, response.status, time.monotonic() - started)

    async def disconnect(self) -> None:
        """Let go of what belongs to the event loop, before it ends."""
        await self._transcoder.close()

    def close(self) -> None:
        """Let go of what is held; the event loop has ended."""
        self._artifacts.close()
        self._checking.shutdown()
        self._readiness.close()

    async def _answer(self, request: Request) -> Response:
        try:
            self._check_host(request)
            _check_coding(request)
            unsupported.check_workspace(request)
            return await _handler(self._routes.find(request), request)(request)
        except (HttpError, kit_errors.Error) as error:
            return errors.response(error, request.request_id)
        except (ConnectionError, TimeoutError) as error:
            gone = kit_errors.Cancelled("The body stopped before its end; nothing was kept.")
            logger.info("upload broke off", extra={"cause": str(error)})
            return errors.response(gone, request.request_id)
        except Exception:
            logger.exception("unhandled error", extra={"request": request.request_id})
            return errors.internal(request.request_id)

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
        return json_response({"version": self._version, "grpc": targets})

    async def _metrics(self, request: Request) -> Response:
        auth.check_token(request.headers.get("authorization", ""), self._token)
        return Response(200, generate_latest(), {"content-type": CONTENT_TYPE_LATEST})


def _check_coding(request: Request) -> None:
    """Refuse a packed body, which would be kept, or read as JSON, as if it were what is in it."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        message = f"The Content-Encoding '{coding[:100]}' is not understood; send it unpacked."
        raise HttpError(415, "INVALID_PARAMETER_VALUE", message, {"accept-encoding": "identity"})


def _text(text: str) -> Response:
    return Response(200, text.encode(), {"content-type": "text/plain; charset=utf-8"})


def _handler(route: Route | None, request: Request) -> Handler:
    if route is None:
        unknown = HttpError(404, "ENDPOINT_NOT_FOUND", f"No such route: {request.path[:200]}")
        raise unsupported.refusal(request.path) or unknown
    request.label = route.label
    # A HEAD is a GET whose body is not sent.
    handler = route.handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        head = {"HEAD"} if "GET" in route.handlers else set()
        allowed = ", ".join(sorted({*route.handlers, *head}))
        message = f"{request.path[:200]} does not answer {request.method[:20]}, use {allowed}"
        raise HttpError(405, "BAD_REQUEST", message, {"allow": allowed})
    return handler


def _observe(request: Request, status: int, seconds: float) -> None:
    method = request.method if request.method in _METHODS else "other"
    http_duration.labels(request.label, method, str(status)).observe(seconds)
    attributes: dict[str, str | int] = {"http.route": request.label}
    attributes["http.response.status_code"] = status
    name = f"{method} {request.label}"
    request.span.end(attributes, failed=status >= _SERVER_ERROR, name=name)
    logger.info(
        "http",
        extra={
            "method": method,
            "path": request.path[:200],  # without the query: a signature is a permission
            "status": status,
            "ms": round(seconds * 1000, 1),
            "request": request.request_id,
            "trace": request.span.trace_id,
            "token": auth.token_id(request.headers.get("authorization", "")),
            "received_bytes": request.received_bytes,
            "sent_bytes": request.sent_bytes,
        },
    )
