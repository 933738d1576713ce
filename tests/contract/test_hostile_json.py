"""Every kind of JSON in every field of every RPC, and malformed bodies."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from tests.support.hostile.values import Place, places
from tests.support.http.transcoder_edge import ROUTES, Edge, ask, running_edge

from modelyard_gateway.codec import well_known

CREATE = "/api/2.0/mlflow/experiments/create"
JSON = {"Content-Type": "application/json"}
DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (True, 5, 1.5, "nope", [], [None], {}, DEEP)
FITTING: dict[int, set[type]] = {
    FieldDescriptor.TYPE_STRING: {str},
    FieldDescriptor.TYPE_BYTES: {str},  # "nope" is base64
    FieldDescriptor.TYPE_BOOL: {bool},
    FieldDescriptor.TYPE_DOUBLE: {int, float},
    FieldDescriptor.TYPE_INT32: {int},
    FieldDescriptor.TYPE_INT64: {int},
    FieldDescriptor.TYPE_ENUM: {int},  # if the enum has that number
    FieldDescriptor.TYPE_MESSAGE: {dict},
}
KNOWN: dict[str, set[type]] = {
    "google.protobuf.Timestamp": set(),
    "google.protobuf.FieldMask": {str},
}
ENTRY = {name: (method, verb, path) for method, verb, path in ROUTES for name in [method.full_name]}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture
def connection(edge: Edge) -> Iterator[http.client.HTTPConnection]:
    with closing(edge.connection()) as connection:
        yield connection


def test_each_kind_of_json_is_accepted_where_it_fits_and_refused_by_name_elsewhere(
    connection: http.client.HTTPConnection,
) -> None:
    faults = []
    tried = 0
    for method, verb, path in ENTRY.values():
        for place in places(method.input_type):
            if "{" in path or well_known.map_value(place.field) or is_inside_known(place):
                continue
            for value in VALUES:
                answer = ask(connection, verb, path, document(place, value))
                tried += 1
                if not is_right(place, value, answer.status, answer.body):
                    shown = json.dumps(value)[:40]
                    faults.append(f"{method.name} {place}={shown}: {answer.status} {answer.body!r}")
    assert faults == []
    assert tried > 500


def is_inside_known(place: Place) -> bool:
    above_it = [step.message_type for step in place.steps[:-1]]
    return any(kind is not None and kind.full_name in KNOWN for kind in above_it)


def document(place: Place, value: Any) -> dict[str, Any]:
    """Return a request that holds only a value in one field."""
    inside = value
    for step in reversed(place.steps[1:]):
        inside = {step.name: inside}
        inside = [inside] if above(place, step).is_repeated else inside
    return {place.steps[0].name: inside}


def above(place: Place, step: FieldDescriptor) -> FieldDescriptor:
    return place.steps[place.steps.index(step) - 1]


def is_right(place: Place, value: Any, status: int, body: bytes) -> bool:
    message = str(json.loads(body).get("message"))
    if fits(place.field, value):
        # A service may still require another field, or refuse this value as too small.
        return status == 200 or (status == 400 and " supplied: expected" not in message)
    named = f"parameter '{place.steps[0].name}" in message
    return status == 400 and named and place.field.name in message


def fits(field: FieldDescriptor, value: Any) -> bool:
    if field.is_repeated:
        return type(value) is list and not value
    kinds = FITTING[field.type]
    if field.message_type is not None:
        kinds = KNOWN.get(field.message_type.full_name, kinds)
    if field.enum_type is not None:
        return type(value) is int and value in set(field.enum_type.values_by_number)
    return type(value) in kinds


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\\ud800"}',
        b'{"name": "a\0"}',
        b'{"name": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"name": "a"}'.encode("utf-16"),
        b'{"name": "a",}',
        b"{'name': 'a'}",
        b'{"name": "a"} {"name": "b"}',
        b'{"name": NaN}',
        b'{"name": 01}',
        b"[" * 100_000,
        b'{"name": ' * 100_000,
        b'{"tags": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        b'{"name": 1e400}',
        b'{"name": ' + b"9" * 1_000_000 + b"}",
    ],
)
def test_a_body_that_is_hardly_json_is_refused(edge: Edge, body: bytes) -> None:
    edge.asked.clear()
    status, code, _ = edge.ask("POST", CREATE, body=body, headers=JSON).refusal()
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert not edge.asked


def test_two_fields_of_one_name_are_refused(edge: Edge) -> None:
    edge.asked.clear()
    body = b'{"name": "a", "name": "b"}'
    status, code, message = edge.ask("POST", CREATE, body=body, headers=JSON).refusal()
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message == "The body has an object with the same key twice, expected once."
    assert not edge.asked


def test_a_body_of_ten_megabytes_is_too_large(edge: Edge) -> None:
    body = b'{"name": "' + b"x" * 10_000_000 + b'"}'
    status, code, message = edge.ask("POST", CREATE, body=body, headers=JSON).refusal()
    assert (status, code) == (413, "INVALID_PARAMETER_VALUE")
    assert message == "The request is larger than 8 MiB; send it in several parts."
