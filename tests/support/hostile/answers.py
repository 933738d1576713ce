"""Checks of the answer to a hostile value."""

from __future__ import annotations

import re
from typing import Protocol

import grpc
from google.protobuf.message import Message
from tests.support.hostile.requests import World, valid
from tests.support.hostile.values import Place
from tests.support.platforms.access_platform import METHODS, Refusal

REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
_ALSO = {
    "etag": grpc.StatusCode.ABORTED,  # it never matches
    "expected_holder": grpc.StatusCode.ABORTED,
    "new_name": grpc.StatusCode.ALREADY_EXISTS,  # an earlier value took it
    "alias": grpc.StatusCode.FAILED_PRECONDITION,  # it was never set, so it has no earlier version
    "to": grpc.StatusCode.FAILED_PRECONDITION,  # no earlier holder has that number
    "after_revision": grpc.StatusCode.OUT_OF_RANGE,
    "after_clock": grpc.StatusCode.OUT_OF_RANGE,
}
"""Additional code with which a field may be refused, by its name."""
_CALLED = {
    "size_bytes": "size",
    "name": "model",
    "order_by": "key",
    "field_name": "order by",
    "aliases": "alias",
    "file_only": "file",
    "seconds": "expire time",
    "nanos": "expire time",
}
"""Name of a field in messages, where it differs from the field's name."""
_LEAKS = re.compile(r"Traceback|sqlite3|psycopg|SELECT |INSERT |UPDATE .* SET|root:x:")
_MAX_MESSAGE_BYTES = 1_300


class Attacked(Protocol):
    """A platform with a world on it."""

    world: World

    def refusal(self, name: str, request: Message) -> Refusal | None:
        """Call `Service.Rpc` with the service token; return its refusal, or None."""

    def state(self, name: str) -> object:
        """Return a value that changes with every commit that a refused RPC must not make."""


def areas(name: str) -> list[str]:
    """Return the services whose state `Service.Rpc` must not change when it refuses."""
    # Objects are leased before they are checked, so that existing ones are not swept.
    if name == "ArtifactsService.DeclareArtifacts":
        return ["registry"]
    # The registry makes tracking lease the bytes before it checks the other fields.
    return ["registry"] if name.startswith("Registry") else ["registry", "tracking"]


def fault(attacked: Attacked, name: str, place: Place, value: object) -> str:
    """Return the fault in the answer to a hostile value; empty if there is none."""
    request = valid(attacked.world, METHODS[name])
    place.set(request, value)
    before = attacked.state(name)
    refusal = attacked.refusal(name, request)
    if refusal is None:
        return ""
    summary = f"{place}={str(value)[:40]!r}: {refusal.code.name} {refusal.message[:200]!r}"
    if refusal.code not in REFUSED and refusal.code != _ALSO.get(place.field.name):
        return summary
    if attacked.state(name) != before:
        return f"changed something: {summary}"
    if _LEAKS.search(refusal.message) or len(refusal.message.encode()) > _MAX_MESSAGE_BYTES:
        return f"says too much: {summary}"
    if refusal.code is grpc.StatusCode.INVALID_ARGUMENT and not _names(refusal, place):
        return f"does not name the field: {summary}"
    return ""


def _names(refusal: Refusal, place: Place) -> bool:
    name = place.field.name
    words = name.removesuffix("s").split("_")
    message = refusal.message.lower().replace("_", " ")
    known = (" ".join(words), words[-1], _CALLED.get(name, name))
    # A message made for one of its fields may lack another that is required.
    return any(word in message for word in known) or "missing value" in message
