"""Every field of every RPC that is built, with values that nobody should send.

`MODELYARD_SOAK=1` sends all of them, otherwise some to each field.
"""

from __future__ import annotations

import os
import re
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import grpc
import pytest
from access_platform import METHODS, SERVICES_TOKEN, Platform, Refusal, running_platform
from google.protobuf.message import Message
from hostile_requests import VALID, World, valid
from hostile_values import Place, hostile, places, some

_VALUES = hostile if os.environ.get("MODELYARD_SOAK") else some
_REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
_ALSO = {
    "etag": grpc.StatusCode.ABORTED,  # somebody else wrote first
    "expected_holder": grpc.StatusCode.ABORTED,
    "new_name": grpc.StatusCode.ALREADY_EXISTS,  # an earlier value took it
    "after_revision": grpc.StatusCode.OUT_OF_RANGE,
    "after_clock": grpc.StatusCode.OUT_OF_RANGE,
}
"""How a field may be refused besides, by its name."""
_CALLED = {"size_bytes": "size", "name": "model", "order_by": "key", "field_name": "order by"}
"""What messages call a field, if not by its name."""
_LEAKS = re.compile(r"Traceback|sqlite3|psycopg|SELECT |INSERT |UPDATE .* SET|root:x:")
_MAX_MESSAGE_BYTES = 1_300


@dataclass
class Attacked:
    """A platform with a world on it."""

    platform: Platform
    world: World
    databases: dict[str, sqlite3.Connection]

    def refusal(self, name: str, request: Message) -> Refusal | None:
        return self.platform.refusal(METHODS[name], request, f"Bearer {SERVICES_TOKEN}")

    def state(self, name: str) -> list[int]:
        """Return what changes with every commit that an RPC must not make when it refuses."""
        # The registry has tracking lease the bytes before it looks at the rest.
        areas = ["registry"] if name.startswith("Registry") else ["registry", "tracking"]
        asked = [self.databases[area].execute("PRAGMA data_version") for area in areas]
        return [answer.fetchone()[0] for answer in asked]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("platform")
    with running_platform(folder) as platform:
        files = {area: folder / "home" / f"{area}.db" for area in ("tracking", "registry")}
        databases = {area: sqlite3.connect(file) for area, file in files.items()}
        yield Attacked(platform, World(platform.call, _put), databases)
        for database in databases.values():
            database.close()


def _put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT")  # noqa: S310 - the test's own server
    with closing(urllib.request.urlopen(request)):  # noqa: S310
        pass


def test_there_is_a_valid_request_of_each_rpc_and_it_is_answered(attacked: Attacked) -> None:
    unbuilt = {_short(name) for name in attacked.platform.embedded.server.unbuilt}
    assert VALID.keys() == METHODS.keys() - unbuilt
    for name in VALID:  # what is set comes before what deletes it
        refusal = attacked.refusal(name, valid(attacked.world, METHODS[name]))
        assert refusal is None, f"{name}: {refusal}"


@pytest.mark.parametrize("name", sorted(VALID))
def test_hostile_values_are_refused_by_name_and_change_nothing(
    attacked: Attacked, name: str
) -> None:
    faults = [
        fault
        for place in places(METHODS[name].input_type)
        for value in _VALUES(place)
        if (fault := _fault(attacked, name, place, value))
    ]
    assert faults == []


def _fault(attacked: Attacked, name: str, place: Place, value: object) -> str:
    """Return what is wrong with the answer to a hostile value, or nothing."""
    request = valid(attacked.world, METHODS[name])
    place.set(request, value)
    before = attacked.state(name)
    refusal = attacked.refusal(name, request)
    if refusal is None:
        return ""
    said = f"{place}={str(value)[:40]!r}: {refusal.code.name} {refusal.message[:200]!r}"
    if refusal.code not in _REFUSED and refusal.code != _ALSO.get(place.field.name):
        return said
    if attacked.state(name) != before:
        return f"changed something: {said}"
    if _LEAKS.search(refusal.message) or len(refusal.message.encode()) > _MAX_MESSAGE_BYTES:
        return f"says too much: {said}"
    if refusal.code is grpc.StatusCode.INVALID_ARGUMENT and not _names(refusal, place):
        return f"does not name the field: {said}"
    return ""


def _names(refusal: Refusal, place: Place) -> bool:
    name = place.field.name
    words = name.removesuffix("s").split("_")
    message = refusal.message.lower().replace("_", " ")
    known = (" ".join(words), words[-1], _CALLED.get(name, name))
    # A message made for one of its fields may lack another that is required.
    return any(word in message for word in known) or "missing value" in message


def _short(full_name: str) -> str:
    return ".".join(full_name.rsplit(".", 2)[1:])
