from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.serving.v1 import endpoint_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_gateway.codec.decode import decode
from modelyard_kit.errors import InvalidArgument


def decoded(kind: Any, body: Any) -> Any:
    return decode(kind.DESCRIPTOR, orjson.loads(orjson.dumps(body)))


def refusal(kind: Any, body: Any) -> str:
    with pytest.raises(InvalidArgument) as refused:
        decoded(kind, body)
    return refused.value.message


def test_unknown_fields_are_dropped_whatever_they_hold() -> None:
    body = {"key": "a", "colour": {"deep": [1, None]}, "Value": "x", "": 1}

    assert decoded(pb.LogMetricRequest, body) == pb.LogMetricRequest(key="a")


def test_names_are_read_in_either_spelling_but_not_both() -> None:
    assert decoded(pb.GetRunRequest, {"runId": "a"}) == pb.GetRunRequest(run_id="a")
    message = refusal(pb.GetRunRequest, {"run_id": "a", "runId": "b"})
    assert message == (
        "Invalid value \"b\" for parameter 'run_id' supplied: "
        "expected one value, under one spelling of its name."
    )


def test_null_is_an_unset_field() -> None:
    assert decoded(pb.GetRunRequest, {"run_id": None}) == pb.GetRunRequest()


def test_a_default_that_is_sent_is_set() -> None:
    request = decoded(pb.LogMetricRequest, {"value": 0, "step": 0, "model_id": ""})

    assert request.HasField("value")
    assert request.HasField("step")
    assert request.HasField("model_id")
    assert not request.HasField("timestamp")


def test_an_empty_object_sets_a_message_field() -> None:
    request = decoded(registry_pb2.ResolveModelRequest, {"as_of": "2026-01-31T12:00:00.5Z"})

    assert request.as_of.ToMilliseconds() == 1_769_860_800_500
    assert decoded(endpoint_pb2.CreateEndpointRequest, {"endpoint": {}}).HasField("endpoint")


@pytest.mark.parametrize(
    ("given", "expected"),
    [(7, 7), ("7", 7), (1.7e12, 1_700_000_000_000), (-(1 << 63), -(1 << 63)), ("-1", -1)],
)
def test_whole_numbers_are_read_as_protobuf_reads_them(given: Any, expected: int) -> None:
    assert decoded(pb.LogMetricRequest, {"timestamp": given}).timestamp == expected


@pytest.mark.parametrize(
    "given", [True, 1.5, "1.5", "", "x", " 1", 1 << 63, "99999999999999999999"]
)
def test_a_value_that_is_no_whole_number_is_refused(given: Any) -> None:
    message = refusal(pb.LogMetricRequest, {"timestamp": given})

    assert message == (
        f"Invalid value {orjson.dumps(given).decode()} for parameter 'timestamp' supplied: "
        "expected a whole number from -9223372036854775808 to 9223372036854775807."
    )


def test_a_number_outside_32_bits_is_refused_for_a_field_of_32() -> None:
    assert "from -2147483648 to 2147483647" in refusal(
        pb.SearchRunsRequest, {"max_results": 1 << 31}
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
    ],
)
def test_numbers_are_read_as_protobuf_reads_them(given: Any, expected: float) -> None:
    assert decoded(pb.LogMetricRequest, {"value": given}).value == expected


def test_nan_is_read_from_text() -> None:
    assert math.isnan(decoded(pb.LogMetricRequest, {"value": "NaN"}).value)


@pytest.mark.parametrize("given", [True, False, "nan", "inf", "", "0x1", "1e999", "1_0", [], {}])
def test_a_value_that_is_no_number_is_refused(given: Any) -> None:
    assert 'expected a number, or "NaN", "Infinity" or "-Infinity".' in refusal(
        pb.LogMetricRequest, {"value": given}
    )


def test_enums_are_read_by_name_and_number() -> None:
    for given in ("FINISHED", 3, 3.0):
        assert decoded(pb.UpdateRunRequest, {"status": given}).status == pb.FINISHED


