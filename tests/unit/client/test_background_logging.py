"""Logging with `synchronous=False`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.platforms.recording_tracking import Recorder, serving

import modelyard
from modelyard._client import background
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, InvalidState, NotFound
from modelyard_server.processes.embedded import Embedded

LOGS: dict[str, Callable[..., Any]] = {
    "param": lambda **how: modelyard.log_param("p", 1, **how),
    "params": lambda **how: modelyard.log_params({"q": 2}, **how),
    "metric": lambda **how: modelyard.log_metric("m", 3, **how),
    "metrics": lambda **how: modelyard.log_metrics({"n": 4}, **how),
    "tag": lambda **how: modelyard.set_tag("t", 5, **how),
    "tags": lambda **how: modelyard.set_tags({"u": 6}, **how),
}


@pytest.mark.usefixtures("client")
def test_whatever_is_logged_in_the_background_is_stored_when_it_was_waited_for() -> None:
    with modelyard.start_run() as run:
        for log in LOGS.values():
            log(synchronous=False).wait()
        data = modelyard.get_run(run.info.run_id).data
    assert data.params == {"p": "1", "q": "2"}
    assert data.metrics == {"m": 3, "n": 4}
    assert (data.tags["t"], data.tags["u"]) == ("5", "6")


@pytest.mark.usefixtures("client")
def test_the_points_of_a_curve_keep_their_order_and_are_there_when_the_run_ends() -> None:
    with modelyard.start_run() as run:
        for step in range(3000):
            modelyard.log_metric("m", step, step=step, synchronous=False)
    history = MlflowClient().get_metric_history(run.info.run_id, "m")
    assert [point.value for point in history] == list(range(3000))


@pytest.mark.usefixtures("client")
def test_what_is_refused_is_raised_where_it_is_waited_for() -> None:
    with modelyard.start_run():
        modelyard.log_param("p", 1)
        refused = modelyard.log_param("p", 2, synchronous=False)
        kept = modelyard.log_param("q", 1, synchronous=False)
        with pytest.raises(InvalidParameter, match="Changing param values is not allowed"):
            refused.wait()
        kept.wait()
        modelyard.flush_async_logging()  # nothing that was not raised before
        modelyard.log_param("p", 3, synchronous=False)
        modelyard.log_param("p", 4, synchronous=False)
        with pytest.raises(InvalidParameter, match="Changing param values") as raised:
            modelyard.flush_async_logging()
        assert raised.value.__notes__ == ["1 more that was logged in the background failed."]


@pytest.mark.usefixtures("client")
def test_one_point_that_is_refused_takes_no_other_with_it() -> None:
    with modelyard.start_run() as run:
        with background._queue._changed:  # so that they are sent together  # noqa: SLF001
            points: list[Any] = [
                modelyard.log_metric("m", step, step=step, model_id=model_id, synchronous=False)
                for step, model_id in enumerate([None, f"m-{'0' * 32}", None])
            ]
        points[0].wait()
        with pytest.raises(NotFound, match="Logged model"):
            points[1].wait()
        points[2].wait()
    history = MlflowClient().get_metric_history(run.info.run_id, "m")
    assert [point.step for point in history] == [0, 2]


def test_what_is_lost_is_reported_when_the_run_ends(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    with modelyard.start_run() as run:
        modelyard.log_param("p", 1)
        modelyard.log_param("p", 2, synchronous=False)
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert record.getMessage().startswith("1 calls that logged in the background failed; first: ")


@pytest.mark.parametrize("choose", ["MLFLOW_ENABLE_ASYNC_LOGGING", "config"])
def test_the_default_can_be_set(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, choose: str
) -> None:
    monkeypatch.setenv("MODELYARD_ENABLE_ASYNC_LOGGING", "")
    run_id = client.create_run("0").info.run_id
    assert client.log_metric(run_id, "m", 1) is None
    if choose == "config":
        modelyard.config.enable_async_logging()
    else:
        monkeypatch.setenv(choose, "true")
    later = client.log_metric(run_id, "m", 2)
    assert later is not None
    later.wait()
    assert client.log_metric(run_id, "m", 3, synchronous=True) is None
    modelyard.config.enable_async_logging(enable=False)
    assert client.log_metric(run_id, "m", 4) is None


def test_what_was_logged_is_sent_before_the_script_ends(platform: Embedded) -> None:
    script = f"""
import modelyard
client = modelyard.MlflowClient("{platform.http}")
run_id = client.create_run("0").info.run_id
for step in range(500):
    client.log_metric(run_id, "m", step, step=step, synchronous=False)
print(run_id)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    history = MlflowClient(platform.http).get_metric_history(ended.stdout.strip(), "m")
    assert len(history) == 500


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # from 3.12 on
def test_a_forked_child_has_a_queue_of_its_own(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    mine = client.log_metric(run_id, "m", 1, synchronous=False)
    assert mine is not None
    child = os.fork()
    if child == 0:
        with pytest.raises(InvalidState, match="parent process"):
            mine.wait()
        own = client.log_metric(run_id, "n", 2, synchronous=False)
        modelyard.flush_async_logging()
        os._exit(0 if own is not None else 1)
    mine.wait()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.get_run(run_id).data.metrics == {"m": 1, "n": 2}


def test_logging_in_the_background_does_not_wait_for_the_server(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    recorder, may_answer = Recorder(), threading.Event()
    recorder.on_call = may_answer.wait
    with serving(recorder) as port:
        other = MlflowClient(f"grpc://127.0.0.1:{port}")
        request = tracking_pb2.CreateExperimentRequest(name="iris")
        uri, reply = other.tracking_uri, tracking_pb2.CreateExperimentResponse
        first = background.submit(uri, [(request, reply)])
        second = client.log_metric(run_id, "m", 1, synchronous=False)
        assert second is not None
        assert client.get_run(run_id).data.metrics == {}  # in order: after the first
        may_answer.set()
        first.wait()
        second.wait()
    assert client.get_run(run_id).data.metrics == {"m": 1}


def test_a_warning_of_the_server_is_shown_for_a_call_in_the_background(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = client.create_run("0").info.run_id
    request = tracking_pb2.LogParamRequest(run_id=run_id, key="p", value="x" * 7000)
    background.submit(client.tracking_uri, [(request, tracking_pb2.LogParamResponse)]).wait()
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "'p'" in record.getMessage()
