"""What goes on when a service is gone, and that each comes back by itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from tests.support.platforms.serving_parts import ask, serving
from tests.support.processes.service_processes import ROLES, Installation, installation

import modelyard
import modelyard.pyfunc
import modelyard.sklearn
from modelyard.exceptions import Unavailable
from modelyard.tracking import MlflowClient

NAME = "constant"
PRODUCTION = f"models:/{NAME}/Production"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("installation")) as running:
        modelyard.set_tracking_uri(running.url)
        yield running
        modelyard.set_tracking_uri(None)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cache of models with nothing in it."""
    folder = str(tmp_path / "cache")
    monkeypatch.setenv("MODELYARD_CACHE", folder)
    return folder


def logged(answer: float) -> str:
    """Log a model that always answers the same; return its URI."""
    estimator = DummyRegressor(strategy="constant", constant=answer)
    estimator.fit(np.zeros((2, 4)), [0.0, 1.0])
    with modelyard.start_run():
        return str(modelyard.sklearn.log_model(estimator, "model").model_uri)


def promoted(answer: float) -> str:
    """Register such a model, promote it, and return its number."""
    version = str(modelyard.register_model(logged(answer), NAME).version)
    MlflowClient().transition_model_version_stage(NAME, version, "Production")
    return version


def posted(platform: Installation, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    host, _, port = platform.services["gateway"].address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", f"/api/2.0/mlflow/{path}", json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, json.load(reply)
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces; the test's own timeout ends a vain wait."""
    while not condition():
        threading.Event().wait(0.05)


@pytest.mark.usefixtures("cache")
def test_without_tracking_nothing_is_registered_and_models_load(platform: Installation) -> None:
    uri = logged(1)
    version = promoted(2)
    known = MlflowClient().search_model_versions(f"name='{NAME}'")
    platform.kill("tracking")

    assert platform.health() == (503, "Not ready: tracking.")
    status, refusal = posted(
        platform, "model-versions/create", {"name": NAME, "source": uri, "run_id": ""}
    )
    assert (status, refusal["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert refusal["message"].startswith("tracking cannot be reached")
    assert MlflowClient().search_model_versions(f"name='{NAME}'") == known
    loaded = modelyard.pyfunc.load_model(PRODUCTION)
    assert loaded.predict(np.zeros((1, 4))).tolist() == [2.0]

    platform.start("tracking")
    until(lambda: platform.health() == (200, "OK"))
    assert int(modelyard.register_model(uri, NAME).version) == int(version) + 1


def test_without_the_registry_runs_are_logged(platform: Installation, tmp_path: Path) -> None:
    platform.kill("registry")
    assert platform.health() == (503, "Not ready: registry.")
    (tmp_path / "notes.txt").write_text("kept")
    with modelyard.start_run() as run:
        modelyard.log_param("depth", 3)
        modelyard.log_metric("loss", 0.5)
        modelyard.log_artifact(str(tmp_path / "notes.txt"))
    found = MlflowClient().get_run(run.info.run_id)
    assert (found.data.params, found.data.metrics) == ({"depth": "3"}, {"loss": 0.5})
    with pytest.raises(Unavailable, match="cannot be reached"):
        MlflowClient().get_registered_model(NAME)
    assert platform.services["tracking"].readiness == (200, "ok")
    assert platform.services["gateway"].readiness == (200, "ok")

    platform.start("registry")
    until(lambda: platform.health() == (200, "OK"))
    assert MlflowClient().search_registered_models() is not None


def test_serving_goes_on_when_everything_else_is_gone(platform: Installation, cache: str) -> None:
    first = promoted(5)
    variables = {**platform.client, "MODELYARD_CACHE": cache}
    with serving(PRODUCTION, **variables) as served:
        platform.kill(*list(platform.services))
        answered = ask(served.port)
        assert answered.json == {"predictions": [5.0]}
        assert answered.headers["x-model-version"] == first

        (worker,) = children(served.process.pid)
        os.kill(worker, signal.SIGKILL)
        until(lambda: ask(served.port).status == 200)
        assert ask(served.port).json == {"predictions": [5.0]}

        platform.start(*ROLES)
        second = promoted(6)
        until(lambda: ask(served.port).headers.get("x-model-version") == second)
        assert ask(served.port).json == {"predictions": [6.0]}
