"""What the contract takes and refuses in the fields of an endpoint."""

from __future__ import annotations

import math
from typing import Any

import pytest

from modelyard.api.serving.v1 import endpoint_pb2 as pb
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.validation import validate

STABLE = {"model_uri": "models:/fraud/Production", "role": "STABLE", "weight": 100}
SHADOW = {"model_uri": "models:/fraud/3", "role": "SHADOW", "sample": 0.5}


def creating(endpoint_id: str = "fraud", **spec: Any) -> pb.CreateEndpointRequest:
    endpoint: dict[str, Any] = {"spec": {"targets": [STABLE]} | spec}
    return pb.CreateEndpointRequest(endpoint_id=endpoint_id, endpoint=endpoint)


@pytest.mark.parametrize("endpoint_id", ["a", "a1", "fraud", "fraud-2", "a" * 63])
def test_an_id_is_a_label_of_a_url(endpoint_id: str) -> None:
    validate(creating(endpoint_id))


@pytest.mark.parametrize("endpoint_id", ["Fraud", "1a", "a-", "-", "a_b", "..", "ä", "a" * 64])
def test_an_id_that_cannot_stand_in_a_url_is_refused(endpoint_id: str) -> None:
    with pytest.raises(InvalidArgument, match="parameter 'endpoint_id': expected 1 to 63"):
        validate(creating(endpoint_id))


@pytest.mark.parametrize(
    "spec",
    [
        {"targets": [STABLE | {"weight": 0}, SHADOW | {"sample": 1e-6}]},
        {"targets": [STABLE, SHADOW | {"sample": 1.0}]},
        {"batching": {"max_rows": 65_536, "max_queued_requests": 100_000}},
        {"limits": {"max_body_bytes": 1 << 30, "timeout_ms": 600_000}},
        {"limits": {"max_concurrent_requests": 10_000, "max_requests_per_second": 1e6}},
        {"guardrails": {"window_s": 10, "min_requests": 1_000_000_000, "max_error_rate": 0.0}},
        {"guardrails": {"window_s": 86_400, "max_p99_ms": 600_000, "max_disagreement": 1.0}},
    ],
)
def test_values_at_their_limits_are_taken(spec: dict[str, Any]) -> None:
    validate(creating(**spec))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"targets": [STABLE | {"weight": 101}]}, r"101 .*targets\[0\].weight' .*at most 100\."),
        ({"targets": [STABLE | {"weight": -1}]}, r"-1 for parameter 'endpoint.spec.targets\[0\].w"),
        ({"targets": [STABLE, SHADOW | {"sample": 0.0}]}, r"0.0 .*\[1\].sample' .*a finite number"),
        ({"targets": [STABLE, SHADOW | {"sample": math.nan}]}, r"nan .*\[1\].sample' "),
        (
            {"targets": [{"model_uri": "models:/a/1", "weight": 100}]},
            r"required parameter 'endpoint.spec.targets\[0\].role'",
        ),
        ({"batching": {"max_rows": 0}}, "0 for parameter 'endpoint.spec.batching.max_rows'"),
        ({"batching": {"max_queued_requests": 100_001}}, "at least 1 and at most 100000"),
        ({"limits": {"max_body_bytes": (1 << 30) + 1}}, "at least 1 and at most 1073741824"),
        ({"limits": {"timeout_ms": 600_001}}, "at least 1 and at most 600000"),
        ({"limits": {"max_concurrent_requests": 10_001}}, "at least 1 and at most 10000"),
        (
            {"limits": {"max_requests_per_second": math.inf}},
            "inf for parameter 'endpoint.spec.limits.max_requests_per_second'",
        ),
        ({"guardrails": {"window_s": 9}}, "at least 10 and at most 86400"),
        ({"guardrails": {"min_requests": 0}}, "at least 1 and at most 1000000000"),
        ({"guardrails": {"max_error_rate": 1.1}}, "at least 0.0 and at most 1.0"),
        ({"guardrails": {"max_p99_ms": 0}}, "at least 1 and at most 600000"),
        ({"guardrails": {"max_disagreement": -0.1}}, "at least 0.0 and at most 1.0"),
    ],
)
def test_a_value_outside_its_limits_is_refused_by_field(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        validate(creating(**spec))


def test_an_update_of_some_fields_needs_no_others() -> None:
    changed: dict[str, Any] = {"etag": "1", "spec": {"limits": {"timeout_ms": 5}}}
    validate(pb.UpdateEndpointRequest(endpoint_id="fraud", endpoint=changed))
