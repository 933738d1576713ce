"""The log line of each call, and secrets that must not be in it."""

from __future__ import annotations

import io
import json
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import grpc
import pytest
from tests.support.hostile.requests import World
from tests.support.platforms.access_platform import SERVICE_TOKEN, Platform, running_platform

from modelyard_kit.observability.logs import JsonFormatter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUEST_ID = "promote-iris-7"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as platform:
        yield platform


@pytest.fixture(scope="module")
def signed() -> list[str]:
    """Return the queries of URLs that the platform signed."""
    return []


@pytest.fixture(scope="module")
def world(platform: Platform, signed: list[str]) -> World:
    def put(url: str, data: bytes) -> None:
        signed.append(url.partition("?")[2])
        request = urllib.request.Request(url, data=data, method="PUT")  # noqa: S310 - the test's own server
        with closing(urllib.request.urlopen(request)):  # noqa: S310
            pass

    return World(platform.call, put)


@contextmanager
def log() -> Iterator[io.StringIO]:
    """Collect the log of a process."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def lines(stream: io.StringIO, message: str, count: int) -> list[dict[str, Any]]:
    """Return `count` lines of calls, which are written after the answers."""
    while True:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        calls = [line for line in found if line["message"] == message]
        if len(calls) >= count:
            return calls


def test_one_request_has_one_id_at_each_service_it_passes_through(
    platform: Platform, world: World
) -> None:
    headers = {
        "authorization": f"Bearer {platform.roles['contributor']}",
        "x-request-id": REQUEST_ID,
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        "content-type": "application/json",
    }
    url = f"{platform.embedded.http}/api/2.0/mlflow/model-versions/create"
    body = json.dumps({"name": "iris", "source": f"models:/{world.model_id}"}).encode()
    with log() as stream:
        request = urllib.request.Request(url, body, headers)  # noqa: S310
        with closing(urllib.request.urlopen(request)) as answer:  # noqa: S310
            assert answer.headers["x-request-id"] == REQUEST_ID
            sent_bytes = len(answer.read())
        calls = lines(stream, "rpc", 2)
        (edge,) = lines(stream, "http", 1)

    passed = [(line["service"], line["method"]) for line in calls]
    assert passed == [
        ("ArtifactsService", "SealManifest"),
        ("RegistryService", "CreateModelVersion"),
    ]
    for line in (*calls, edge):
        assert (line["request"], line["trace"]) == (REQUEST_ID, TRACE)
        assert line["ms"] >= 0
        assert line["level"] == "INFO"
        assert isinstance(line["ts"], float)
    for line in calls:
        assert line["code"] == "OK"
        assert line["principal"].startswith("contributor-")
        assert line["received_bytes"] > 0
        assert line["sent_bytes"] > 0
    assert (edge["method"], edge["status"]) == ("POST", 200)
    assert (edge["received_bytes"], edge["sent_bytes"]) == (len(body), sent_bytes)
    assert edge["token"] == platform.roles["contributor"].split("_")[1]


def test_a_call_that_is_refused_has_a_line_too_if_its_token_is_valid(platform: Platform) -> None:
    path, viewer = "/api/2.0/mlflow/runs/create", platform.roles["viewer"]
    with log() as stream:
        assert platform.http("POST", path, "Bearer x", {})[0] == 401
        assert platform.http("POST", path, f"Bearer {viewer}", {})[0] == 403
        unknown, edge = lines(stream, "http", 2)
        (call,) = lines(stream, "rpc", 1)
    assert (unknown["status"], edge["status"]) == (401, 403)
    assert call["code"] == "PERMISSION_DENIED"
    assert call["principal"].startswith("viewer-")
    assert call["request"] == edge["request"]


def test_a_successful_poll_is_logged_at_debug_and_a_refused_one_at_info(
    platform: Platform,
) -> None:
    with log() as stream:
        platform.call("AccessService.ListTokenChecks")
        (answered,) = lines(stream, "rpc", 1)
        with pytest.raises(grpc.RpcError):
            platform.call("AccessService.ListTokenChecks", token=platform.roles["viewer"])
        assert platform.status("/health", SERVICE_TOKEN) == 200
        _, refused, *_ = lines(stream, "rpc", 2)
        (edge,) = lines(stream, "http", 1)
    assert (answered["method"], answered["level"]) == ("ListTokenChecks", "DEBUG")
    assert (refused["code"], refused["level"]) == ("PERMISSION_DENIED", "INFO")
    assert (edge["path"], edge["level"]) == ("/health", "DEBUG")


def test_no_secret_and_nothing_of_a_message_is_logged(
    platform: Platform, world: World, signed: list[str]
) -> None:
    secrets = [SERVICE_TOKEN, *platform.roles.values(), "a-password-in-a-param", "wrong-token"]
    del signed[:]
    with log() as stream:
        world.new_file(run_id=world.new_run())
        world.call("TrackingService.LogParam", run_id=world.run_id, key="k", value=secrets[-2])
        platform.http("POST", "/api/2.0/mlflow/runs/create", "Bearer wrong-token", {"x": secrets})
        platform.http("GET", f"/get-artifact?run_id={world.run_id}&token={SERVICE_TOKEN}", "")
        lines(stream, "http", 2 + len(signed))
        output = stream.getvalue()

    parts = {part for query in signed for part in query.split("&")}
    for secret in (*secrets, *parts):
        assert secret not in output, secret
