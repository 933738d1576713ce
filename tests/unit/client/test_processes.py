"""Runs of child processes, of threads, and of processes that are ended from outside."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from tests.support.processes.child_runs import tell_where

import modelyard
from modelyard._fluent.state import process
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, InvalidState, NotFound
from modelyard_server.processes.embedded import Embedded

pytestmark = [
    pytest.mark.usefixtures("client"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),  # from 3.12 on
]


@pytest.fixture
def experiment_id() -> str:
    return modelyard.set_experiment(f"processes {uuid.uuid4().hex}").experiment_id


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_logs_to_the_server_and_experiment_of_its_parent(
    platform: Embedded, experiment_id: str, method: str
) -> None:
    modelyard.set_registry_uri("http://registry:5000")
    context: Any = multiprocessing.get_context(method)
    answer = context.Queue()
    child = context.Process(target=tell_where, args=(answer,))
    child.start()
    assert answer.get(timeout=60) == (platform.http, "http://registry:5000", experiment_id)
    child.join()


def test_a_script_that_is_called_logs_to_the_experiment_chosen_here(
    platform: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the environment")
    chosen = modelyard.set_experiment(f"chosen {uuid.uuid4().hex}").experiment_id
    code = "import modelyard as m; print(m.get_tracking_uri(), m.start_run().info.experiment_id)"
    called = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert called.stdout.split() == [platform.http, chosen]


def test_an_address_that_is_no_longer_set_is_the_environments_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modelyard.set_tracking_uri(None)
    monkeypatch.setenv("MODELYARD_TRACKING_URI", "http://first:1")
    for uri in ("http://second:2", "http://third:3"):
        modelyard.set_tracking_uri(uri)
        assert os.environ["MODELYARD_TRACKING_URI"] == uri
    modelyard.set_tracking_uri(None)
    assert os.environ["MODELYARD_TRACKING_URI"] == modelyard.get_tracking_uri() == "http://first:1"


def test_a_name_and_an_id_of_different_experiments_are_refused(
    experiment_id: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = client.get_experiment(experiment_id).name
    process.experiment_id = None
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.setenv("MODELYARD_EXPERIMENT_ID", "0")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with pytest.raises(InvalidParameter, match=f"'{name}' .* experiment 0 .* is 'Default'"):
        modelyard.start_run()
    monkeypatch.setenv("MODELYARD_EXPERIMENT_ID", experiment_id)
    with modelyard.start_run() as run:
        assert run.info.experiment_id == experiment_id


@pytest.mark.parametrize("variable", ["MLFLOW_RUN_ID", "MODELYARD_RUN_ID"])
def test_only_the_first_run_of_a_process_resumes_that_of_the_environment(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    given = client.create_run("0").info.run_id
    monkeypatch.setenv(variable, given)
    both = threading.Barrier(4)

    def start(_: int) -> str:
        both.wait()
        with modelyard.start_run() as run:
            return run.info.run_id

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(start, range(4)))
    assert found.count(given) == 1
    assert len(set(found)) == 4
    with modelyard.start_run() as later:
        assert later.info.run_id != given


def test_a_run_of_the_environment_that_could_not_be_resumed_is_not_used_up(
    client: MlflowClient, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    with pytest.raises(InvalidParameter, match=f"belongs to experiment 0, not {experiment_id}"):
        modelyard.start_run()
    with modelyard.start_run(experiment_id="0") as run:
        assert run.info.run_id == given


@pytest.mark.parametrize("options", [{"parent_run_id": "x"}, {"tags": {"mlflow.parentRunId": "x"}}])
def test_a_parent_that_does_not_exist_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="Run with id=x not found"):
        modelyard.start_run(**options)
    assert modelyard.active_run() is None


def test_a_parent_that_is_deleted_is_refused(client: MlflowClient) -> None:
    parent = client.create_run("0").info.run_id
    client.delete_run(parent)
    with pytest.raises(InvalidState, match=f"parent run {parent} is deleted"):
        modelyard.start_run(parent_run_id=parent)


def _trial(number: int) -> str:
    with modelyard.start_run() as run:
        modelyard.log_metric("m", number)
    return run.info.run_id


def test_the_workers_of_a_pool_have_runs_of_their_own() -> None:
    with modelyard.start_run() as parent, multiprocessing.get_context("fork").Pool(2) as pool:
        trials = pool.map(_trial, range(4))
        pool.apply(modelyard.log_metric, ("m", 7.0), {"run_id": parent.info.run_id})
        assert modelyard.active_run() is parent
    assert len({*trials, parent.info.run_id}) == 5
    found = [modelyard.get_run(run_id) for run_id in (*trials, parent.info.run_id)]
    assert [run.data.metrics["m"] for run in found] == [0, 1, 2, 3, 7]
    assert {run.info.status for run in found} == {"FINISHED"}


def _leave_open(answer: Any) -> None:
    answer.put(modelyard.start_run().info.run_id)


def _fail(answer: Any) -> NoReturn:
    _leave_open(answer)
    raise KeyError


@pytest.mark.parametrize(("work", "status"), [(_leave_open, "FINISHED"), (_fail, "FAILED")])
def test_a_run_that_a_worker_left_open_is_ended_with_it(
    work: Callable[[Any], None], status: str
) -> None:
    context: Any = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=work, args=(answer,))
    child.start()
    run_id = answer.get()
    child.join()
    assert modelyard.get_run(run_id).info.status == status


def _exit(number: int, _frame: object) -> NoReturn:
    sys.exit(number)


def _go_on(_number: int, _frame: object) -> None:
    pass


@pytest.mark.parametrize(
    ("handler", "ended", "status"),
    [
        (signal.SIG_DFL, -signal.SIGTERM, "KILLED"),
        (_exit, signal.SIGTERM, "KILLED"),
        (_go_on, 0, "FINISHED"),
        (signal.SIG_IGN, 0, "FINISHED"),
    ],
)
def test_sigterm_ends_the_runs_of_a_process_that_it_ends(
    handler: Any, ended: int, status: str
) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, handler)
            with modelyard.start_run() as run, modelyard.start_run(nested=True) as inner:
                os.write(write, f"{run.info.run_id} {inner.info.run_id}".encode())
                signal.raise_signal(signal.SIGTERM)
        except SystemExit as left:
            os._exit(int(str(left.code)))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        run_ids = answer.read().split()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == ended
    assert [modelyard.get_run(run_id).info.status for run_id in run_ids] == [status] * 2


def test_a_thread_that_starts_a_run_leaves_sigterm_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_trial, 1).result()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("code", "status"), [(None, "FINISHED"), (0, "FINISHED"), (3, "FAILED")])
def test_the_exit_code_decides_how_the_run_of_a_block_ended(code: int | None, status: str) -> None:
    with pytest.raises(SystemExit), modelyard.start_run() as run:
        sys.exit(code)
    assert modelyard.get_run(run.info.run_id).info.status == status
