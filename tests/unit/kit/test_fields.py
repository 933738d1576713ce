import pytest

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.fields import given, page_size


def test_an_unset_field_is_told_from_an_empty_one() -> None:
    assert given(pb.UpdateModelVersionRequest(), "description") is None
    assert given(pb.UpdateModelVersionRequest(description=""), "description") == ""


def test_a_page_has_its_default_size_unless_asked() -> None:
    assert page_size(pb.SearchModelVersionsRequest(), default=7, most=9) == 7
    assert page_size(pb.SearchModelVersionsRequest(max_results=9), default=7, most=9) == 9


@pytest.mark.parametrize("asked", [-1, 0, 10])
def test_a_page_size_out_of_range_is_refused_under_the_name_of_its_field(asked: int) -> None:
    request = tracking_pb2.GetMetricSeriesRequest(max_points=asked)
    with pytest.raises(
        InvalidArgument, match=f"Invalid value {asked} for parameter 'max_points' .* at most 9"
    ):
        page_size(request, default=7, most=9, field="max_points")
