"""The commands of docs/endpoints.md, over HTTP against the whole platform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.platforms.access_platform import SERVICE_TOKEN, Platform, running_platform

PAGE = Path(__file__).parents[2] / "docs" / "endpoints.md"
TOKEN = f"Bearer {SERVICE_TOKEN}"
FRAUD = "/api/modelyard/v1/endpoints/fraud"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


def documented() -> list[tuple[str, str, Any]]:
    """Return verb, path and body of each command of the page."""
    commands = re.findall(
        r"\$ curl -X (\w+) \S+:5000(\S+) [^{]*(\{.*?\})'", PAGE.read_text(), re.DOTALL
    )
    return [(verb, path, json.loads(body)) for verb, path, body in commands]


def test_the_documented_commands_work(platform: Platform) -> None:
    (post, endpoints, new), (patch, fraud, change) = documented()
    status, answer = platform.http(post, endpoints, TOKEN, new)
    assert (status, answer["endpoint"]["etag"]) == (200, "1"), answer
    status, answer = platform.http(patch, fraud, TOKEN, change)
    assert (status, answer["endpoint"]["spec"]["limits"]) == (200, {"timeout_ms": 800}), answer

    status, answer = platform.http(patch, fraud, TOKEN, change)
    assert (status, answer["error_code"]) == (409, "ABORTED")
    masked = {"endpoint": {}, "updateMask": "spec.limits.timeoutMs"}
    status, answer = platform.http("PATCH", FRAUD, TOKEN, masked)
    assert (status, "limits" in answer["endpoint"]["spec"]) == (200, False), answer
    status, answer = platform.http("GET", f"{FRAUD}/events?page_size=2", TOKEN)
    assert [event["revision"] for event in answer["events"]] == [1, 2]
    status, answer = platform.http("GET", f"{FRAUD}/events:verify", TOKEN)
    assert (status, answer["revision"]) == (200, 3)
    status, answer = platform.http("DELETE", FRAUD, TOKEN, {"comment": "old"})
    assert (status, answer) == (200, {})
    assert platform.http("GET", FRAUD, TOKEN)[0] == 404
    status, answer = platform.http("GET", "/api/modelyard/v1/endpoints", TOKEN)
    assert (status, answer) == (200, {})


def test_an_endpoint_that_nothing_serves_is_unavailable(platform: Platform) -> None:
    status, answer = platform.http("POST", f"{FRAUD}:predict", TOKEN, {"inputs": [1]})
    assert (status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")
