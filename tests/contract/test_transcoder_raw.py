"""Raw bodies, which pass the HTTP edge unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.support.http.transcoder_edge import Edge, running_edge

from modelyard.api.serving.v1 import serving_pb2 as pb
from modelyard_gateway.transcoder import MAX_BODY_BYTES
from modelyard_kit.errors import NotFound

PREDICT = "/api/modelyard/v1/endpoints/fraud:predict"
BINARY = bytes(range(256)) * 3


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture
def edge(running: Edge) -> Edge:
    """Return an edge in front of a service that returns the body it receives."""

    def echo(request: pb.PredictRequest, _context: grpc.ServicerContext) -> pb.PredictResponse:
        return pb.PredictResponse(body=request.body, model_version="3", model_digest="ab" * 32)

    running.asked.clear()
    running.behaviors.clear()
    running.behaviors["Predict"] = echo
    return running


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/json", b'{"inputs": [[NaN, 1e400]]'),
        ("text/csv; charset=utf-8; header=present", "a,b\r\n1,ä\r\n".encode()),
        ("application/vnd.apache.parquet", BINARY),
        ("application/octet-stream", b"\0" * 100_000),
        ("Application/JSON", b""),
    ],
)
@pytest.mark.parametrize("prefix", ["/api/", "/ajax-api/"])
def test_a_body_goes_in_and_out_as_it_is(
    edge: Edge, media_type: str, body: bytes, prefix: str
) -> None:
    path = prefix + PREDICT.removeprefix("/api/")

    answer = edge.ask("POST", path, headers={"Content-Type": media_type}, body=body)

    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-length"] == str(len(body))
    [(name, request, _)] = edge.asked
    assert name == "Predict"
    assert request == pb.PredictRequest(
        endpoint_id="fraud", body=HttpBody(content_type=media_type, data=body)
    )


def test_an_answer_names_the_model_in_its_headers(edge: Edge) -> None:
    answer = edge.ask("POST", PREDICT, {"inputs": [1]})

    assert answer.headers["x-model-version"] == "3"
    assert answer.headers["x-model-digest"] == "ab" * 32
    edge.replies("Predict", pb.PredictResponse(body=HttpBody(data=b"x")))
    answer = edge.ask("POST", PREDICT, {"inputs": [1]})
    assert "x-model-version" not in answer.headers
    assert (answer.headers["content-type"], answer.body) == ("application/octet-stream", b"x")


def test_a_text_that_no_header_can_carry_is_percent_encoded(edge: Edge) -> None:
    body = HttpBody(content_type="text/html\r\nx-evil: 1", data=b"x")
    edge.replies("Predict", pb.PredictResponse(body=body, model_version="ä\r\nx-evil: 1"))

    answer = edge.ask("POST", PREDICT, {})

    assert answer.headers["x-model-version"] == "%C3%A4%0D%0Ax-evil%3A%201"
    assert answer.headers["content-type"] == "text/html%0D%0Ax-evil%3A%201"
    assert "x-evil" not in answer.headers


def test_a_response_that_is_a_page_may_do_nothing(edge: Edge) -> None:
    body = HttpBody(content_type="text/html", data=b"<script>")
    edge.replies("Predict", pb.PredictResponse(body=body))

    answer = edge.ask("POST", PREDICT, {})

    assert answer.headers["content-security-policy"].endswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_in_chunks_is_a_body(edge: Edge) -> None:
    headers = {"Content-Type": "text/csv"}

    answer = edge.ask("POST", PREDICT, headers=headers, body=iter([b"a,b\n", BINARY]))

    assert (answer.status, answer.body) == (200, b"a,b\n" + BINARY)


@pytest.mark.parametrize("size_bytes", [64 << 10, (64 << 10) + 1, MAX_BODY_BYTES - 1024])
def test_a_body_may_be_as_large_as_a_message(edge: Edge, size_bytes: int) -> None:
    body = BINARY * (size_bytes // len(BINARY)) + BINARY[: size_bytes % len(BINARY)]
    headers = {"Content-Type": "application/octet-stream"}

    answer = edge.ask("POST", PREDICT, headers=headers, body=body)

    assert answer.status == 200
    assert answer.body == body


@pytest.mark.parametrize("over_bytes", [0, 1])
def test_a_larger_body_is_refused(edge: Edge, over_bytes: int) -> None:
    headers = {"Content-Type": "application/octet-stream"}

    answer = edge.ask("POST", PREDICT, headers=headers, body=b"x" * (MAX_BODY_BYTES + over_bytes))

    assert answer.refusal()[:2] == (413, "INVALID_PARAMETER_VALUE")
    assert not edge.asked


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "Text/Plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "a/b/c",
        "text/csv, text/plain",
        "text/csv; x=" + "y" * 300,
        "text/csv; x=\xe4",
    ],
)
def test_an_invalid_type_or_that_of_a_form_is_refused(edge: Edge, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}

    status, code, message = edge.ask("POST", PREDICT, headers=headers, body=b"x").refusal()

    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith("The Content-Type must be that of the body")
    assert not edge.asked


def test_a_compressed_body_is_refused(edge: Edge) -> None:
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}

    assert edge.ask("POST", PREDICT, headers=headers, body=b"x").status == 415
    assert not edge.asked


def test_a_refusal_of_the_service_is_json(edge: Edge) -> None:
    edge.raises("Predict", NotFound("Endpoint with id=fraud not found"))

    refusal = edge.ask("POST", PREDICT, {}).refusal()

    assert refusal == (404, "RESOURCE_DOES_NOT_EXIST", "Endpoint with id=fraud not found")


def test_an_answer_in_another_form_is_a_bug_of_the_service(edge: Edge) -> None:
    edge.replies("Predict", pb.PredictResponse(tensors=pb.Tensors()))

    assert edge.ask("POST", PREDICT, {}).refusal()[:2] == (500, "INTERNAL_ERROR")