@pytest.mark.parametrize("given", ["NOPE", "finished", 99, True, 1.5, [], {}])
def test_an_unknown_enum_value_is_refused_with_the_known_ones(given: Any) -> None:
    assert (
        "for parameter 'status' supplied: "
        "expected one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED."
    ) in refusal(pb.UpdateRunRequest, {"status": given})


@pytest.mark.parametrize("given", [1, 0.5, True, [], {}])
def test_a_value_that_is_no_string_is_refused(given: Any) -> None:
    assert "for parameter 'run_id' supplied: expected a string." in refusal(
        pb.GetRunRequest, {"run_id": given}
    )


@pytest.mark.parametrize("given", [1, 0, "true", "True", []])
def test_a_value_other_than_true_or_false_is_refused(given: Any) -> None:
    body = {"archive_existing_versions": given}

    assert "expected true or false." in refusal(
        registry_pb2.TransitionModelVersionStageRequest, body
    )


def test_the_path_of_a_wrong_value_is_reported() -> None:
    metrics: list[dict[str, Any]] = [{"key": "a", "value": 1, "timestamp": 1}] * 3

    message = refusal(pb.LogBatchRequest, {"metrics": [*metrics, {"key": "b", "value": True}]})

    assert "Invalid value true for parameter 'metrics[3].value' supplied" in message


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"metrics": {"key": "a"}}, "'metrics' supplied: expected an array."),
        ({"metrics": "a"}, "'metrics' supplied: expected an array."),
        ({"metrics": [None]}, "'metrics[0]' supplied: expected an object."),
        ({"metrics": [[]]}, "'metrics[0]' supplied: expected an object."),
    ],
)
def test_a_wrong_shape_is_refused(body: Any, path: str) -> None:
    assert path in refusal(pb.LogBatchRequest, body)


def test_null_in_an_array_is_refused() -> None:
    assert "Invalid value null for parameter 'order_by[1]'" in refusal(
        pb.SearchRunsRequest, {"order_by": ["a", None]}
    )


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    assert refusal(pb.GetRunRequest, body).startswith("The body must be a JSON object, got ")


def test_a_long_value_is_shown_short() -> None:
    message = refusal(pb.LogMetricRequest, {"value": "x" * 10_000})

    assert len(message) < 300
    assert "xxx…" in message


@pytest.mark.parametrize("given", ["yesterday", "2026-13-01T00:00:00Z", 5, [], "2026-01-31"])
def test_a_value_that_is_no_time_is_refused(given: Any) -> None:
    assert "expected a time in RFC 3339" in refusal(
        registry_pb2.ResolveModelRequest, {"as_of": given}
    )


def test_a_mask_is_read_from_text() -> None:
    request = decoded(endpoint_pb2.UpdateEndpointRequest, {"update_mask": "a,b.c"})

    assert list(request.update_mask.paths) == ["a", "b.c"]
    for text in ("spec.limits.timeoutMs,etag", "spec.limits.timeout_ms,etag"):
        request = decoded(endpoint_pb2.UpdateEndpointRequest, {"update_mask": text})
        assert list(request.update_mask.paths) == ["spec.limits.timeout_ms", "etag"]
    request = decoded(endpoint_pb2.UpdateEndpointRequest, {"update_mask": ""})
    assert request == endpoint_pb2.UpdateEndpointRequest(update_mask={})
    assert "names of fields" in refusal(endpoint_pb2.UpdateEndpointRequest, {"update_mask": ["a"]})


def test_bytes_are_read_from_either_base64() -> None:
    for text in ("+/8=", "-_8=", "-_8"):
        reply = decoded(registry_pb2.GetPinnedManifestResponse, {"manifest": text})
        assert reply.manifest == b"\xfb\xff"


@pytest.mark.parametrize("given", ["a", "?", 1, "é"])
def test_a_value_that_is_not_base64_is_refused(given: Any) -> None:
    assert "expected bytes in base64" in refusal(
        registry_pb2.GetPinnedManifestResponse, {"manifest": given}
    )
