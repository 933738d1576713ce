"""Models of both sides, logged, registered, loaded and served by URI through one platform."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from tests.compat import environments, running
from tests.compat.interchange.inputs import IRIS, plain
from tests.support.platforms.serving_parts import ask, serving

import modelyard
from modelyard import pyfunc, sklearn
from modelyard.client import MlflowClient
from modelyard.exceptions import PermissionDenied

FORMATS = {"2.22": "cloudpickle", "3.6": "pickle", "3.17": "skops"}
BODY = json.dumps({"inputs": IRIS})


@pytest.fixture(scope="module")
def forest() -> RandomForestClassifier:
    rows, target = load_iris(return_X_y=True)
    return RandomForestClassifier(5, random_state=0).fit(rows, target)


@pytest.fixture(scope="module", autouse=True)
def connected(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELYARD_CACHE", str(tmp_path_factory.mktemp("cache")))
        modelyard.set_tracking_uri(tracking_uri)
        yield
        modelyard.set_tracking_uri(None)


@pytest.fixture(scope="module")
def uris(forest: RandomForestClassifier) -> Callable[[str], list[str]]:
    """Return every URI of a model of ours in the format that a version of MLflow loads."""

    @cache
    def of(version: str) -> list[str]:
        name = f"ours for {version}"
        with modelyard.start_run() as run:
            logged = sklearn.log_model(
                forest,
                "model",
                registered_model_name=name,
                serialization_format=FORMATS[version],
            )
        client = MlflowClient()
        client.transition_model_version_stage(name, 1, "Production")
        client.set_registered_model_alias(name, "champion", "1")
        found = [f"models:/{name}/1", f"models:/{name}/Production", f"models:/{name}@champion"]
        found.append(f"runs:/{run.info.run_id}/model")
        return found if version.startswith("2.") else [*found, logged.model_uri]

    return of


@pytest.fixture(scope="module")
def done(
    uris: Callable[[str], list[str]], tracking_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Any]]:
    """Return the report of a version of MLflow that loaded our models and logged its own."""

    @cache
    def by(version: str) -> dict[str, Any]:
        command = ("-m", "tests.compat.interchange.door", f"theirs of {version}", *uris(version))
        cwd = tmp_path_factory.mktemp("door")
        printed = running.run(version, *command, env=running.variables(tracking_uri), cwd=cwd)
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found

    return by


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_mlflow_loads_our_model_by_every_uri(
    uris: Callable[[str], list[str]],
    done: Callable[[str], dict[str, Any]],
    forest: RandomForestClassifier,
    version: str,
) -> None:
    expected = plain(forest.predict(IRIS))
    assert done(version)["answers"] == dict.fromkeys(uris(version), expected)


@pytest.mark.parametrize("version", environments.VERSIONS)
@pytest.mark.parametrize("what", ["version", "run", "model", "autologged"])
def test_a_model_that_mlflow_logged_is_loaded_by_uri(
    done: Callable[[str], dict[str, Any]],
    forest: RandomForestClassifier,
    version: str,
    what: str,
) -> None:
    uri = done(version)["logged"][what]
    if version != "3.17" or what == "autologged":
        with pytest.raises(PermissionDenied, match="stored with cloudpickle"):
            sklearn.load_model(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model was saved with another version of a package
        loaded = pyfunc.load_model(uri, allow_pickle=True)
    assert plain(loaded.predict(IRIS)) == plain(forest.predict(IRIS))


@pytest.mark.parametrize("version", environments.VERSIONS)
@pytest.mark.parametrize("what", ["version", "function"])
def test_a_model_that_mlflow_logged_is_served(
    done: Callable[[str], dict[str, Any]],
    forest: RandomForestClassifier,
    tracking_uri: str,
    version: str,
    what: str,
) -> None:
    uri = done(version)["logged"][what]
    with serving(uri, "--allow-pickle", MODELYARD_TRACKING_URI=tracking_uri) as served:
        answered = ask(served.port, body=BODY.encode())
    expected = [len(IRIS)] if what == "function" else plain(forest.predict(IRIS))
    assert (answered.status, answered.json) == (200, {"predictions": expected})


def test_a_pickle_is_not_served_unless_allowed(
    done: Callable[[str], dict[str, Any]], tracking_uri: str
) -> None:
    uri = done("2.22")["logged"]["version"]
    with serving(uri, MODELYARD_TRACKING_URI=tracking_uri) as served:
        status = ask(served.port, "/status", None).json
        assert ask(served.port, body=BODY.encode()).status == 503
    assert "serve it with --allow-pickle" in json.dumps(status)


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_the_command_line_of_mlflow_predicts_with_our_model(
    done: Callable[[str], dict[str, Any]], forest: RandomForestClassifier, version: str
) -> None:
    expected = {"predictions": plain(forest.predict(IRIS))}
    assert done(version)["commanded"] == {"csv": expected, "json": expected}


def test_the_server_of_mlflow_serves_our_model(
    uris: Callable[[str], list[str]],
    forest: RandomForestClassifier,
    tracking_uri: str,
    tmp_path: Path,
) -> None:
    env = running.variables(tracking_uri)
    with running.models_serve("3.17", uris("3.17")[2], env=env, cwd=tmp_path) as port:
        answered = ask(port, body=BODY.encode())
    assert answered.json == {"predictions": plain(forest.predict(IRIS))}
