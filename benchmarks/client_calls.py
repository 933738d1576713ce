"""The calls that `clients.py` times; run with the Python of the client under test.

    python client_calls.py mlflow|modelyard uri [uri ...]

Each line of the input names a call, the number of the address, how often to make it, and the number
of threads that make it; the answer is a line with the list of the seconds that each thread took.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression


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
        self.stages = itertools.cycle(["Staging", "Production"])
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
        self.client.transition_model_version_stage("bench", "1", next(self.stages))

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


def timed(door: Calls, name: str, times: int) -> float:
    call: Callable[[], Any] = getattr(door, name)
    started = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - started


def main(package: str, uris: list[str]) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # clients print as well
    doors = [Calls(package, uri) for uri in uris]
    for line in sys.stdin:
        name, *numbers = line.split()
        door, times, threads = map(int, numbers)
        doors[door].fluent.set_tracking_uri(doors[door].uri)
        with ThreadPoolExecutor(threads) as callers:
            taken = callers.map(timed, *([x] * threads for x in (doors[door], name, times)))
        print(json.dumps(list(taken)), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
