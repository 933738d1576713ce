"""Loads our models by URI over HTTP, and logs and registers models of its own.

It is run inside an environment with MLflow, as `python -m compat.interchange.door NAME URI...`,
and prints a JSON object: what each URI answered, and the URIs of what it logged.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
from compat.interchange.inputs import IRIS, plain
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier


def loaded(uri: str) -> Any:
    estimator = mlflow.sklearn.load_model(uri)
    answer = plain(mlflow.pyfunc.load_model(uri).predict(np.asarray(IRIS)))
    assert plain(estimator.predict(np.asarray(IRIS))) == answer
    return answer


def logged(name: str) -> dict[str, str]:
    """Log a forest by hand, one by itself, and a function; register each."""
    rows, target = load_iris(return_X_y=True)
    forest = RandomForestClassifier(5, random_state=0).fit(rows, target)
    is_first = mlflow.__version__.startswith("2.")
    called = {"artifact_path": "model"} if is_first else {"name": "model"}
    with mlflow.start_run() as run:
        by_hand = mlflow.sklearn.log_model(forest, pip_requirements=["scikit-learn"], **called)
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            python_model=lambda model_input: [len(model_input)],
            pip_requirements=["numpy"],
            registered_model_name=f"{name}_function",
            **called,
        )
    mlflow.sklearn.autolog(registered_model_name=f"{name}_autologged")
    with mlflow.start_run():
        RandomForestClassifier(5, random_state=0).fit(rows, target)
    mlflow.sklearn.autolog(disable=True)
    mlflow.register_model(by_hand.model_uri, name)
    return {
        "version": f"models:/{name}/1",
        "run": f"runs:/{run.info.run_id}/model",
        "model": by_hand.model_uri,
        "autologged": f"models:/{name}_autologged/latest",
        "function": f"models:/{name}_function/1",
    }


def main(name: str, uris: list[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    mlflow.set_experiment(name)
    answers = {uri: loaded(uri) for uri in uris}
    sys.stdout.write("\n" + json.dumps({"answers": answers, "logged": logged(name)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
