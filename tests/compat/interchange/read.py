"""Loads every model folder in a folder with the MLflow of its environment, and predicts with it.

It is run as `python -m tests.compat.interchange.read FOLDER` in an environment with MLflow, and
prints a JSON object: for each model its answer, its example and signature, or the reason that it
was refused.
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
from tests.compat.interchange.inputs import plain, question


def read(folder: Path) -> dict[str, Any]:
    try:
        model = mlflow.pyfunc.load_model(str(folder))
    except mlflow.MlflowException as refused:
        return {"refused": str(refused)}
    flavors = mlflow.models.get_model_info(str(folder)).flavors
    asked = question(folder.name)
    if "sklearn" in flavors:
        own = mlflow.sklearn.load_model(str(folder))
        assert plain(getattr(own, flavors["python_function"]["predict_fn"])(asked)) == plain(
            model.predict(asked)
        )
    example = model.input_example
    described = model.metadata.signature
    return {
        "answer": plain(model.predict(asked)),
        "example": None if example is None else plain(model.predict(example)),
        "signature": described.to_dict() if described else None,
    }


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    found = {path.parent.name: read(path.parent) for path in sorted(folder.glob("*/MLmodel"))}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
