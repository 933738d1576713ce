"""Every field of every RPC that is built, with values that nobody should send.

`MODELYARD_SOAK=1` sends all of them, otherwise some to each field.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from access_platform import METHODS, SERVICES_TOKEN, Platform, Refusal, running_platform
from google.protobuf.message import Message
from hostile_answers import REFUSED, areas, fault
from hostile_requests import VALID, World, valid
from hostile_values import hostile, places, some

_VALUES = hostile if os.environ.get("MODELYARD_SOAK") else some


@dataclass
class Embedded:
    """A platform with a world on it."""

    platform: Platform
    world: World
    databases: dict[str, sqlite3.Connection]

    def refusal(self, name: str, request: Message) -> Refusal | None:
        return self.platform.refusal(METHODS[name], request, f"Bearer {SERVICES_TOKEN}")

    def state(self, name: str) -> list[int]:
        asked = [self.databases[area].execute("PRAGMA data_version") for area in areas(name)]
        return [answer.fetchone()[0] for answer in asked]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("platform")
    with running_platform(folder) as platform:
        files = {area: folder / "home" / f"{area}.db" for area in ("tracking", "registry")}
        databases = {area: sqlite3.connect(file) for area, file in files.items()}
        yield Embedded(platform, World(platform.call, _put), databases)
        for database in databases.values():
            database.close()


def _put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT")  # noqa: S310 - the test's own server
    with closing(urllib.request.urlopen(request)):  # noqa: S310
        pass


def test_there_is_a_valid_request_of_each_rpc_and_it_is_answered(attacked: Embedded) -> None:
    unbuilt = {_short(name) for name in attacked.platform.embedded.server.unbuilt}
    assert VALID.keys() == METHODS.keys() - unbuilt
    for name in VALID:  # what is set comes before what deletes it
        refusal = attacked.refusal(name, valid(attacked.world, METHODS[name]))
        assert refusal is None, f"{name}: {refusal}"


@pytest.mark.parametrize("name", sorted(VALID))
def test_hostile_values_are_refused_by_name_and_change_nothing(
    attacked: Embedded, name: str
) -> None:
    faults = [
        found
        for place in places(METHODS[name].input_type)
        for value in _VALUES(place)
        if (found := fault(attacked, name, place, value))
    ]
    assert faults == []


def _short(full_name: str) -> str:
    return ".".join(full_name.rsplit(".", 2)[1:])


@pytest.mark.parametrize("name", sorted(VALID))
def test_bytes_that_are_no_request_are_never_a_bug(attacked: Embedded, name: str) -> None:
    for broken in BROKEN:
        code = sent(attacked, name, broken)
        assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, broken
    request = valid(attacked.world, METHODS[name]).SerializeToString()
    if request:
        assert sent(attacked, name, request[:-1]) in {*REFUSED, grpc.StatusCode.OK}
    request = valid(attacked.world, METHODS[name]).SerializeToString()
    code = sent(attacked, name, request + UNKNOWN_FIELD)
    assert code in {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND}  # it may be deleted already


BROKEN = (
    b"\xff" * 12,
    b"\x0a\xff\xff\xff\xff\x0f",  # longer than it is
    b"\x0a\x01\xff",  # not UTF-8
    b"\x08\x01",  # a number where text may be wanted
    b"\x0b" * 200,  # groups in groups
    b"\x0a\x00" * 100_000,
)
UNKNOWN_FIELD = b"\xfa\xff\x1f\x01x"  # number 65535


def sent(attacked: Embedded, name: str, data: bytes) -> grpc.StatusCode:
    """Send bytes as a request, and return how the call ended."""
    method = METHODS[name]
    channel = attacked.platform.channel
    make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    rpc = make(f"/{method.containing_service.full_name}/{method.name}")
    metadata = [("authorization", f"Bearer {SERVICES_TOKEN}")]
    try:
        answer = rpc(data, timeout=30, metadata=metadata)
        if method.server_streaming:
            next(answer)
            answer.cancel()
    except grpc.RpcError as error:
        ended: Any = error  # what a call raises says how it ended
        code: grpc.StatusCode = ended.code()
        return code
    return grpc.StatusCode.OK
