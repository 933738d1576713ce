"""Routes for Starlette's router: a path with a handler for each method, and its headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard_kit.http.exchange import API_POLICY, Headers, of
from modelyard_kit.http.requests import Request

Handler = Callable[[Request], Awaitable[Response]]


class Methods:
    """An ASGI application that answers one path with a handler for each method.

    Args:
        label: Name of the route in metrics; several paths may share one.
        handlers: Handlers by HTTP method. A HEAD is handled as a GET whose body is not sent.
        policy: Headers that restrict what browsers may do with the responses.
        is_public: Whether the path is answered without a token.
    """

    def __init__(
        self,
        label: str,
        handlers: Mapping[str, Handler],
        policy: Headers = API_POLICY,
        *,
        is_public: bool = False,
    ) -> None:
        self.label = label
        self.handlers = dict(handlers)
        self._policy = policy
        self._is_public = is_public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        exchange.label = self.label
        exchange.policy = self._policy
        exchange.is_public = self._is_public
        method = "GET" if exchange.method == "HEAD" else exchange.method
        handler = self.handlers.get(method)
        if handler is None:
            head = {"HEAD"} if "GET" in self.handlers else set()
            raise HTTPException(405, headers={"allow": ", ".join(sorted({*self.handlers, *head}))})
        response = await handler(Request(scope, receive))
        await response(scope, receive, send)


class _Rest(Convertor[str]):
    """The rest of a path including line breaks, at which Starlette's own `path` stops."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("rest", _Rest())


def exact(path: str, handlers: Mapping[str, Handler], policy: Headers = API_POLICY) -> Route:
    """Return a route for a path, which may contain `{name}` in place of a segment."""
    return Route(path, Methods(path, handlers, policy))


def public(path: str, handlers: Mapping[str, Handler], policy: Headers = API_POLICY) -> Route:
    """Return a route for a path that is answered without a token."""
    return Route(path, Methods(path, handlers, policy, is_public=True))


def below(prefix: str, handlers: Mapping[str, Handler], policy: Headers = API_POLICY) -> Route:
    """Return a route for every path with a prefix; `path_params["rest"]` is the remainder."""
    return Route(f"{prefix}{{rest:rest}}", Methods(prefix, handlers, policy))


def router(routes: Sequence[BaseRoute], default: ASGIApp | None = None) -> Router:
    """Return a router without redirects; `default` answers paths that match no route."""
    return Router(routes, redirect_slashes=False, default=default or _no_route)


async def _no_route(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HTTPException(404)
