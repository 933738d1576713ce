"""Parsing of JSON documents: which are refused, and what they may take."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from modelyard.api.serving.v1 import endpoint_pb2
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_gateway.codec.decode import decode
from modelyard_gateway.codec.documents import parse
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.errors import HttpError

MIB = 1 << 20
BATCH: Any = tracking_pb2.LogBatchRequest.DESCRIPTOR
START = b'{"run_id": "x", "metrics": ['
METRIC = b'{"key": "metric_1", "value": 0.123456, "timestamp": 1700000000000, "step": 12}'


def repeated(item: bytes, size_bytes: int) -> bytes:
    return START + b",".join([item] * (size_bytes // (len(item) + 1))) + b"]}"


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"1" * MIB,
        b'{"a": -' + b"9" * MIB + b"}",
        b'{"a": 1e999}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'"\xff"',
        b'{"a": "' + b"x" * MIB + b'\xc3"}',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1}{"a": 1}',
        b'{"a": 01}',
        b"\x00",
    ],
    ids=lambda text: text[:12].decode("latin-1"),
)
def test_a_text_that_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidArgument, match="The body is not JSON"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "b": 2, "a" : {}}',
        b'{"x": [{"a": 1, "\\u0061": 2}]}',
        b'{"": 1, "":2}',
        b'{"a\\"": 1, "a\\"": 2}',
        b'{"a\\\\":1,"a\\\\"\n:2}',
        b'{"unknown": {"deep": [[{"a": null, "a": null}]]}}',
    ],
)
def test_an_object_with_a_key_twice_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidArgument, match="the same key twice"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": ": b", "b": "\\":", "c": ":"}', {"a": ": b", "b": '":', "c": ":"}),
        (b'[{"a": 1}, {"a": "\\\\"}]', [{"a": 1}, {"a": "\\"}]),
        (b'{"a": {"a": {"a": ["a", ":"]}}}', {"a": {"a": {"a": ["a", ":"]}}}),
        (b'{"a": "' + b'\\"' * 100_000 + b'"}', {"a": '"' * 100_000}),
        (b'"\\u0000"', "\0"),
        (b"[" * 1000 + b"]" * 1000, None),
    ],
    ids=lambda value: None if isinstance(value, bytes) else "",
)
def test_strings_that_look_like_keys_are_none(text: bytes, value: object) -> None:
    parsed = parse(text)
    assert value is None or parsed == value


@pytest.mark.parametrize(
    "item", [b'{"key":"a"}', b"{}", b"[]", b'{"a":{"b":1}}', b"[[[[[[]]]]]]", b'""', b"1"]
)
def test_a_document_takes_a_bounded_amount_of_memory(item: bytes) -> None:
    text = repeated(item, 8 * MIB)
    tracemalloc.start()
    try:
        with pytest.raises((HttpError, InvalidArgument)) as caught:
            decode(BATCH, parse(text))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 160 * MIB
    assert not isinstance(caught.value, HttpError) or caught.value.status == 413


def test_the_largest_batches_of_clients_are_parsed() -> None:
    assert len(decode(BATCH, parse(repeated(METRIC, MIB))).metrics) > 10_000  # type: ignore[attr-defined]
    points = b",".join([b"0.123456789"] * 100_000)
    series = b'{"series": [{"key": "a", "values": [%s], "steps": [%s], "timestamps": [%s]}]}'
    assert parse(series % (points, points, points))["series"]


def test_a_mask_of_many_fields_is_refused() -> None:
    kind: Any = endpoint_pb2.UpdateEndpointRequest.DESCRIPTOR
    with pytest.raises(InvalidArgument, match="at most 100 names of fields"):
        decode(kind, {"update_mask": "a," * MIB})
