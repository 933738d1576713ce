"""Requests that a page of another site makes a browser send, to each route of each server."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.http.transcoder_edge import Edge, ask, running_edge

from modelyard_kit.http.monitoring import Monitoring

_TABLE = Path(__file__).parents[1] / "architecture" / "routes.txt"
_WRITTEN = [line.split(" ", 2)[1:] for line in _TABLE.read_text(encoding="utf-8").splitlines()]
_FILES = "2.0/mlflow-artifacts"
_BYTES = [
    ("PUT", f"/api/{_FILES}/artifacts/0/a/artifacts/x.txt"),
    ("DELETE", f"/api/{_FILES}/artifacts/0/a/artifacts/x.txt"),
    *(("POST", f"/api/{_FILES}/mpu/{step}/0/a/artifacts") for step in ("create", "complete")),
    ("POST", f"/api/{_FILES}/mpu/abort/0/a/artifacts"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=a&path=x.txt"),
    ("PUT", "/artifacts/files/0/a/artifacts/x.txt"),
    ("PUT", f"/artifacts/objects/{'a' * 64}"),
    ("POST", "/no/such/route"),
]
API = [(verb, re.sub(r"\{[a-z_]+\}", "x", path)) for verb, path in _WRITTEN if verb != "GET"]
UNSAFE = sorted(
    {
        *API,
        *_BYTES,
        *((verb, path.replace("/api/", "/ajax-api/", 1)) for verb, path in (*API, *_BYTES)),
    }
)
CROSS = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
MARKS = [{name: value} for name, value in CROSS.items()]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.mark.parametrize("body", [None, b"{}"], ids=["no body", "a body"])
@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: next(iter(marks)))
def test_no_unsafe_route_of_the_gateway_answers_another_site(
    edge: Edge, marks: dict[str, str], body: bytes | None
) -> None:
    edge.asked.clear()
    with closing(edge.connection()) as connection:
        for verb, path in UNSAFE:
            answer = ask(connection, verb, path, headers=marks, body=body)
            assert answer.refusal()[:2] == (403, "PERMISSION_DENIED"), (verb, path)
            assert not any(name.startswith("access-control") for name in answer.headers)
    assert len(UNSAFE) > 100
    assert not edge.asked


def test_a_page_of_the_gateway_itself_is_answered(edge: Edge) -> None:
    own = {"Origin": f"http://127.0.0.1:{edge.port}", "Sec-Fetch-Site": "same-origin"}
    assert edge.ask("POST", "/ajax-api/2.0/mlflow/runs/create", {}, own).status == 200
    assert edge.ask("POST", "/ajax-api/2.0/mlflow/runs/create", {}).status == 200


def test_a_preflight_request_is_refused(edge: Edge) -> None:
    asking = {**CROSS, "Access-Control-Request-Method": "POST"}
    answer = edge.ask("OPTIONS", "/api/2.0/mlflow/runs/create", headers=asking)
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_monitoring_port_does_not_answer_another_site() -> None:
    monitoring = Monitoring("127.0.0.1", 0, list)
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", monitoring.port)) as connection:
            answer = ask(connection, "POST", "/livez", headers=CROSS)
        assert answer.refusal()[:2] == (403, "PERMISSION_DENIED")
    finally:
        monitoring.close()
