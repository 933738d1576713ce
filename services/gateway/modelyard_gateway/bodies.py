"""Bodies: admits request bodies into memory, after their callers are authorized."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor

from modelyard_gateway.backends import Channels
from modelyard_gateway.calls import metadata_of, refused
from modelyard_kit.auth.grants import PERMISSION_ONLY
from modelyard_kit.http.budget import Budget
from modelyard_kit.http.requests import Request

MAX_OF_ONE_BYTES = 32 << 20
"""Bodies that one caller may have in memory; also the largest body."""
_MAX_BYTES = 128 << 20
_MAX_ASKED = 8
_MAX_ASKED_OF_ONE = 4
"""Calls that ask for permission at the same time, so that heads alone do not fill a service."""
_PATIENCE_S = 3.0
_DEADLINE_S = 10.0

Result = TypeVar("Result")


class Bodies:
    """Admits request bodies.

    A small body that arrives with its head is admitted at once, and the service that it is
    forwarded to authorizes the caller. For any other body that service is asked first, by a call
    that ends after the check of token and permission.

    Args:
        channels: Channels to the services.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._budget = Budget(_MAX_BYTES, MAX_OF_ONE_BYTES, _PATIENCE_S, "large requests")
        self._asking = Budget(_MAX_ASKED, _MAX_ASKED_OF_ONE, _PATIENCE_S, "large requests")
        self._decoding = asyncio.Semaphore()

    @asynccontextmanager
    async def admitted(
        self, request: Request, area: str, method: MethodDescriptor, max_bytes: int
    ) -> AsyncIterator[None]:
        """Wait until the body may be read, and hold its place in memory.

        Args:
            request: The request.
            area: Area of the service that the request is for.
            method: Method whose permission the caller needs.
            max_bytes: Largest body that will be read.

        Raises:
            Error: The service refused the caller, or is unreachable.
            ResourceExhausted: Other bodies take the memory.
        """
        if await request.exchange.arrives_soon():
            yield
            return
        await self._ask(request, area, method)
        async with self.hold(request, max_bytes):
            yield

    def hold(self, request: Request, max_bytes: int) -> AbstractAsyncContextManager[None]:
        """Hold memory for the body of a caller that is authorized; raises as `admitted`."""
        exchange = request.exchange
        return self._budget.hold(exchange, exchange.announced_bytes(max_bytes))

    async def decoded(self, decode: Callable[[], Result]) -> Result:
        """Return what a large body is decoded to, in a thread; one body at a time."""
        async with self._decoding:
            return await asyncio.to_thread(decode)

    async def _ask(self, request: Request, area: str, method: MethodDescriptor) -> None:
        call: Any = self._channels.of(area).unary_unary(
            f"/{method.containing_service.full_name}/{method.name}"
        )
        metadata = (*metadata_of(request), PERMISSION_ONLY)
        async with self._asking.hold(request.exchange, 1):
            try:
                await call(b"", timeout=_DEADLINE_S, metadata=metadata)
            except grpc.RpcError as error:
                raise refused(area, error, request.exchange.request_id) from error
