"""Every HTTP route of the contract: what it accepts, what it refuses, and how."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from tests.support.http.transcoder_edge import METHODS, ROUTES, Edge, ask, running_edge

from modelyard.api.options.v1 import options_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_gateway.codec import well_known
from modelyard_gateway.transcoder import bindings
from modelyard_kit import errors

WRONG: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: 5,
    FieldDescriptor.TYPE_BYTES: 5,
    FieldDescriptor.TYPE_BOOL: "yes",
    FieldDescriptor.TYPE_DOUBLE: True,
    FieldDescriptor.TYPE_INT32: 1.5,
    FieldDescriptor.TYPE_INT64: "x",
    FieldDescriptor.TYPE_ENUM: "NOPE",
    FieldDescriptor.TYPE_MESSAGE: 5,
}
RIGHT: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "a",
    FieldDescriptor.TYPE_BYTES: "YQ==",
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_DOUBLE: 1.5,
    FieldDescriptor.TYPE_INT32: 7,
    FieldDescriptor.TYPE_INT64: 7,
}
KNOWN: dict[str, Any] = {
    "google.protobuf.Timestamp": "2026-01-31T12:00:00Z",
    "google.protobuf.FieldMask": "a",
}


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


MATCHING = {"[0-9A-Za-z]{10}": "a" * 10, "[0-9a-f]{64}": "a" * 64, "[0-9]+": "1"}
"""A matching text for each pattern of the contract that `a` does not match."""


def filled(kind: Descriptor) -> dict[str, Any]:
    """Return a request with a valid value in each field."""
    return {field.name: fitting(field) for field in kind.fields}


def fitting(field: FieldDescriptor) -> Any:
    if well_known.map_value(field) is not None:
        return {"k": "v"}
    if field.message_type is not None:
        known = KNOWN.get(field.message_type.full_name)
        value = filled(field.message_type) if known is None else known
    elif field.enum_type is not None:
        value = field.enum_type.values[-1].name
    else:
        options: Any = field.GetOptions().Extensions  # the type stubs lack editions
        allowed = (*options[options_pb2.one_of], RIGHT[field.type])
        value = MATCHING.get(options[options_pb2.pattern].regex, allowed[0])
        for option in (options_pb2.range, options_pb2.double_range):
            limits = options[option]
            value = max(value, limits.min) if limits.HasField("min") else value
            value = min(value, limits.max) if limits.HasField("max") else value
    return [value] if field.is_repeated else value


def at(path: str, document: dict[str, Any]) -> str:
    for name, value in document.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    return path


@pytest.mark.parametrize(
    ("method", "verb", "path"), ROUTES, ids=[f"{verb} {path}" for _, verb, path in ROUTES]
)
def test_a_route_and_its_twin_lead_to_their_rpc(
    edge: Edge, method: MethodDescriptor, verb: str, path: str
) -> None:
    document = filled(method.input_type)
    for prefix in ("/api/", "/ajax-api/"):
        target = prefix + at(path, document).removeprefix("/api/")

        answer = edge.ask(verb, target, document)

        assert (answer.status, answer.json()) == (200, {})
    assert [name for name, _, _ in edge.asked] == [method.name] * 2
    assert edge.asked[0][1] == edge.asked[1][1]
    assert {field.name for field, _ in edge.asked[0][1].ListFields()} == set(document)


def test_each_field_of_each_rpc_is_refused_by_name_when_it_has_the_wrong_type(edge: Edge) -> None:
    connection = edge.connection()
    refused = 0
    for method, verb, path in ROUTES:
        right = filled(method.input_type)
        for field in method.input_type.fields:
            if f"{{{field.name}}}" in path:
                continue
            wrong = right | {field.name: WRONG[field.type]}

            answer = ask(connection, verb, at(path, right), wrong)

            status, code, message = answer.refusal()
            assert (status, code) == (400, "INVALID_PARAMETER_VALUE"), (method.name, field.name)
            assert f"for parameter '{field.name}" in message, message
            refused += 1
    connection.close()
    assert refused > 200
    assert not edge.asked


def test_unknown_fields_are_ignored_by_each_rpc(edge: Edge) -> None:
    connection = edge.connection()
    for method, verb, path in ROUTES:
        document = filled(method.input_type) | {"colour": {"deep": [None, 1]}}
        answer = ask(connection, verb, at(path, document), document)
        assert answer.status == 200, answer.body
    connection.close()


def test_calls_between_services_have_no_route(edge: Edge) -> None:
    internal = [m for m in METHODS if permission(m) == options_pb2.INTERNAL]

    assert internal
    assert not [route for method in internal for route in bindings(method)]
    for path in ("tokens:listChecks", "tokenChecks", "pinnedManifests"):
        status, code, _ = edge.ask("GET", f"/api/modelyard/v1/{path}").refusal()
        assert (status, code) == (404, "ENDPOINT_NOT_FOUND")


def permission(method: MethodDescriptor) -> int:
    extensions: Any = method.GetOptions().Extensions  # the type stubs lack editions
    return int(extensions[options_pb2.permission])


LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_literal_that_is_not_json_is_refused_with_what_to_send(
    edge: Edge, literal: bytes
) -> None:
    body = b'{"run_id": "a", "key": "k", "timestamp": 1, "value": ' + literal + b"}"

    answer = edge.ask("POST", LOG_METRIC, body=body, headers={"Content-Type": "application/json"})

    status, code, message = answer.refusal()
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith("The body is not JSON: ")
    assert '"NaN", "Infinity", "-Infinity"' in message
    assert not edge.asked


def test_text_for_numbers_that_are_not_finite_arrives(edge: Edge) -> None:
    for text in ("NaN", "Infinity", "-Infinity"):
        document = {"run_id": "a", "key": "k", "timestamp": 1, "value": text}
        assert edge.ask("POST", LOG_METRIC, document).status == 200

    values = [request.value for _, request, _ in edge.asked]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"a":1}x', b"[" * 2000])
def test_malformed_json_is_reported_as_such(edge: Edge, body: bytes) -> None:
    answer = edge.ask("POST", LOG_METRIC, body=body, headers={"Content-Type": "application/json"})

    status, code, message = answer.refusal()
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    expected = "The body is not JSON" if body else "Missing value for required parameter 'key'"
    assert message.startswith(expected)


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"null"])
def test_a_body_that_is_no_object_is_refused(edge: Edge, body: bytes) -> None:
    answer = edge.ask("POST", LOG_METRIC, body=body, headers={"Content-Type": "application/json"})

    assert answer.refusal()[2].startswith("The body must be a JSON object")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_that_another_site_could_send_is_refused(edge: Edge, media_type: str) -> None:
    body = json.dumps({"name": "a"}).encode()
    headers = {"Content-Type": media_type} if media_type else {}

    answer = edge.ask("POST", "/api/2.0/mlflow/experiments/create", headers=headers, body=body)

    status, code, message = answer.refusal()
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith("The Content-Type must be application/json, got ")
    assert not edge.asked


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/Vnd+JSON"])
def test_every_type_of_json_is_read(edge: Edge, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    path = "/api/2.0/mlflow/experiments/create"

    assert edge.ask("POST", path, headers=headers, body=b'{"name": "a"}').status == 200


def test_an_empty_body_is_an_empty_object(edge: Edge) -> None:
    assert edge.ask("POST", "/api/2.0/mlflow/runs/search").status == 200
    assert edge.asked[0][1] == pb.SearchRunsRequest()


def test_a_get_is_requested_by_its_parameters(edge: Edge) -> None:
    path = "/api/2.0/mlflow/metrics/get-history-bulk-interval"
    run_ids = [f"run{number}" for number in range(100)]
    pairs = [("run_ids", run_id) for run_id in run_ids] + [("metric_key", "a b&ä"), ("x", "y")]

    answer = edge.ask("GET", f"{path}?{urlencode(pairs)}&start_step=-5")

    assert answer.status == 200
    assert edge.asked[0][1] == pb.GetMetricHistoryBulkIntervalRequest(
        run_ids=run_ids, metric_key="a b&ä", start_step=-5
    )


def test_a_get_may_have_a_body(edge: Edge) -> None:
    assert edge.ask("GET", "/api/2.0/mlflow/runs/get", {"run_id": "a"}).status == 200
    assert edge.asked[0][1] == pb.GetRunRequest(run_id="a")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("run_id=a&run_id=b", "Parameter 'run_id' is given twice, expected once."),
        ("run_id=%ff", "A parameter of the URL is not UTF-8"),
        ("&".join(f"x{n}=1" for n in range(1025)), "Too many parameters in the URL"),
    ],
)
def test_invalid_parameters_are_refused(edge: Edge, query: str, message: str) -> None:
    status, code, refusal = edge.ask("GET", f"/api/2.0/mlflow/runs/get?{query}").refusal()

    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message in refusal


def test_a_variable_of_the_path_may_hold_a_slash(edge: Edge) -> None:
    answer = edge.ask("DELETE", "/api/2.0/mlflow/logged-models/m-1/tags/a%2Fb%20c%252F")

    assert answer.status == 200
    assert edge.asked[0][1] == pb.DeleteLoggedModelTagRequest(model_id="m-1", tag_key="a/b c%2F")


def test_a_body_may_repeat_a_variable_of_the_path_and_not_contradict_it(edge: Edge) -> None:
    path = "/api/2.0/mlflow/logged-models/m-1/tags"

    assert edge.ask("PATCH", path, {"model_id": "m-1", "tags": []}).status == 200
    for document in ({"model_id": "m-2"}, {"modelId": "m-2"}):
        status, code, message = edge.ask("PATCH", path, document).refusal()
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
        assert "Parameter 'model_id' is 'm-1' in the path" in message


def test_a_wrong_method_is_refused_with_the_allowed_ones(edge: Edge) -> None:
    answer = edge.ask("PUT", "/api/2.0/mlflow/logged-models/m-1", {})

    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH")
    assert answer.json()["error_code"] == "BAD_REQUEST"


def test_a_head_is_a_get_without_its_body(edge: Edge) -> None:
    answer = edge.ask("HEAD", "/api/2.0/mlflow/runs/get?run_id=a")

    assert (answer.status, answer.body) == (200, b"")
    assert edge.asked[0][1] == pb.GetRunRequest(run_id="a")


def test_metrics_know_the_route_and_not_the_path(edge: Edge) -> None:
    edge.ask("GET", "/ajax-api/2.0/mlflow/logged-models/m-secret")

    page = edge.ask("GET", "/metrics").body

    assert b'route="/api/2.0/mlflow/logged-models/{model_id}"' in page
    assert b"m-secret" not in page


def test_a_refused_state_has_mlflows_code_on_its_tracking_routes_only(edge: Edge) -> None:
    for rpc, path, code in (
        ("CreateExperiment", "experiments/create", "INVALID_PARAMETER_VALUE"),
        ("CreateRegisteredModel", "registered-models/create", "INVALID_STATE"),
    ):
        edge.raises(rpc, errors.FailedPrecondition("No."))
        answer = edge.ask("POST", f"/api/2.0/mlflow/{path}", {"name": "a"})
        assert answer.refusal() == (400, code, "No.")
