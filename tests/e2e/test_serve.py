"""`modelyard models serve` with a real platform."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from tests.support.platforms.serving_parts import ask, get, serving
from tests.support.processes.up_process import Up, up

import modelyard
import modelyard.sklearn
from modelyard.tracking import MlflowClient

CLIENTS = 4
CURL = (
    b'{"dataframe_split": {"columns": ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"],'
    b' "data": [[5.1, 3.5, 1.4, 0.2]]}}'
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("platform") / "home") as running:
        modelyard.set_tracking_uri(running.instance["http"])
        yield running
        modelyard.set_tracking_uri(None)


@pytest.fixture
def variables(platform: Up, tmp_path: Path) -> dict[str, str]:
    return {
        "MODELYARD_TRACKING_URI": platform.instance["http"],
        "MODELYARD_CACHE": str(tmp_path / "cache"),
    }


def register(name: str, model: object, **options: Any) -> str:
    with modelyard.start_run():
        logged = modelyard.sklearn.log_model(model, "model", **options)
    return str(modelyard.register_model(logged.model_uri, name).version)


def constant(answer: float) -> DummyRegressor:
    return DummyRegressor(strategy="constant", constant=answer).fit(np.zeros((2, 4)), [0.0, 1.0])


def promote(name: str, version: str) -> None:
    MlflowClient().transition_model_version_stage(name, version, "Production")


def until_version(port: int, version: str) -> None:
    while ask(port, body=CURL).headers["x-model-version"] != version:
        time.sleep(0.02)


def test_the_tutorials_request_is_answered_with_version_and_digest(
    variables: dict[str, str],
) -> None:
    features, labels = load_iris(return_X_y=True)
    forest = RandomForestClassifier(n_estimators=10, random_state=42).fit(features, labels)
    promote("iris_forest", register("iris_forest", forest))
    known = MlflowClient().get_model_version("iris_forest", "production")

    with serving("models:/iris_forest/Production", **variables) as served:
        answered = ask(served.port, body=CURL)

        assert (answered.status, answered.json) == (200, {"predictions": [0]})
        assert answered.headers["x-model-name"] == "iris_forest"
        assert answered.headers["x-model-version"] == known.version
        assert answered.headers["x-model-digest"] == known.digest
        assert f"(sha256 {answered.headers['x-model-digest'][:12]})" in served.first_line

        refused = ask(served.port, body=b'{"inputs": [[5.1, "wide", 1.4, 0.2]]}')
        assert refused.status == 400
        assert refused.json["message"] == "The model expects numbers, column 1 holds str."
        assert served.stop() == 0


def test_promotions_and_a_rollback_under_load_fail_no_request(
    variables: dict[str, str],
) -> None:
    versions = [register("flipping", constant(answer)) for answer in (1, 2, 3)]
    promote("flipping", versions[0])
    over = threading.Event()
    wrong: list[object] = []

    def keep_asking(port: int) -> None:
        while not over.wait(0.02):
            try:
                answered = ask(port, body=CURL)
                expected = [float(answered.headers["x-model-version"])]
                if answered.json != {"predictions": expected}:
                    wrong.append(answered)
            except (OSError, KeyError) as error:
                wrong.append(error)

    with serving("models:/flipping/Production", **variables) as served:
        clients = [
            threading.Thread(target=keep_asking, args=(served.port,)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for version in versions[1:]:
            promote("flipping", version)
            until_version(served.port, version)
        MlflowClient().rollback("flipping", "Production")
        until_version(served.port, versions[1])
        over.set()
        for client in clients:
            client.join()
        MlflowClient().delete_model_version("flipping", versions[1])
        while (status := get(served.port, "/status").json)["state"] != "DETACHED":
            time.sleep(0.05)  # another process offers no event to wait for
        assert status["state_message"].endswith("The last version still answers.")
        assert ask(served.port, body=CURL).headers["x-model-version"] == versions[1]

    assert wrong == []


def test_an_alias_is_followed_before_it_exists(variables: dict[str, str]) -> None:
    version = register("aliased", constant(1))

    with serving("models:/aliased@champion", **variables) as served:
        assert get(served.port, "/ping").status == 503
        MlflowClient().set_registered_model_alias("aliased", "champion", version)
        assert f"version {version} " in served.next_line()
        assert ask(served.port, body=CURL).json == {"predictions": [1.0]}


def test_bytes_that_differ_from_their_digest_are_never_served(
    platform: Up, variables: dict[str, str]
) -> None:
    promote("damaged", register("damaged", constant(1)))

    with serving("models:/damaged/Production", **variables) as served:
        before = objects(platform)
        version = register("damaged", constant(2))
        for path in objects(platform) - before:
            if (data := path.read_bytes()).startswith(b"PK"):  # the model itself
                path.chmod(0o600)
                path.write_bytes(bytes(reversed(data)))
        promote("damaged", version)

        while not (status := get(served.port, "/status").json)["state_message"]:
            time.sleep(0.02)
        assert status["state"] == "SERVING"
        assert f"version {version} " in status["state_message"]
        assert ask(served.port, body=CURL).json == {"predictions": [1.0]}


def objects(platform: Up) -> set[Path]:
    return {path for path in (platform.home / "objects" / "sha256").rglob("*") if path.is_file()}


def test_a_pickled_version_leaves_the_previous_one_serving_unless_pickles_are_allowed(
    variables: dict[str, str],
) -> None:
    promote("pickled", register("pickled", constant(1)))
    pickled = register("pickled", constant(2), serialization_format="cloudpickle")

    with serving("models:/pickled/Production", **variables) as served:
        promote("pickled", pickled)
        while not (status := get(served.port, "/status").json)["state_message"]:
            time.sleep(0.02)
        assert "--allow-pickle" in status["state_message"]
        assert ask(served.port, body=CURL).json == {"predictions": [1.0]}
    with serving("models:/pickled/Production", "--allow-pickle", **variables) as served:
        assert ask(served.port, body=CURL).json == {"predictions": [2.0]}


def test_a_logged_model_and_a_runs_model_are_served_by_their_uris(
    variables: dict[str, str],
) -> None:
    with modelyard.start_run() as run:
        logged = modelyard.sklearn.log_model(constant(7), "model")

    for uri in (logged.model_uri, f"runs:/{run.info.run_id}/model"):
        with serving(uri, **variables) as served:
            answered = ask(served.port, body=CURL)
            assert answered.json == {"predictions": [7.0]}
            assert "x-model-version" not in answered.headers
            assert len(answered.headers["x-model-digest"]) == 64
