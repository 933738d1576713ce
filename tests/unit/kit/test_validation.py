from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard.api.access.v1 import access_pb2 as access
from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.options.v1 import options_pb2
from modelyard.api.registry.v1 import registry_pb2 as registry
from modelyard.api.tracking.v1 import tracking_pb2 as tracking
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.validation import validate


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
        (
            tracking.LogBatchRequest(run_id="r", metrics=[tracking.Metric(key="loss")]),
            "Missing value for required parameter 'metrics[0].value'.",
        ),
        (
            tracking.FinalizeLoggedModelRequest(model_id="m", status=0),  # type: ignore[arg-type]  # on purpose
            "Missing value for required parameter 'status'.",
        ),
        (
            tracking.SearchRunsRequest(max_results=0),
            (
                "Invalid value 0 for parameter 'max_results' supplied: "
                "it must be at least 1 and at most 50000."
            ),
        ),
        (
            registry.WatchModelsRequest(after_clock=-(2**63)),
            (
                "Invalid value -9223372036854775808 for parameter 'after_clock' supplied: "
                "it must be at least 0."
            ),
        ),
        (
            access.RevokeTokenRequest(id="0123456789\n"),
            (
                "Invalid value '0123456789\n' for parameter 'id': "
                "expected 10 letters and digits, as in modelyard_<id>_<secret>."
            ),
        ),
        (
            access.RevokeTokenRequest(id="\u0660"),
            (
                "Invalid value '\u0660' for parameter 'id': "
                "expected 10 letters and digits, as in modelyard_<id>_<secret>."
            ),
        ),
        (
            access.CreateTokenRequest(id="0123456789", sha256="secret", name="ci", role="VIEWER"),
            (
                "Invalid value for parameter 'sha256': "
                "expected the SHA-256 of the token as 64 lower-case hexadecimal digits."
            ),
        ),
        (
            tracking.ImportExperimentRequest(
                origin="o", experiment=tracking.Experiment(lifecycle_stage="x" * 100_000)
            ),
            (
                f"Invalid value '{'x' * 80}…' for parameter 'experiment.lifecycle_stage': "
                "it must be one of active, deleted."
            ),
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
        tracking.SearchRunsRequest(),
        tracking.SearchRunsRequest(max_results=1),
        tracking.SearchRunsRequest(max_results=50_000),
        tracking.ImportExperimentRequest(
            origin="o", experiment=tracking.Experiment(lifecycle_stage="")
        ),
    ],
    ids=[
        "at-the-limit",
        "zero",
        "nothing-to-do",
        "empty-value",
        "characters-not-bytes",
        "unset-range",
        "least",
        "most",
        "empty-is-missing",
    ],
)
def test_a_request_within_the_contract_passes(request_: Message) -> None:
    validate(request_)


@pytest.fixture(scope="module")
def split() -> type[Message]:
    """A message with options that no request of the contract uses yet."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="split.proto", package="split", syntax="editions", edition=descriptor_pb2.EDITION_2023
    )
    file.dependency.append("modelyard/api/options/v1/options.proto")
    message: Any = file.message_type.add(name="Split")  # the stubs know no editions
    weight = message.field.add(name="weight", number=1, type=kinds.TYPE_DOUBLE, label=1)
    weight.options.Extensions[options_pb2.double_range].min = 0
    weight.options.Extensions[options_pb2.double_range].max = 1
    above = message.field.add(name="above", number=2, type=kinds.TYPE_DOUBLE, label=1)
    above.options.Extensions[options_pb2.double_range].min = 0.5
    steps = message.field.add(name="steps", number=3, type=kinds.TYPE_INT64, label=3)
    steps.options.Extensions[options_pb2.range].max = 9
    names = message.field.add(name="names", number=4, type=kinds.TYPE_STRING, label=3)
    names.options.Extensions[options_pb2.pattern].regex = "a|ab"
    names.options.Extensions[options_pb2.pattern].expected = "a or ab"
    kinds_ = message.field.add(name="kinds", number=5, type=kinds.TYPE_STRING, label=3)
    kinds_.options.Extensions[options_pb2.one_of].extend(["canary", "shadow"])
    pool = descriptor_pool.Default()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("split.Split"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(
            (
                {"weight": value},
                (
                    f"Invalid value {value} for parameter 'weight' supplied: "
                    "it must be a finite number, at least 0.0 and at most 1.0."
                ),
            )
            for value in (float("nan"), float("inf"), float("-inf"), -5e-324, 1.0000000000000002)
        ),
        (
            {"above": float("inf")},
            (
                "Invalid value inf for parameter 'above' supplied: "
                "it must be a finite number, at least 0.5."
            ),
        ),
        (
            {"steps": [1, 10]},
            "Invalid value 10 for parameter 'steps[1]' supplied: it must be at most 9.",
        ),
        ({"names": ["ab", ""]}, "Invalid value '' for parameter 'names[1]': expected a or ab."),
        ({"names": ["abb"]}, "Invalid value 'abb' for parameter 'names[0]': expected a or ab."),
        ({"names": ["a\n"]}, "Invalid value 'a\n' for parameter 'names[0]': expected a or ab."),
        (
            {"kinds": ["canary", "Canary"]},
            "Invalid value 'Canary' for parameter 'kinds[1]': it must be one of canary, shadow.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_an_option_rules_out_is_named(
    split: type[Message], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate(split(**fields))
    assert caught.value.message == message


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"weight": 0.0},
        {"weight": 1.0},
        {"weight": -0.0},
        {"above": 1.7976931348623157e308},
        {"steps": [-(2**63), 9]},
        {"names": ["a", "ab"]},
        {"kinds": ["shadow"]},
    ],
    ids=str,
)
def test_a_value_that_the_options_allow_passes(
    split: type[Message], fields: dict[str, Any]
) -> None:
    validate(split(**fields))
