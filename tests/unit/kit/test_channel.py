from __future__ import annotations

from modelyard.api.registry.v1 import registry_service_pb2
from modelyard.api.tracking.v1 import tracking_service_pb2
from modelyard_kit.rpc.channel import service_config

REGISTRY = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
TRACKING = tracking_service_pb2.DESCRIPTOR.services_by_name["TrackingService"]


def test_only_calls_that_may_run_twice_are_retried() -> None:
    rule, _ = service_config(REGISTRY, TRACKING)["methodConfig"]
    retried = {entry["method"] for entry in rule["name"]}
    assert {"GetRun", "LogMetric", "LogBatch", "ResolveModel"} <= retried
    assert not {"CreateRun", "TransitionModelVersionStage", "WatchModels"} & retried
    assert rule["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]


def test_calls_that_a_stopping_server_has_not_begun_are_retried() -> None:
    _, rule = service_config(REGISTRY)["methodConfig"]
    assert rule["name"] == [{}]  # any call
    assert rule["retryPolicy"]["retryableStatusCodes"] == ["CANCELLED"]
