import pytest

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2 as tracking
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.fields import given, require


def test_an_unset_field_is_distinguished_from_an_empty_one() -> None:
    assert given(pb.UpdateModelVersionRequest(), "description") is None
    assert given(pb.UpdateModelVersionRequest(description=""), "description") == ""


def test_an_unset_field_has_the_default_that_is_given() -> None:
    assert given(pb.SearchModelVersionsRequest(), "max_results", 7) == 7
    assert given(pb.SearchModelVersionsRequest(max_results=9), "max_results", 7) == 9


@pytest.mark.parametrize(
    "info",
    [
        tracking.RunInfo(),
        tracking.RunInfo(run_id=""),
        tracking.RunInfo(run_id="r"),
        tracking.RunInfo(run_id="r", status=0),  # type: ignore[arg-type]  # on purpose
    ],
    ids=["unset", "empty", "unset-enum", "zero-enum"],
)
def test_a_field_that_this_request_requires_is_named(info: tracking.RunInfo) -> None:
    name = "status" if info.run_id else "run_id"
    message = f"^Missing value for required parameter 'run.info.{name}'.$"
    with pytest.raises(InvalidArgument, match=message):
        require(info, "run.info.", "run_id", "status")


def test_a_zero_number_is_not_missing() -> None:
    require(tracking.RunInfo(start_time=0), "run.info.", "start_time")
