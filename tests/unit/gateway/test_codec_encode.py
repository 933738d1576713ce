from __future__ import annotations

import math

import orjson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_gateway.codec.encode import encode


def encoded(message: Message) -> object:
    return orjson.loads(encode(message))


def test_unset_fields_are_omitted_and_fields_set_to_their_default_are_not() -> None:
    assert encoded(pb.Metric()) == {}
    assert encoded(pb.Metric(key="", value=0.0, step=0)) == {"key": "", "value": 0.0, "step": 0}


def test_64_bit_integers_are_numbers() -> None:
    text = encode(pb.Metric(timestamp=(1 << 63) - 1, step=-(1 << 63)))

    assert text == b'{"timestamp":9223372036854775807,"step":-9223372036854775808}'


def test_numbers_that_are_not_finite_are_text() -> None:
    assert encoded(pb.Metric(value=math.nan)) == {"value": "NaN"}
    assert encoded(pb.Metric(value=math.inf)) == {"value": "Infinity"}
    assert encoded(pb.Metric(value=-math.inf)) == {"value": "-Infinity"}


def test_numbers_keep_every_digit() -> None:
    for value in (0.1, 1e-300, 1.7976931348623157e308, -0.0, 5e-324):
        number = orjson.loads(encode(pb.Metric(value=value)))["value"]
        assert math.copysign(1, number) == math.copysign(1, value)
        assert number == value


def test_packed_numbers_that_are_not_finite_are_text_too() -> None:
    series = pb.MetricSeries(key="a", steps=[1, 2], values=[0.5, math.nan])

    assert encoded(series) == {"key": "a", "steps": [1, 2], "values": [0.5, "NaN"]}


def test_names_are_the_contracts() -> None:
    run = pb.Run(info=pb.RunInfo(run_id="a", lifecycle_stage="active", status=pb.FINISHED))

    assert encoded(run) == {
        "info": {"run_id": "a", "lifecycle_stage": "active", "status": "FINISHED"}
    }


def test_an_enum_value_of_a_newer_contract_is_its_number() -> None:
    info = pb.RunInfo.FromString(pb.RunInfo(status=pb.FINISHED).SerializeToString())
    info.status = 77  # type: ignore[assignment]  # as a newer service may answer

    assert encoded(info) == {"status": 77}


def test_bytes_times_and_maps_have_protobufs_form() -> None:
    manifest = registry_pb2.GetPinnedManifestResponse(manifest=b"\xfb\xff")
    assert encoded(manifest) == {"manifest": "+/8="}

    event = registry_pb2.ModelEvent(create_time=Timestamp(seconds=1_769_860_800, nanos=500_000_000))
    assert encoded(event) == {"create_time": "2026-01-31T12:00:00.500Z"}

    upload = artifacts_pb2.ObjectUpload(url="u", headers={"a": "b"})
    assert encoded(upload) == {"url": "u", "headers": {"a": "b"}}


def test_the_last_page_has_no_token() -> None:
    assert encoded(pb.SearchRunsResponse(next_page_token="")) == {}
    assert encoded(pb.SearchRunsResponse(next_page_token="a")) == {"next_page_token": "a"}
