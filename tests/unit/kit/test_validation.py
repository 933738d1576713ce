from __future__ import annotations

import pytest
from google.protobuf.message import Message

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as tracking
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.validation import validate


def metric(key: str = "loss") -> tracking.Metric:
    return tracking.Metric(key=key, value=1.0)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (tracking.LogBatchRequest(), "Missing value for required parameter 'run_id'."),
        (
            tracking.LogBatchRequest(run_id="r", metrics=[metric(), metric("")]),
            "Missing value for required parameter 'metrics[1].key'.",
        ),
        (
            tracking.LogBatchRequest(run_id="r", metrics=[metric("k" * 251)]),
            (
                "Invalid value for parameter 'metrics[0].key': "
                "it has 251 characters, at most 250 are allowed."
            ),
        ),
        (
            tracking.LogBatchRequest(run_id="r", metrics=[metric()] * 1001),
            "Invalid value for parameter 'metrics': it has 1,001 items, at most 1,000 are allowed.",
        ),
        (
            tracking.UpdateRunRequest(run_id="r", status=77),  # type: ignore[arg-type]  # on purpose
            (
                "Invalid value 77 for parameter 'status'; "
                "it must be one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED."
            ),
        ),
        (
            tracking.LogInputsRequest(run_id="r", datasets=[tracking.DatasetInput()]),
            "Missing value for required parameter 'datasets[0].dataset'.",
        ),
        (
            tracking.LogInputsRequest(
                run_id="r",
                datasets=[tracking.DatasetInput(dataset=tracking.Dataset(name="n"))],
            ),
            "Missing value for required parameter 'datasets[0].dataset.digest'.",
        ),
        (
            tracking.SearchRunsRequest(experiment_ids=["1", "a\0"]),
            "Invalid value for parameter 'experiment_ids': it contains a NUL character.",
        ),
        (
            artifacts.CommitArtifactsRequest(run_id="r"),
            "Missing value for required parameter 'files'.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_the_contract_rules_out_names_the_field(request_: Message, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate(request_)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "request_",
    [
        tracking.LogBatchRequest(run_id="r", metrics=[metric("k" * 250)] * 1000),
        tracking.LogMetricRequest(run_id="r", key="loss", value=0.0),
        tracking.UpdateRunRequest(run_id="r"),
        tracking.SetTagRequest(run_id="r", key="k", value=""),
        tracking.SetTagRequest(run_id="r", key="k", value="\u00e9" * 8000),
    ],
    ids=["at-the-limit", "zero", "nothing-to-do", "empty-value", "characters-not-bytes"],
)
def test_a_request_within_the_contract_passes(request_: Message) -> None:
    validate(request_)
