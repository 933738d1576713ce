"""HTTP interface: MLflow's scoring protocol. Predictions are raw ASGI, all else is routed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from urllib.parse import quote

from google.protobuf.descriptor import MethodDescriptor
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from modelyard_kit import errors
from modelyard_kit.http.budget import Budget
from modelyard_kit.http.errors import HttpError, Refusals
from modelyard_kit.http.exchange import Exchange, of
from modelyard_kit.http.hosts import Hosts
from modelyard_kit.http.layer import Layer
from modelyard_kit.http.requests import Request as HttpRequest
from modelyard_kit.http.responses import JsonResponse
from modelyard_kit.http.routing import exact, public, router
from modelyard_serving import media, metrics
from modelyard_serving.callers import PREDICT, STATUS, Callers
from modelyard_serving.endpoint import Endpoint, Identity
from modelyard_serving.runtime.process import Request

MAX_REQUESTS = 256
"""Predictions that may be waiting or running; further ones are refused at once."""

_BUSY = f"{MAX_REQUESTS} predictions are waiting or running already; retry."
_MIN_SHARE_BYTES = 16 << 20
"""Bodies that one caller may have in memory, at least; the largest body if that is larger."""
_PATIENCE_S = 3.0
_PREDICT = "/invocations"
_PATHS = (_PREDICT, "/ping", "/health", "/version", "/status", "/metrics")
_JSON = "application/json"
_PRINTABLE = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ "


class _Refusals(Refusals):
    """Error codes and phrases of the scoring protocol, which its clients test for."""

    def of(self, error: errors.Error) -> HttpError:
        refused = super().of(error)
        if isinstance(error, errors.InvalidArgument):
            refused.error_code = "BAD_REQUEST"
        return refused

    def no_route(self, path: str) -> HttpError:
        known = ", ".join(_PATHS)
        message = f"No such path; the paths are {known}."
        return HttpError(404, "ENDPOINT_NOT_FOUND", message)

    def wrong_method(self, method: str, path: str, allowed: Sequence[str]) -> HttpError:
        message = f"Use {' or '.join(allowed)} for {path}."
        return HttpError(405, "METHOD_NOT_ALLOWED", message, {"allow": ", ".join(allowed)})

    def broken_off(self) -> HttpError:
        return HttpError(400, "BAD_REQUEST", "The request body is incomplete.")

    def internal(self, request_id: str) -> HttpError:
        return HttpError(500, "INTERNAL_ERROR", "internal error")


class App:
    """An ASGI application for one endpoint.

    Args:
        endpoint: Answers the predictions.
        callers: Authorizes requests for predictions and for the status.
        max_body_bytes: Largest request body; larger ones are refused with 413.
        timeout_s: Longest time for a body to arrive, and then for its prediction, waiting included,
            in seconds; then 504.
        hosts: Names that the server answers to.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        callers: Callers,
        max_body_bytes: int,
        timeout_s: float,
        hosts: Hosts,
    ) -> None:
        self._endpoint = endpoint
        self._callers = callers
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s
        share = max(max_body_bytes, _MIN_SHARE_BYTES)
        self._bodies = Budget(4 * share, share, _PATIENCE_S, "large requests")
        self._predicting = 0
        self.is_full: Callable[[], bool] = lambda: False
        """Returns whether the server closes new connections at once."""
        self._version = version("modelyard")
        self._router = router(
            [
                public("/ping", {"GET": self._health}),
                public("/health", {"GET": self._health}),
                public("/version", {"GET": self._show_version}),
                exact("/status", {"GET": self._status}),
                exact("/metrics", {"GET": self._metrics}),
            ]
        )
        self._layer = Layer(self._answer, _Refusals(), hosts, _observe)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._layer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = self._invocations if scope["path"] == _PREDICT else self._router
        await answering(scope, receive, send)

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        exchange.label = _PREDICT
        if exchange.method != "POST":
            raise HTTPException(405, headers={"allow": "POST"})
        await self._authorize(exchange, PREDICT)
        media_type = _media_type(exchange)
        small = exchange.has_small_body
        async with contextlib.nullcontext() if small else self._held(exchange):
            request = Request(media_type, await self._body(exchange), exchange.request_id)
            response = Response(await self._prediction(exchange, request), media_type=_JSON)
        await response(scope, receive, send)

    async def _authorize(self, exchange: Exchange, method: MethodDescriptor) -> None:
        authorization = exchange.header(b"authorization")
        model_name, request_id = self._endpoint.model_name, exchange.request_id
        await self._callers.authorize(authorization, method, model_name, request_id)

    def _held(self, exchange: Exchange) -> AbstractAsyncContextManager[None]:
        return self._bodies.hold(exchange, exchange.announced_bytes(self._max_body_bytes))

    async def _body(self, exchange: Exchange) -> bytes:
        body = await exchange.read(self._max_body_bytes, self._timeout_s)
        if body is None:
            raise HttpError(
                413,
                "REQUEST_LIMIT_EXCEEDED",
                f"The body is larger than {self._max_body_bytes} bytes; send fewer rows at a time.",
                {"connection": "close"},
            )
        return body

    async def _prediction(self, exchange: Exchange, request: Request) -> bytes:
        if self._predicting >= MAX_REQUESTS:
            raise errors.ResourceExhausted(_BUSY).after(1)
        self._predicting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                with self._endpoint.hold() as served:
                    exchange.headers += _identity(served.identity)
                    return await served.predict(request)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"The prediction did not finish within {self._timeout_s:g} seconds."
            ) from None
        finally:
            self._predicting -= 1

    async def _health(self, _request: HttpRequest) -> Response:
        if problem := self.problem():
            raise errors.Unavailable(problem)
        return Response(b"\n", media_type=_JSON)

    def problem(self) -> str:
        """Return why predictions are refused now; empty if they are not."""
        if not self._endpoint.is_ready:
            return self._endpoint.why_not_ready
        if self._predicting >= MAX_REQUESTS:
            return _BUSY
        return "All connections have a request in progress." if self.is_full() else ""

    async def _show_version(self, _request: HttpRequest) -> Response:
        return PlainTextResponse(self._version)

    async def _status(self, request: HttpRequest) -> Response:
        await self._authorize(request.exchange, STATUS)
        served = self._endpoint.served
        identity = served.identity if served else Identity("", "", "")
        document = {
            "model_uri": self._endpoint.uri,
            "state": self._endpoint.state,
            "state_message": self._endpoint.message,
            "ready": self._endpoint.is_ready,
            "model_name": identity.name,
            "model_version": identity.version,
            "model_digest": identity.digest,
        }
        return JsonResponse(document)

    async def _metrics(self, request: HttpRequest) -> Response:
        await self._authorize(request.exchange, STATUS)  # they name the version as the status does
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _observe(exchange: Exchange, _method: str, seconds: float) -> None:
    if exchange.label == _PREDICT:
        metrics.request_duration.labels(str(exchange.status)).observe(seconds)


def _media_type(exchange: Exchange) -> str:
    if b"content-encoding" in exchange.given:
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body without Content-Encoding.")
    try:
        return media.media_type(exchange.header(b"content-type"))
    except ValueError as error:
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", str(error)) from None


def _identity(identity: Identity) -> list[tuple[bytes, bytes]]:
    named = {"name": identity.name, "version": identity.version, "digest": identity.digest}
    return [
        # A name may have characters that a header may not: its UTF-8 is percent-encoded.
        (f"x-model-{field}".encode(), quote(value, safe=_PRINTABLE).encode())
        for field, value in named.items()
        if value
    ]
