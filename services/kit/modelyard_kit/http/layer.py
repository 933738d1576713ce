"""The middleware around every application: error responses, metrics, log lines and spans.

Pure ASGI, so that Starlette routes and applications without routes share it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard_kit import errors
from modelyard_kit.auth import grants
from modelyard_kit.http import other_sites
from modelyard_kit.http.errors import HttpError, Refusals, answer
from modelyard_kit.http.exchange import Exchange
from modelyard_kit.http.hosts import Hosts
from modelyard_kit.observability.bounded_lines import BoundedLines
from modelyard_kit.observability.bounded_log import BoundedLog

logger = logging.getLogger(__name__)

Observe = Callable[[Exchange, str, float], None]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_REFUSED = 400
_SERVER_ERROR = 500
_METHOD_NOT_ALLOWED = 405
_OK = 200
_POLLS = {"/health", "/ping", "/metrics"}
"""Paths that probes request every few seconds; at INFO they would fill an idle server's log."""


class Layer:
    """Middleware around an application.

    Args:
        app: Application; it may raise errors of the kit, `HttpError` or Starlette's
            `HTTPException`.
        refusals: Error messages of this family of routes.
        hosts: Names that the server answers to.
        observe: Called after each response with the exchange, its method ("other" for an unusual
            one) and its duration in seconds.
        records: Whether each request has a log line and a span.
    """

    def __init__(
        self,
        app: ASGIApp,
        refusals: Refusals,
        hosts: Hosts,
        observe: Observe | None = None,
        *,
        records: bool = True,
    ) -> None:
        self._app = app
        self._refusals = refusals
        self._hosts = hosts
        self._bounded: dict[int, BoundedLines] = {}
        self._bugs = BoundedLines()
        self._broken_off = BoundedLog(logger, "the body is incomplete", level=logging.INFO)
        self._observe = observe
        self._records = records

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        exchange = Exchange(scope, receive, send)
        try:
            await self._answered(exchange, scope)
        finally:
            self._end(exchange, time.monotonic() - started)

    async def _answered(self, exchange: Exchange, scope: Scope) -> None:
        try:
            self._hosts.check(exchange.header(b"host"))
            other_sites.check(exchange)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.status:  # the response is incomplete, so the server closes the connection
                if not isinstance(error, errors.Error):
                    raise
                why = {"cause": error.message, "request": exchange.request_id}
                logger.error("the response was broken off", extra=why)  # noqa: TRY400 - no bug
                return
            response = answer(self._refusal(error, exchange), exchange.request_id)
            await response(scope, exchange.receive, exchange.send)

    def _refusal(self, error: Exception, exchange: Exchange) -> HttpError:
        match error:
            case HttpError():
                return error
            case errors.Error():
                return self._refusals.of(error)
            case HTTPException(status_code=code, headers=headers) if code == _METHOD_NOT_ALLOWED:
                allowed = dict(headers or {}).get("allow", "GET, HEAD").split(", ")
                return self._refusals.wrong_method(exchange.method, exchange.path, allowed)
            case HTTPException():
                return self._refusals.no_route(exchange.path)
            case ConnectionError() | TimeoutError():
                return self._incomplete(error)
        if self._bugs.next() is not None:
            logger.error("unhandled error", exc_info=error, extra={"request": exchange.request_id})
        return self._refusals.internal(exchange.request_id)

    def _incomplete(self, error: ConnectionError | TimeoutError) -> HttpError:
        self._broken_off.note(cause=str(error))
        is_late = isinstance(error, TimeoutError)
        return self._refusals.stalled() if is_late else self._refusals.broken_off()

    def _end(self, exchange: Exchange, seconds: float) -> None:
        if not exchange.status:
            return  # cancelled because the server is stopping
        method = exchange.method if exchange.method in _METHODS else "other"
        if self._observe is not None:
            self._observe(exchange, method, seconds)
        if not self._records:
            return  # a span that is not ended is not exported
        attributes: dict[str, str | int] = {"http.route": exchange.label}
        attributes["http.response.status_code"] = exchange.status
        failed = exchange.status >= _SERVER_ERROR
        exchange.span.end(attributes, failed=failed, name=f"{method} {exchange.label}")
        is_quiet = exchange.path in _POLLS and exchange.status == _OK
        level = logging.DEBUG if is_quiet else logging.INFO
        left_out = self._left_out(exchange) if logger.isEnabledFor(level) else None
        if left_out is None:
            return
        logger.log(
            level,
            "http",
            extra={
                "method": method,
                "path": exchange.path[:200],  # without the query: a signature grants access
                "status": exchange.status,
                "ms": round(seconds * 1000, 1),
                "request": exchange.request_id,
                "trace": exchange.span.trace_id,
                "token": grants.token_id(exchange.header(b"authorization")),
                "received_bytes": exchange.received_bytes,
                "sent_bytes": exchange.sent_bytes,
                **({"left_out": left_out} if left_out else {}),
            },
        )

    def _left_out(self, exchange: Exchange) -> int | None:
        """Return how many lines like that of a request were left out; None to leave out this one.

        Callers without a token can cause as many refusals and answers of public paths as they like.
        """
        if exchange.status < _REFUSED and not exchange.is_public:
            return 0
        return self._bounded.setdefault(exchange.status, BoundedLines()).next()
