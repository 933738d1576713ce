"""Long values of params and tags are truncated, as by MLflow's server, and the reply names them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.http.artifact_edge import Edge, running_edge
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb

RUNS = "/api/2.0/mlflow/runs"
LONG = "ü🙂" * 3000 + "x"


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


def stored(tracking: Tracking, run_id: str) -> dict[str, str]:
    data = tracking.get_run(run_id).data
    params = {item.key: item.value for item in data.params}
    return params | {item.key: item.value for item in data.tags}


def test_a_long_param_is_the_same_param_when_it_is_logged_again(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    request = pb.LogParamRequest(run_id=run_id, key="p", value=LONG)
    reply = tracking.rpc.LogParam(request)
    assert list(reply.warnings) == [
        "The value of 'p' has 6,001 characters; the first 6,000 are stored."
    ]
    assert stored(tracking, run_id)["p"] == LONG[:6000]
    # Also another end, or the stored value itself: what is compared is what is stored.
    for value in (LONG, LONG[:6000], LONG[:6000] + "another end"):
        tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key="p", value=value))
    with refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key="p", value="y" + LONG))


def test_every_rpc_that_takes_params_or_tags_of_runs_truncates_them(tracking: Tracking) -> None:
    long_tag = pb.RunTag(key="t", value="v" * 8001)
    created = tracking.rpc.CreateRun(pb.CreateRunRequest(experiment_id="0", tags=[long_tag]))
    run_id = created.run.info.run_id
    replies: list[Any] = [
        created,
        tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key="set", value="v" * 8001)),
        tracking.rpc.LogBatch(
            pb.LogBatchRequest(
                run_id=run_id,
                params=[pb.Param(key="p", value=LONG), pb.Param(key="short", value="s")],
                tags=[pb.RunTag(key="b", value="v" * 9000)],
            )
        ),
    ]
    lengths = {key: len(value) for key, value in stored(tracking, run_id).items()}
    assert [len(reply.warnings) for reply in replies] == [1, 1, 2]
    for key, length in {"t": 8000, "set": 8000, "p": 6000, "short": 1, "b": 8000}.items():
        assert lengths[key] == length


def test_params_and_tags_of_logged_models_are_truncated(tracking: Tracking) -> None:
    created = tracking.rpc.CreateLoggedModel(
        pb.CreateLoggedModelRequest(
            experiment_id="0",
            name="m",
            params=[pb.LoggedModelParameter(key="p", value=LONG)],
            tags=[pb.LoggedModelTag(key="t", value="v" * 8001)],
        )
    )
    model_id = created.model.info.model_id
    tagged = tracking.rpc.SetLoggedModelTags(
        pb.SetLoggedModelTagsRequest(
            model_id=model_id, tags=[pb.LoggedModelTag(key="u", value="v" * 8001)]
        )
    )
    logged = tracking.rpc.LogLoggedModelParams(
        pb.LogLoggedModelParamsRequest(
            model_id=model_id, params=[pb.LoggedModelParameter(key="q", value=LONG)]
        )
    )
    assert [len(reply.warnings) for reply in (created, tagged, logged)] == [2, 1, 1]
    found = tracking.rpc.GetLoggedModel(pb.GetLoggedModelRequest(model_id=model_id)).model
    assert {len(item.value) for item in found.data.params} == {6000}
    assert {len(item.value) for item in found.info.tags} == {8000}


@BEFORE_SQL
def test_other_limits_are_refused(tracking: Tracking) -> None:
    with refused("INVALID_PARAMETER_VALUE", "20,001"):
        tracking.rpc.SetExperimentTag(
            pb.SetExperimentTagRequest(experiment_id="0", key="t", value="v" * 20_001)
        )
    with refused("INVALID_PARAMETER_VALUE", "251"):
        tracking.rpc.SetTag(pb.SetTagRequest(run_id="r", key="k" * 251, value="v" * 9000))


def test_over_http_a_header_names_what_was_truncated_and_the_json_is_mlflows(edge: Edge) -> None:
    run_id = edge.create_run()
    document = f'{{"run_id":"{run_id}","key":"prompt","value":"{"secret " * 1000}"}}'.encode()
    kind = {"Content-Type": "application/json"}
    status, headers, body = edge.ask("POST", f"{RUNS}/log-parameter", document, kind)
    assert (status, body) == (200, b"{}")
    assert headers["warning"] == (
        "299 modelyard \"The value of 'prompt' has 7,000 characters; the first 6,000 are stored.\""
    )
    short = f'{{"run_id":"{run_id}","key":"short","value":"v"}}'.encode()
    assert "warning" not in edge.ask("POST", f"{RUNS}/log-parameter", short, kind)[1]


def test_the_header_is_short_and_in_ascii_whatever_the_keys_are(edge: Edge) -> None:
    run_id = edge.create_run()
    params = [{"key": f"schlüssel {number}", "value": LONG} for number in range(50)]
    reply = edge.ask(
        "POST",
        f"{RUNS}/log-batch",
        json.dumps({"run_id": run_id, "params": params}).encode(),
        {"Content-Type": "application/json"},
    )
    header = reply[1]["warning"]
    assert (reply[0], reply[2]) == (200, b"{}")
    assert header.isascii()
    assert len(header) < 1100
    assert "schl\\\\xfcssel 0" in header
    assert header.endswith('more"')
