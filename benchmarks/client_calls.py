"""The calls that `clients.py` times; run with the Python of the client under test.

python client_calls.py mlflow rounds uri [uri]      # prints {call: [[seconds at each uri]]}
python client_calls.py mlflow|modelyard count uri   # marks calls for counting requests
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

WARM_UP = 3
SLOW_ROUNDS = 5


class Calls:
    """Typical calls of one client to one server.

    Args:
        package: "mlflow" or "modelyard"; they have the same methods.
        uri: Address of the server.
    """

    def __init__(self, package: str, uri: str) -> None:
        self.fluent = importlib.import_module(package)
        self.sklearn = importlib.import_module(f"{package}.sklearn")
        self.pyfunc = importlib.import_module(f"{package}.pyfunc")
        self.entities = importlib.import_module(f"{package}.entities")
        self.uri = uri
        self.fluent.set_tracking_uri(uri)
        self.client = self.fluent.MlflowClient()
        self.model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
        self.experiment_id = self.client.create_experiment(f"bench-{time.time_ns()}")
        self.run_id = self.client.create_run(self.experiment_id).info.run_id
        self.steps = itertools.count()
        self.log_and_register()
        self.client.set_registered_model_alias("bench", "champion", "1")

    def log_metric(self) -> None:
        self.client.log_metric(self.run_id, "loss", 0.5, step=next(self.steps))

    def log_batch(self) -> None:
        metrics = [
            self.entities.Metric(f"m{i}", 0.5, 1_700_000_000_000, next(self.steps))
            for i in range(100)
        ]
        self.client.log_batch(self.run_id, metrics=metrics)

    def create_run(self) -> None:
        self.client.create_run(self.experiment_id, tags={"team": "bench"})

    def get_run(self) -> None:
        self.client.get_run(self.run_id)

    def search_runs(self) -> None:
        self.client.search_runs([self.experiment_id], "tags.team = 'bench'", max_results=100)

    def metric_history(self) -> None:
        self.client.get_metric_history(self.run_id, "loss")

    def transition(self) -> None:
        self.client.transition_model_version_stage("bench", "1", "Staging")

    def version_by_alias(self) -> None:
        self.client.get_model_version_by_alias("bench", "champion")

    def log_and_register(self) -> None:
        with self.fluent.start_run(experiment_id=self.experiment_id):
            # Explicit requirements: inferring them would dominate the time.
            self.sklearn.log_model(
                self.model,
                name="model",
                registered_model_name="bench",
                pip_requirements=["scikit-learn"],
            )

    def load_by_alias(self) -> None:
        self.pyfunc.load_model("models:/bench@champion")


QUICK = (
    "log_metric",
    "log_batch",
    "create_run",
    "get_run",
    "search_runs",
    "metric_history",
    "transition",
    "version_by_alias",
)
SLOW = ("log_and_register", "load_by_alias")


def compare(package: str, rounds: int, uris: list[str]) -> dict[str, list[list[float]]]:
    """Return the seconds of each call at each address; the addresses alternate."""
    doors = [Calls(package, uri) for uri in uris]
    taken: dict[str, list[list[float]]] = {}
    for name, times in ((n, rounds) for n in QUICK):
        taken[name] = [[timed(door, name) for door in doors] for _ in range(WARM_UP + times)]
    for name in SLOW:
        taken[name] = [[timed(door, name) for door in doors] for _ in range(1 + SLOW_ROUNDS)]
    return taken


def timed(door: Calls, name: str) -> float:
    door.fluent.set_tracking_uri(door.uri)
    call: Callable[[], Any] = getattr(door, name)
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def count(package: str, uri: str) -> Iterator[str]:
    """Make each call of `SLOW` once, and yield its name before and after."""
    door = Calls(package, uri)
    for name in SLOW:
        yield name
        timed(door, name)
        yield name


if __name__ == "__main__":
    mode = sys.argv[2]
    if mode == "count":
        for line in count(sys.argv[1], sys.argv[3]):
            print(line, flush=True)
            sys.stdin.readline()
    else:
        print(json.dumps(compare(sys.argv[1], int(mode), sys.argv[3:])))
