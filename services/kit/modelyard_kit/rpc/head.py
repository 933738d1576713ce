"""The head of a call: its method, its metadata, and what they say about the caller."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar

from google.protobuf.descriptor import MethodDescriptor

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit import errors
from modelyard_kit.auth.grants import ANONYMOUS, Grant
from modelyard_kit.rpc.denials import Denials


class Head:
    """The head of a call.

    Args:
        method: RPC that is called.
        needed: Permission that callers need; None if they need not even a token.
        metadata: Metadata that the interceptors read, by key.
        request_id: Id of the request.
        denials: Notes refusals because of the caller.

    Attributes:
        grant: Grant of the caller; None if its token is not in the snapshot, and must be looked up.
        refusal: Error that the call ends with, instead of taking a place; None if it may go on.
        arrived_at: Monotonic time at which the head arrived, in seconds.
        running: The `OpenCall` while a thread runs it, and no longer: gRPC's objects of the call
            lead here, and a lasting reference would keep them until a garbage collection.
    """

    __slots__ = (
        "_denials",
        "arrived_at",
        "grant",
        "metadata",
        "method",
        "needed",
        "refusal",
        "request_id",
        "running",
    )

    def __init__(
        self,
        method: MethodDescriptor,
        needed: Permission | None,
        metadata: Mapping[str, str],
        request_id: str,
        denials: Denials,
    ) -> None:
        self.method = method
        self.needed = needed
        self.metadata = metadata
        self.request_id = request_id
        self._denials = denials
        self.grant: Grant | None = ANONYMOUS
        self.refusal: errors.Error | None = None
        self.arrived_at = time.monotonic()
        self.running: object = None

    @property
    def principal(self) -> str:
        """Name of the caller for logs."""
        return "" if self.grant is None else self.grant.name or self.grant.principal

    @property
    def admitted(self) -> Grant:
        """Grant of the caller, once it is known."""
        if self.grant is None:
            raise AssertionError(f"{self.method.full_name} runs for an unknown caller")
        return self.grant

    def note_denial(self, error: Exception) -> None:
        """Note the failure of the call, if it is a refusal because of the caller."""
        authorization = self.metadata.get("authorization", "")
        self._denials.note(error, self.method.full_name, self.request_id, authorization)


head: ContextVar[Head] = ContextVar("head")
"""Head of the call that is answered; set when it arrives, in the context that gRPC runs it in."""
