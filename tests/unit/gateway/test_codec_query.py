from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.serving.v1 import endpoint_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_gateway.codec.decode import decode
from modelyard_gateway.codec.query import object_of
from modelyard_kit.errors import InvalidArgument


def read(kind: Any, *pairs: tuple[str, str]) -> Message:
    return decode(kind.DESCRIPTOR, object_of(kind.DESCRIPTOR, pairs))


def test_a_repeated_parameter_is_a_list() -> None:
    request = read(pb.GetMetricHistoryBulkIntervalRequest, ("run_ids", "a"), ("run_ids", "b"))

    assert request == pb.GetMetricHistoryBulkIntervalRequest(run_ids=["a", "b"])


def test_text_is_read_as_the_type_of_its_field() -> None:
    request = read(
        pb.SearchExperimentsRequest,
        ("max_results", "5"),
        ("viewType", "ALL"),
        ("filter", "name = 'ä'"),
        ("page_token", ""),
    )

    assert request == pb.SearchExperimentsRequest(
        max_results=5, view_type=pb.ALL, filter="name = 'ä'", page_token=""
    )
    assert read(pb.SearchExperimentsRequest, ("view_type", "3")) == pb.SearchExperimentsRequest(
        view_type=pb.ALL
    )


def test_a_default_that_is_sent_differs_from_an_unset_field() -> None:
    uri = ("uri", "models:/iris/1")

    assert read(registry_pb2.ResolveModelRequest, uri, ("include_downloads", "false")) == (
        registry_pb2.ResolveModelRequest(uri=uri[1], include_downloads=False)
    )
    assert read(registry_pb2.ResolveModelRequest, uri) == (
        registry_pb2.ResolveModelRequest(uri=uri[1])
    )


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("false", False)])
def test_true_and_false_are_read_as_clients_write_them(text: str, value: object) -> None:
    request = read(
        registry_pb2.TransitionModelVersionStageRequest, ("archive_existing_versions", text)
    )

    assert request == registry_pb2.TransitionModelVersionStageRequest(
        archive_existing_versions=bool(value)
    )


def test_fields_of_fields_are_named_with_dots() -> None:
    request = read(
        endpoint_pb2.CreateEndpointRequest, ("endpoint.etag", "a"), ("endpoint.nothing.x", "b")
    )

    assert request == endpoint_pb2.CreateEndpointRequest(endpoint=endpoint_pb2.Endpoint(etag="a"))


def test_unknown_parameters_are_dropped() -> None:
    assert read(pb.GetRunRequest, ("colour", "red"), ("run_id.x", "a"), (".", "a")) == (
        pb.GetRunRequest()
    )


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Parameter 'run_id' is given twice"):
        read(pb.GetRunRequest, ("run_id", "a"), ("run_id", "b"))


def test_a_field_of_a_text_is_refused() -> None:
    time = ("as_of", "2026-01-31T12:00:00Z")
    for pairs in ([("as_of.seconds", "1")], [time, ("as_of.seconds", "1")]):
        with pytest.raises(InvalidArgument, match="'as_of' has no fields in a URL"):
            read(registry_pb2.ResolveModelRequest, *pairs)


def test_an_object_is_refused_with_the_right_form() -> None:
    with pytest.raises(InvalidArgument, match=r"give its fields as 'endpoint\.<field>'"):
        read(endpoint_pb2.CreateEndpointRequest, ("endpoint", "{}"))


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "9" * 5000])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="for parameter 'max_results' supplied"):
        read(pb.SearchExperimentsRequest, ("max_results", text))


def test_an_unknown_enum_value_is_refused() -> None:
    for text in ("NOPE", "99", "9" * 5000):
        with pytest.raises(InvalidArgument, match="for parameter 'view_type' supplied"):
            read(pb.SearchExperimentsRequest, ("view_type", text))
