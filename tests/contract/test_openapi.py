"""The OpenAPI document of the HTTP edge, which is derived from the contract."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from modelyard_gateway import openapi
from modelyard_gateway.backends import SERVICES
from modelyard_gateway.transcoder import bindings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document("1.2.3")


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"


def test_every_route_is_described_with_the_comment_of_its_rpc(document: dict[str, Any]) -> None:
    described = {
        (verb.upper(), path): operation
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
    }
    routed = {
        route
        for services in SERVICES.values()
        for service in services
        for method in service.methods
        for route in bindings(method)
    }

    assert set(described) == routed
    for operation in described.values():
        assert operation["summary"].endswith("."), operation["operationId"]


def test_calls_that_services_make_to_each_other_are_not_described(
    document: dict[str, Any],
) -> None:
    described = {op["operationId"] for path in document["paths"].values() for op in path.values()}
    assert "ListTokens" in described
    assert not described & {"ListTokenChecks", "ListPinnedManifests"}


def test_variables_of_a_path_are_parameters_and_not_in_the_body(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert named == re.findall(r"\{(\w+)\}", path)
    body = document["paths"]["/api/2.0/mlflow/logged-models/{model_id}/tags"]["patch"]
    schema = body["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"tags"}


def test_fields_have_the_limits_of_the_contract(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    log_metric = schemas["tracking.v1.LogMetricRequest"]
    assert log_metric["required"] == ["key", "value"]
    assert log_metric["properties"]["key"] == {"type": "string", "maxLength": 250}
    assert schemas["tracking.v1.LogBatchRequest"]["properties"]["metrics"]["maxItems"] == 1000
    assert schemas["tracking.v1.RunInfo"]["properties"]["status"]["enum"] == [
        "RUNNING",
        "SCHEDULED",
        "FINISHED",
        "FAILED",
        "KILLED",
    ]
    run_info = schemas["tracking.v1.RunInfo"]["properties"]
    assert run_info["lifecycle_stage"] == {"type": "string", "enum": ["active", "deleted"]}
    search = schemas["tracking.v1.SearchRunsRequest"]["properties"]["max_results"]
    assert (search["minimum"], search["maximum"]) == (1, 50_000)
    digest = schemas["access.v1.CreateTokenRequest"]["properties"]["sha256"]
    assert digest == {"type": "string", "pattern": "^(?:[0-9a-f]{64})$"}
    target = schemas["serving.v1.Target"]["properties"]
    assert target["weight"] == {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100}
    share = {"minimum": 1e-6, "maximum": 1.0}
    assert target["sample"] == {"type": "number", "format": "double"} | share


def test_the_parameters_of_a_get_are_the_fields_of_its_request(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/2.0/mlflow/metrics/get-history-bulk-interval"]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}

    assert parameters["run_ids"]["in"] == "query"
    assert parameters["run_ids"]["schema"]["type"] == "array"
    assert parameters["metric_key"]["required"]


def test_a_raw_body_has_any_type_and_headers_beside_it(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/modelyard/v1/endpoints/{endpoint_id}:predict"]["post"]

    assert operation["requestBody"] == {"required": True, "content": {"*/*": {}}}
    answer = operation["responses"]["200"]
    assert answer["content"] == {"*/*": {}}
    assert set(answer["headers"]) == {"x-model-version", "x-model-digest"}
    assert not any("HttpBody" in name for name in document["components"]["schemas"])
