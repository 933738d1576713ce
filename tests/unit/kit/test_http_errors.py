import orjson
import pytest

from modelyard.api.errors.v1 import errors_pb2
from modelyard_kit.errors import (
    AlreadyExists,
    Error,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from modelyard_kit.http import errors

REASONS = set(errors_pb2.Reason.keys()) - {"REASON_UNSPECIFIED"}


def test_every_reason_of_the_contract_has_a_status() -> None:
    assert set(errors.STATUS) == REASONS


RETRIED = {408, 429, 500, 502, 503, 504}
"""Statuses that MLflow's client retries, for minutes."""


def test_a_definite_refusal_is_never_answered_with_a_status_that_clients_retry() -> None:
    retried = {reason for reason, status in errors.STATUS.items() if status in RETRIED}

    assert retried == {
        "INTERNAL_ERROR",
        "TEMPORARILY_UNAVAILABLE",
        "DEADLINE_EXCEEDED",
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("No model 'iris'."), 404, "RESOURCE_DOES_NOT_EXIST"),
        (AlreadyExists("No model 'iris'."), 400, "RESOURCE_ALREADY_EXISTS"),
        (FailedPrecondition("No model 'iris'."), 400, "INVALID_STATE"),
        (Unavailable("No model 'iris'."), 503, "TEMPORARILY_UNAVAILABLE"),
        (ResourceExhausted("No model 'iris'."), 507, "RESOURCE_EXHAUSTED"),
        (ResourceExhausted("No model 'iris'.").after(1), 429, "RESOURCE_EXHAUSTED"),
        (
            errors.HttpError(404, "ENDPOINT_NOT_FOUND", "No model 'iris'."),
            404,
            "ENDPOINT_NOT_FOUND",
        ),
    ],
)
def test_an_error_is_answered_as_json_with_its_reason(
    error: errors.HttpError | Error, status: int, code: str
) -> None:
    refused = errors.Refusals().of(error) if isinstance(error, Error) else error
    response = errors.answer(refused, "r1")

    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body) == {
        "error_code": code,
        "message": "No model 'iris'.",
        "request_id": "r1",
    }


def test_a_bug_is_answered_without_its_cause() -> None:
    response = errors.answer(errors.Refusals().internal("r1"), "r1")

    assert response.status_code == 500
    assert response.body == (
        b'{"error_code":"INTERNAL_ERROR","message":"internal error (request id r1)",'
        b'"request_id":"r1"}'
    )
