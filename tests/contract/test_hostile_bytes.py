"""Bytes that are no request, or more than one, sent to every RPC that is built."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from tests.support.hostile.answers import REFUSED
from tests.support.hostile.requests import VALID, World, valid
from tests.support.platforms.access_platform import (
    METHODS,
    SERVICE_TOKEN,
    Platform,
    running_platform,
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as platform:
        yield platform


@pytest.fixture(scope="module")
def world(platform: Platform) -> World:
    return World(platform.call, put)


def put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT")  # noqa: S310 - the test's own server
    with closing(urllib.request.urlopen(request)):  # noqa: S310
        pass


@pytest.mark.parametrize("name", sorted(VALID))
def test_bytes_that_are_no_request_are_never_a_bug(
    world: World, platform: Platform, name: str
) -> None:
    for broken in BROKEN:
        code = sent(platform, name, broken)
        assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, broken
    request = valid(world, METHODS[name]).SerializeToString()
    if request:
        assert sent(platform, name, request[:-1]) in {*REFUSED, grpc.StatusCode.OK}
    request = valid(world, METHODS[name]).SerializeToString()
    code = sent(platform, name, request + UNKNOWN_FIELD)
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


def sent(platform: Platform, name: str, data: bytes) -> grpc.StatusCode:
    """Send bytes as a request, and return how the call ended."""
    method = METHODS[name]
    channel = platform.channel
    make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    rpc = make(f"/{method.containing_service.full_name}/{method.name}")
    metadata = [("authorization", f"Bearer {SERVICE_TOKEN}")]
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
