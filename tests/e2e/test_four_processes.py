"""The tutorial on an installation: four processes, PostgreSQL, S3, a token, mutual TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases import postgres
from tests.support.http.certificates import Authority
from tests.support.platforms.serving_parts import ask, serving
from tests.support.processes.service_processes import TOKEN, Installation, installation
from tests.support.processes.up_process import environment
from tests.support.stores.s3_servers import S3Server, seaweedfs

TUTORIAL = Path(__file__).parents[2] / "examples" / "tutorial"
CURL = (
    b'{"dataframe_split": {"columns": ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"],'
    b' "data": [[5.1, 3.5, 1.4, 0.2]]}}'
)
RUN_EACH = """
import runpy, sys
for script in sys.argv[1:]:
    runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    with seaweedfs() as running:
        yield running


@pytest.fixture(scope="module")
def platform(store: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {
        "MODELYARD_TRACKING_DATABASE_URL": postgres.server().create(),
        "MODELYARD_REGISTRY_DATABASE_URL": postgres.server().create(),
        "MODELYARD_ARTIFACTS": f"s3://{store.make_bucket()}/objects",
        "MODELYARD_S3_ENDPOINT": store.endpoint,
    }
    folder = tmp_path_factory.mktemp("installation")
    settings |= Authority(folder / "authority").variables(mutual=True)
    with installation(folder, token=TOKEN, **settings, **store.environ) as running:
        yield running


def test_the_tutorial_runs_and_its_model_is_served(platform: Installation, tmp_path: Path) -> None:
    said = run(sorted(TUTORIAL.glob("*.py")), platform, tmp_path / "cache")
    for line in (
        "Registered iris_classifier version 1",
        "Production version: 1",
        "Predictions: [0, 0, 0]",
        "Promoted version 2 to Production!",
        "Back in Production: version 1",
    ):
        assert line in said

    variables = {**platform.client, "MODELYARD_CACHE": str(tmp_path / "another cache")}
    with serving("models:/iris_classifier/Production", **variables) as served:
        authorization = {"authorization": f"Bearer {TOKEN}"}
        answered = ask(served.port, body=CURL, headers=authorization)
        assert (answered.status, answered.json) == (200, {"predictions": [0]})
        assert answered.headers["x-model-version"] == "1"
        assert ask(served.port, body=CURL).status == 401


def run(scripts: list[Path], platform: Installation, cache: Path) -> list[str]:
    """Run scripts one after the other, in one process: most of their time is for imports."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_EACH, *scripts],
        env=environment(**platform.client, MODELYARD_CACHE=str(cache)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nothing_is_answered_without_the_token(platform: Installation) -> None:
    path = "/api/2.0/mlflow/registered-models/search"
    assert platform.get(path)[0] == 401
    assert platform.get(path, "another-token-of-some-length")[0] == 401
    assert platform.get(path, TOKEN)[0] == 200


def test_all_of_it_is_ready_and_ends_in_order(platform: Installation) -> None:
    assert platform.health() == (200, "OK")
    for service in platform.services.values():
        assert service.readiness == (200, "ok")
        assert service.monitored("/livez") == (200, "ok")
        assert "# TYPE modelyard_" in service.monitored("/metrics")[1]
    codes = {role: service.stop() for role, service in platform.services.items()}
    assert codes == dict.fromkeys(platform.services, 0)
