"""The HTTP edge: RPCs have a route table of their own, everything else uses Starlette's router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from modelyard_gateway import openapi, root_page, server_info, unsupported
from modelyard_gateway.artifacts.routes import ArtifactRoutes
from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_gateway.backends import Backend, BackendHealth, Channels
from modelyard_gateway.bodies import Bodies
from modelyard_gateway.metrics import http_duration
from modelyard_gateway.routes import Routes
from modelyard_gateway.transcoder import Transcoder
from modelyard_kit import errors
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.auth import grants
from modelyard_kit.http import hosts
from modelyard_kit.http.errors import HttpError, Refusals
from modelyard_kit.http.exchange import Exchange, of
from modelyard_kit.http.layer import Layer
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import JsonResponse
from modelyard_kit.http.routing import exact, public, router
from modelyard_kit.rpc.server import ActiveCalls


class _Refusals(Refusals):
    """MLflow's error shape; routes of MLflow that are not supported name the missing feature."""

    def no_route(self, path: str) -> HttpError:
        return unsupported.refusal(path) or super().no_route(path)


class Gateway:
    """Answers HTTP for the services behind it.

    Args:
        backends: The services.
        store: Holds the bytes behind `/artifacts/objects/`.
        signer: Signs and verifies the URLs of those bytes.
        active: Counts running transfers, along with running calls.
        host: The address it listens on; without a token, requests with another name in `Host` are
            refused.
        token: The service token, used for requests that carry a signature instead of a token, and
            required for `/metrics`; None if the services need none.
        uploads: Limits of uploads whose digest is not known beforehand.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        store: ArtifactStore,
        signer: UrlSigner,
        active: ActiveCalls,
        host: str,
        token: str | None = None,
        uploads: UploadLimits = UploadLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._backends = backends
        self._channels = {backend.area: backend.connect() for backend in backends}
        self._readiness = BackendHealth(self._channels)
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._loop_channels = Channels(backends)
        bodies = Bodies(self._loop_channels)
        self._artifacts = ArtifactRoutes(
            self._channels, bodies, store, signer, active, token, uploads
        )
        self._signer = signer
        self._token = token
        self._version = version("modelyard")
        self.stopping = False
        """Whether to report not ready while the last requests are answered."""
        self.is_full: Callable[[], bool] = lambda: False
        """Returns whether its server closes new connections at once."""
        self._check: asyncio.Future[list[str]] | None = None
        self._rpcs = Routes()
        Transcoder(self._loop_channels, bodies).mount(self._rpcs)
        self._router = self._routed()
        self._layer = Layer(self._answer, _Refusals(), hosts.of_server(host, token), _observe)

    def _routed(self) -> Router:
        return router(
            [
                public("/", {"GET": self._root}, root_page.POLICY),
                public("/health", {"GET": self._health}),
                public("/version", {"GET": self._show_version}),
                public("/.well-known/modelyard", {"GET": self._well_known}),
                public("/openapi.json", {"GET": openapi.respond}),
                exact("/metrics", {"GET": self._metrics}),
                *(public(path, {"GET": server_info.respond}) for path in server_info.PATHS),
                *self._artifacts.routes(),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._layer(scope, receive, send)

    async def disconnect(self) -> None:
        """Close what belongs to the event loop, before it ends."""
        await self._loop_channels.close()

    def close(self) -> None:
        """Close threads and channels, after the event loop has ended."""
        self._artifacts.close()
        self._checking.shutdown()
        for channel in self._channels.values():
            channel.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        _check_coding(exchange, scope)
        unsupported.check_workspace(exchange)
        answering = self._rpcs.find(scope) or self._router
        await answering(scope, receive, send)

    async def _root(self, request: Request) -> Response:
        missing = await self._missing()
        return root_page.respond(
            request,
            self._version,
            self._signer.base_url,
            {area: area not in missing for area in self._channels},
            needs_token=self._token is not None,
        )

    async def _missing(self) -> list[str]:
        """Return what is not ready, as areas; requests during a check share its result."""
        if self._check is None or self._check.done():
            loop = asyncio.get_running_loop()
            self._check = loop.run_in_executor(self._checking, self._find_missing)
        return await asyncio.shield(self._check)

    def _find_missing(self) -> list[str]:
        missing = self._readiness.missing()
        if "tracking" not in missing and self._artifacts.belonging.problem():
            missing.append("artifacts (the store is not the one of tracking)")
        return missing

    def artifacts_problem(self) -> str:
        """Return why no artifacts are served or stored, empty if they are.

        Starts the next comparison without waiting for it: a tracking service or a store that hangs
        does not make the gateway unready.
        """
        self._checking.submit(self._artifacts.belonging.problem)
        return self._artifacts.belonging.last_problem

    async def _health(self, request: Request) -> Response:
        missing = await self._missing()
        if self.stopping:
            raise errors.Unavailable("Not ready: stopping.")
        if missing:
            raise errors.Unavailable(f"Not ready: {', '.join(missing)}.")
        if self.is_full():
            raise errors.Unavailable("Not ready: all connections have a request in progress.")
        return PlainTextResponse("OK")

    async def _show_version(self, request: Request) -> Response:
        return PlainTextResponse(self._version)

    async def _well_known(self, request: Request) -> Response:
        targets = {backend.area: backend.public for backend in self._backends}
        return JsonResponse({"version": self._version, "grpc": targets})

    async def _metrics(self, request: Request) -> Response:
        grants.check_token(request.exchange.header(b"authorization"), self._token)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _check_coding(exchange: Exchange, scope: Scope) -> None:
    """Refuse a compressed body, which would otherwise be stored or parsed as it is."""
    if b"content-encoding" not in exchange.given:
        return
    coding = ", ".join(Headers(scope=scope).getlist("content-encoding"))
    if coding.strip().lower() != "identity":
        message = f"The Content-Encoding '{coding[:100]}' is not supported; send it uncompressed."
        raise HttpError(415, "INVALID_PARAMETER_VALUE", message, {"accept-encoding": "identity"})


def _observe(exchange: Exchange, method: str, seconds: float) -> None:
    _durations(exchange.label, method, exchange.status).observe(seconds)


@cache
def _durations(label: str, method: str, status: int) -> Histogram:
    return http_duration.labels(label, method, str(status))
