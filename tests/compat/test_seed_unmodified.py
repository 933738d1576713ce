"""The tutorial as it was written for MLflow, run with MLflow, on `modelyard up`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.compat import environments, running
from tests.support.platforms.serving_parts import ask, serving
from tests.support.processes.up_process import Up, up

CURL = (
    b'{"dataframe_split": {"columns": ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"],'
    b' "data": [[5.1, 3.5, 1.4, 0.2]]}}'
)
PRODUCTION = "models:/iris_classifier/Production"


@dataclass(frozen=True)
class Tutorial:
    """A platform on which the tutorial was run, and the output of its scripts."""

    version: str
    platform: Up
    printed: list[str]

    @property
    def tracking_uri(self) -> str:
        return str(self.platform.instance["http"])


@pytest.fixture(scope="module", params=environments.VERSIONS)
def tutorial(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tutorial]:
    folder = tmp_path_factory.mktemp("tutorial")
    with up(folder / "home") as platform:
        env = running.variables(str(platform.instance["http"]))
        printed = running.run(request.param, "-m", "tests.compat.session", env=env, cwd=folder)
        yield Tutorial(request.param, platform, printed.splitlines())


def test_the_scripts_print_the_tutorials_output(tutorial: Tutorial) -> None:
    inspected = [
        "Description: Random Forest trained on Iris dataset. Achieves 96% accuracy on test set.",
        "Tags: {'approved_by': '[email protected]', 'team': 'data_science'}",
    ]
    if tutorial.version == "2.22":
        # To set a tag, this client cannot send a version that is a number, to any server.
        inspected = ["TypeError: bad argument type for built-in operation"]
    assert [line for line in tutorial.printed if " View " not in line] == [
        "Model logged. Accuracy: 1.000",
        "Registered iris_classifier version 1",
        *inspected,
        "Trained model. Test accuracy: 1.000",
        "Registered iris_classifier version 2",
        "Transitioned to Staging",
        "Staging model accuracy (validation): 1.000",
        "Promoted version 2 to Production!",
        "Version 2: Production",
        "Version 1: Archived",
        "Production version: 2",
        "Predictions: [1, 0, 2]",
    ]


def test_mlflows_server_answers_the_tutorials_request(tutorial: Tutorial, tmp_path: Path) -> None:
    env = running.variables(tutorial.tracking_uri)
    with running.models_serve(tutorial.version, PRODUCTION, env=env, cwd=tmp_path) as port:
        answered = ask(port, body=CURL)
    assert (answered.status, answered.json) == (200, {"predictions": [0]})


def test_our_server_answers_the_tutorials_request(tutorial: Tutorial, tmp_path: Path) -> None:
    variables = {
        "MODELYARD_TRACKING_URI": tutorial.tracking_uri,
        "MODELYARD_CACHE": str(tmp_path / "cache"),
    }
    # The older versions have no format but pickle.
    switches = () if tutorial.version == "3.17" else ("--allow-pickle",)
    with serving(PRODUCTION, *switches, **variables) as served:
        answered = ask(served.port, body=CURL)
    assert (answered.status, answered.json) == (200, {"predictions": [0]})
    assert answered.headers["x-model-version"] == "2"
