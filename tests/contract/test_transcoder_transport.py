"""HTTP transport: sizes, connections, headers, failures of the services."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from tests.support.http.transcoder_edge import Edge, ask, running_edge

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_gateway import bodies
from modelyard_gateway.transcoder import MAX_BODY_BYTES
from modelyard_kit import errors
from modelyard_kit.http.protocol import MAX_HEAD_BYTES

LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
CREATE = "/api/2.0/mlflow/experiments/create"
GET_RUN = "/api/2.0/mlflow/runs/get?run_id=a"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder: Path = tmp_path_factory.mktemp("edge")
    with running_edge(folder) as edge:
        yield edge


@pytest.fixture
def edge(running: Edge) -> Edge:
    running.asked.clear()
    running.behaviors.clear()
    return running


def test_an_answer_is_200_and_json_as_mlflows_clients_read_it(edge: Edge) -> None:
    info = pb.RunInfo(run_id="a", run_uuid="a", status=pb.FINISHED, start_time=1_700_000_000_000)
    data = pb.RunData(metrics=[pb.Metric(key="m", value=float("nan"), timestamp=1, step=0)])
    edge.replies("GetRun", pb.GetRunResponse(run=pb.Run(info=info, data=data)))

    answer = edge.ask("GET", GET_RUN)

    assert answer.status == 200
    assert answer.json() == {
        "run": {
            "info": {
                "run_id": "a",
                "run_uuid": "a",
                "status": "FINISHED",
                "start_time": 1_700_000_000_000,
            },
            "data": {"metrics": [{"key": "m", "value": "NaN", "timestamp": 1, "step": 0}]},
        }
    }


def test_the_identity_and_the_idempotency_key_are_forwarded(edge: Edge) -> None:
    headers = {
        "Authorization": "Bearer abc",
        "Idempotency-Key": "key-1",
        "X-Request-Id": "request-1",
        "X-Modelyard-User": "ann",
        "X-Other": "no",
    }

    answer = edge.ask("POST", CREATE, {"name": "a"}, headers)

    metadata = edge.asked[0][2]
    assert answer.headers["x-request-id"] == "request-1"
    assert {name.lower(): metadata.get(name.lower()) for name in headers} == {
        "authorization": "Bearer abc",
        "idempotency-key": "key-1",
        "x-request-id": "request-1",
        "x-modelyard-user": "ann",
        "x-other": None,
    }


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [
        ("ä", 400, "The header x-modelyard-user must be printable ASCII"),
        ("a" * 5000, 431, "The header x-modelyard-user is longer than 4096 characters"),
    ],
)
def test_a_header_that_cannot_be_forwarded_is_refused(
    edge: Edge, value: str, status: int, message: str
) -> None:
    answer = edge.ask("POST", CREATE, {"name": "a"}, {"X-Modelyard-User": value})

    assert answer.refusal()[0] == status
    assert message in answer.refusal()[2]
    assert not edge.asked


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.InvalidArgument("No."), 400, None),
        (errors.AlreadyExists("No."), 400, None),
        (errors.Unauthenticated("No."), 401, None),
        (errors.PermissionDenied("No."), 403, None),
        (errors.NotFound("No."), 404, None),
        (errors.Aborted("No."), 409, None),
        (errors.DataLoss("No."), 422, None),
        (errors.ResourceExhausted("No."), 507, None),
        (errors.ResourceExhausted("No.").after(1.5), 429, "2"),
        (errors.Unimplemented("No."), 501, None),
        (errors.Unavailable("No."), 503, "1"),
        (errors.Unavailable("No.").after(3), 503, "3"),
        (errors.DeadlineExceeded("No."), 504, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, errors.Error) else None,
)
def test_the_error_of_a_service_is_the_error_of_the_edge(
    edge: Edge, error: errors.Error, status: int, retry_after: str | None
) -> None:
    edge.raises("CreateExperiment", error)

    answer = edge.ask("POST", CREATE, {"name": "a"})

    assert answer.refusal() == (status, error.reason, "No.")
    assert answer.headers.get("retry-after") == retry_after


def test_a_bug_of_a_service_is_reported_without_its_cause(edge: Edge) -> None:
    edge.raises("CreateExperiment", RuntimeError("secret"))

    answer = edge.ask("POST", CREATE, {"name": "a"}, {"X-Request-Id": "r-1"})

    message = "internal error (request id r-1)"
    assert answer.refusal() == (500, "INTERNAL_ERROR", message)


def test_an_answer_that_is_too_large_is_a_definite_refusal(edge: Edge) -> None:
    edge.replies("SearchRuns", pb.SearchRunsResponse(next_page_token="x" * (65 << 20)))

    status, code, message = edge.ask("POST", "/api/2.0/mlflow/runs/search", {}).refusal()

    assert (status, code) == (413, "INVALID_PARAMETER_VALUE")
    assert "smaller max_results" in message


def test_an_overloaded_service_is_answered_with_retry_after(edge: Edge) -> None:
    done = threading.Event()

    def behavior(_request: Any, _context: grpc.ServicerContext) -> Message:
        assert done.wait(30)
        return pb.GetRunResponse()

    edge.behaviors["GetRun"] = behavior
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", edge.port), timeout=30))
            for _ in range(150)  # more than the services accept concurrently
        ]
        for connection in connections:
            connection.sendall(f"GET {GET_RUN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answered, _, _ = select.select(connections, [], [], 30)
        done.set()
        for connection in connections:
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            assert reply.status == (429 if connection in answered else reply.status)
            if reply.status == 429:
                assert reply.headers["retry-after"] == "1"
                assert json.loads(reply.read())["error_code"] == "RESOURCE_EXHAUSTED"
            else:
                assert reply.status == 200
    assert answered


def test_a_large_response_arrives_whole(edge: Edge) -> None:
    runs = [pb.Run(info=pb.RunInfo(run_id=f"r{number}")) for number in range(20_000)]
    edge.replies("SearchRuns", pb.SearchRunsResponse(runs=runs))

    found = edge.ask("POST", "/api/2.0/mlflow/runs/search", {}).json()["runs"]

    assert [run["info"]["run_id"] for run in found] == [f"r{n}" for n in range(20_000)]


def test_a_large_request_arrives_whole(edge: Edge) -> None:
    metrics = [{"key": f"k{n}", "value": n, "timestamp": n} for n in range(1000)]
    params = [{"key": "p" * 200, "value": "v" * 6000}] * 100
    document = {"run_id": "a", "metrics": metrics, "params": params}

    assert edge.ask("POST", "/api/2.0/mlflow/runs/log-batch", document).status == 200
    assert len(edge.asked[0][1].metrics) == 1000


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused_while_it_is_sent(edge: Edge, *, chunked: bool) -> None:
    size_bytes = MAX_BODY_BYTES + (4 << 20)
    chunks = (b"x" * (1 << 20) for _ in range(size_bytes >> 20))
    body = chunks if chunked else b"".join(chunks)

    answer = edge.ask("POST", CREATE, headers=JSON, body=body)

    assert answer.refusal() == (
        413,
        "INVALID_PARAMETER_VALUE",
        "The request is larger than 8 MiB; send it in several parts.",
    )
    assert answer.headers["connection"] == "close"


def test_a_body_that_grows_beyond_the_limit_of_the_services_is_refused(edge: Edge) -> None:
    document = {"series": [{"key": "k", "values": [0] * 1_200_000}]}

    answer = edge.ask("POST", "/api/modelyard/v1/metricSeries:log", document)

    assert len(json.dumps(document)) < MAX_BODY_BYTES
    assert answer.refusal()[0] == 413


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", LOG_METRIC, b"{", 400),
        ("POST", LOG_METRIC, b"x" * 50_000, 400),
        ("POST", "/api/2.0/mlflow/nothing", b"{}", 404),
        ("PUT", LOG_METRIC, b"x" * 50_000, 405),
        ("POST", "/api/3.0/mlflow/traces", b"{}", 501),
        ("GET", "/nothing", b"{}", 404),
    ],
)
def test_a_connection_outlives_a_refused_body(
    edge: Edge, method: str, path: str, body: bytes, status: int
) -> None:
    with closing(edge.connection()) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            answer = ask(connection, method, path, headers=JSON, body=body)
            assert answer.refusal()[0] == status
        assert ask(connection, "GET", GET_RUN).status == 200
        assert connection.sock is kept


def test_many_requests_share_a_connection(edge: Edge) -> None:
    path = f"{GET_RUN}&x={'a' * 2000}"
    with closing(edge.connection()) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(100):
            assert ask(connection, "GET", path).status == 200
        assert connection.sock is kept


def raw(edge: Edge, sent: bytes) -> http.client.HTTPResponse:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as connection:
        connection.sendall(sent)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        return reply


def test_large_bodies_that_stall_do_not_delay_small_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.1)
    head = "POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"
    large = b'{"filter": "' + b" " * (1 << 20) + b'"}'
    path, kind = "/api/2.0/mlflow/runs/search", {"Content-Type": "application/json"}
    with running_edge(tmp_path) as edge:
        with ExitStack() as stalled:
            for _ in range(16):
                connection = socket.create_connection(("127.0.0.1", edge.port), timeout=30)
                stalled.enter_context(connection).sendall(head.encode() + b"{")
            assert edge.ask("GET", GET_RUN).status == 200
            while (answered := edge.ask("POST", path, None, kind, large)).status == 400:
                pass  # their heads are still being checked
            status, code, message = answered.refusal()
            assert (status, code) == (429, "RESOURCE_EXHAUSTED")
            assert message.startswith("Too many large requests are running")
        assert edge.ask("GET", GET_RUN).status == 200


def test_bytes_that_are_not_http_are_refused_as_json(edge: Edge) -> None:
    reply = raw(edge, b"\x16\x03\x01 nonsense\r\n\r\n")

    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /?x=" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * MAX_HEAD_BYTES + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * (8 * MAX_HEAD_BYTES),
    ],
    ids=["url", "headers", "endless header"],
)
def test_a_head_beyond_the_limit_is_refused_as_json(edge: Edge, head: bytes) -> None:
    reply = raw(edge, head)

    assert (reply.status, reply.headers["content-type"]) == (431, "application/json")


def test_a_client_that_disconnects_cancels_its_call(edge: Edge) -> None:
    arrived, cancelled = threading.Event(), threading.Event()

    def behavior(_request: Any, context: grpc.ServicerContext) -> Message:
        context.add_callback(cancelled.set)
        arrived.set()
        assert cancelled.wait(30)
        return pb.GetRunResponse()

    edge.behaviors["GetRun"] = behavior
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as connection:
        connection.sendall(f"GET {GET_RUN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert arrived.wait(30)

    assert cancelled.wait(30)
    del edge.behaviors["GetRun"]
    assert edge.ask("GET", GET_RUN).status == 200


def test_a_slow_call_is_answered(edge: Edge) -> None:
    """The call takes longer than the delay before its client is watched."""

    def behavior(_request: Any, _context: grpc.ServicerContext) -> Message:
        threading.Event().wait(0.6)
        return pb.GetRunResponse(run=pb.Run(info=pb.RunInfo(run_id="a")))

    edge.behaviors["GetRun"] = behavior

    assert edge.ask("GET", GET_RUN).json() == {"run": {"info": {"run_id": "a"}}}


@pytest.mark.parametrize(
    ("method", "path", "area"),
    [
        ("POST", "/api/3.0/mlflow/traces", "tracing of generative AI"),
        ("GET", "/ajax-api/2.0/mlflow/traces/tr-1/info", "tracing of generative AI"),
        ("POST", "/v1/traces", "tracing of generative AI"),
        ("GET", "/api/3.0/mlflow/scorers/list", "evaluation of generative AI"),
        ("POST", "/api/3.0/mlflow/datasets/create", "evaluation of generative AI"),
        ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run", "MLflow's AI gateway"),
        ("GET", "/ajax-api/3.0/jobs/1", "background jobs"),
        ("POST", "/graphql", "GraphQL"),
        ("GET", "/api/2.0/mlflow/webhooks", "webhooks"),
        ("GET", "/api/2.0/mlflow/users/current", "users, roles and permissions"),
        ("POST", "/api/2.0/mlflow/experiments/permissions/create", "users, roles and permissions"),
    ],
)
def test_a_route_of_mlflow_that_is_not_supported_names_its_feature(
    edge: Edge, method: str, path: str, area: str
) -> None:
    status, code, message = edge.ask(method, path).refusal()

    assert (status, code) == (501, "NOT_IMPLEMENTED")
    assert message.startswith(f"{path} belongs to ")
    assert area in message
    assert message.endswith(f", which Modelyard does not have{' yet' * (area == 'webhooks')}.")


@pytest.mark.parametrize("path", ["/nothing", "/api/2.0/mlflow/runs/nothing", "/static-files/x.js"])
def test_an_unknown_path_is_not_found(edge: Edge, path: str) -> None:
    assert edge.ask("GET", path).refusal()[:2] == (404, "ENDPOINT_NOT_FOUND")


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_the_server_reports_its_features(edge: Edge, prefix: str) -> None:
    info = edge.ask("GET", f"{prefix}/3.0/mlflow/server-info").json()

    assert info["store_type"] == "SqlStore"
    assert info["workspaces_enabled"] is False
    assert info["multipart_uploads_enabled"] is True


def test_the_openapi_document_is_served(edge: Edge) -> None:
    document = edge.ask("GET", "/openapi.json").json()

    assert "/api/2.0/mlflow/runs/get" in document["paths"]


def test_a_service_that_cannot_be_reached_is_a_503(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge:
        edge.server.drain(5)

        answer = edge.ask("GET", GET_RUN)

        status, code, message = answer.refusal()
        assert (status, code) == (503, "TEMPORARILY_UNAVAILABLE")
        assert message.startswith("tracking cannot be reached")
        assert answer.headers["retry-after"] == "1"
