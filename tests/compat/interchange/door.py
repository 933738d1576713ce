"""Loads our models by URI over HTTP and by a command, and logs and registers models of MLflow's.

It is run as `python -m tests.compat.interchange.door NAME URI...` in an environment with MLflow and
prints a JSON object: the answer for each URI, the command's answers to each kind of input with the
second one, and the URIs of the models it logged.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
from click.testing import CliRunner
from mlflow.cli import cli
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from tests.compat.interchange.inputs import IRIS, plain


def loaded(uri: str) -> Any:
    estimator = mlflow.sklearn.load_model(uri)
    answer = plain(mlflow.pyfunc.load_model(uri).predict(np.asarray(IRIS)))
    assert plain(estimator.predict(np.asarray(IRIS))) == answer
    return answer


def commanded(uri: str, kind: str) -> Any:
    """Return the output of `mlflow models predict` for a file of input."""
    rows: list[list[Any]] = [["a", "b", "c", "d"], *IRIS]
    table = "\n".join(",".join(map(str, row)) for row in rows)
    Path("input").write_text(json.dumps({"inputs": IRIS}) if kind == "json" else table)
    files = ("-i", "input", "-o", "output.json")
    words = ("models", "predict", "--env-manager", "local", "-t", kind, "-m", uri, *files)
    ended = CliRunner().invoke(cli, words)
    assert ended.exit_code == 0, f"{ended.output} {ended.exception!r}"
    return json.loads(Path("output.json").read_text())


def logged(name: str) -> dict[str, str]:
    """Log a forest explicitly, one by autologging, and a function; register each."""
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
    report = {
        "answers": {uri: loaded(uri) for uri in uris},
        "commanded": {kind: commanded(uris[1], kind) for kind in ("csv", "json")},
        "logged": logged(name),
    }
    sys.stdout.write("\n" + json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
