"""Writes a model folder for each case, and its answers, with the MLflow of its environment.

It is run inside an environment with MLflow, as `python -m tests.compat.interchange.write FOLDER`.
"""

# MLflow infers the signature of a model from type annotations, so most models have none.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="misc, no-untyped-def"

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
)
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from tests.compat.interchange.inputs import plain, question

FRAME = pd.DataFrame({"a": [1.0, 2.0]})
CODE = """
import mlflow
import numpy as np
from mlflow.models import set_model


class FromCode(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return np.asarray(model_input) * 2


set_model(FromCode())
"""
CODE_WITH_SETTINGS = """
import numpy as np
from mlflow.models import ModelConfig, set_model

config = ModelConfig(development_config={"factor": 7})


def predict(model_input):
    return np.asarray(model_input) * config.get("factor")


set_model(predict)
"""
MODULE = """
import mlflow
import numpy as np


class Imported(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return np.asarray(model_input) * 2


class Loaded:
    def predict(self, model_input):
        return np.asarray(model_input) * 2


def _load_pyfunc(path):
    return Loaded()
"""


class Scaled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return np.asarray(model_input) * (params or {}).get("factor", 2)


class WithoutContext(mlflow.pyfunc.PythonModel):
    def predict(self, model_input, params=None):
        return np.asarray(model_input) * 2


class WithArtifact(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        self.factor = json.loads(Path(context.artifacts["factor"]).read_text(encoding="utf-8"))

    def predict(self, context, model_input):
        return np.asarray(model_input) * self.factor


class CallsMlflow(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        assert callable(mlflow.set_tracking_uri)
        return np.asarray(model_input) * 2


class OfTexts(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]


class Counting(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [len(model_input)]


def doubled(model_input):
    return np.asarray(model_input) * 2


def upper(model_input: list[str]) -> list[str]:
    return [text.upper() for text in model_input]


def counted(model_input):
    return [len(model_input)]


def sklearn_cases() -> dict[str, Callable[[Path], None]]:
    data, target = load_iris(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(5, random_state=0).fit(data.to_numpy(), target)
    regression = LogisticRegression(max_iter=500).fit(data, target)
    signature = infer_signature(data, regression.predict(data))

    def saved(model: Any, **options: Any) -> Callable[[Path], None]:
        options["pip_requirements"] = ["scikit-learn"]
        return lambda folder: mlflow.sklearn.save_model(model, folder, **options)

    return {
        "sklearn_default": saved(forest),
        "sklearn_cloudpickle": saved(forest, serialization_format="cloudpickle"),
        "sklearn_pickle": saved(forest, serialization_format="pickle"),
        "sklearn_array_example": saved(forest, input_example=data.head(3).to_numpy()),
        "sklearn_named": saved(
            regression,
            input_example=data.head(3),
            signature=signature,
            serialization_format="pickle",
        ),
        "sklearn_probabilities": saved(
            regression, pyfunc_predict_fn="predict_proba", serialization_format="pickle"
        ),
    }


def python_cases(files: Path) -> dict[str, Callable[[Path], None]]:
    (files / "factor.json").write_text("3", encoding="utf-8")
    (files / "code.py").write_text(CODE, encoding="utf-8")
    (files / "settings.py").write_text(CODE_WITH_SETTINGS, encoding="utf-8")
    (files / "imported_by_model.py").write_text(MODULE, encoding="utf-8")
    sys.path.insert(0, str(files))
    from imported_by_model import Imported  # type: ignore[import-not-found]

    code = [str(files / "imported_by_model.py")]
    return {
        "class": _python(Scaled(), signature=infer_signature(FRAME, FRAME, {"factor": 2})),
        "without_context": _python(WithoutContext(), input_example=FRAME),
        "artifact": _python(WithArtifact(), artifacts={"factor": str(files / "factor.json")}),
        "calls_mlflow": _python(CallsMlflow()),
        "texts_class": _python(OfTexts(), input_example=["a"]),
        "function": _python(doubled, input_example=FRAME),
        "function_signature": _python(doubled, signature=infer_signature(FRAME, FRAME)),
        "texts_function": _python(upper, input_example=["a"]),
        "code": _python(str(files / "code.py")),
        "code_settings": _python(str(files / "settings.py"), model_config={"factor": 5}),
        "code_paths": _python(Imported(), code_paths=code),
        "loader_module": _python(None, loader_module="imported_by_model", code_paths=code),
        "example_params": _python(Scaled(), input_example=(FRAME, {"factor": 4})),
        "example_dict": _python(counted, input_example={"q": "a", "n": [1, 2]}),
    }


def signature_cases() -> dict[str, Callable[[Path], None]]:
    names = ("boolean", "integer", "long", "float", "double", "binary", "datetime")
    scalars = [ColSpec(name, name) for name in names]
    nested = [
        ColSpec(Array(DataType.long), "list"),
        ColSpec(Array(Array(DataType.string)), "lists"),
        ColSpec(
            Object(
                [
                    Property("x", DataType.string),
                    Property("y", Array(DataType.double), required=False),
                ]
            ),
            "object",
        ),
        ColSpec(Map(DataType.long), "map"),
        ColSpec(AnyType(), "any", required=False),
    ]
    tensors = [
        TensorSpec(np.dtype("float64"), (-1, 2), "a"),
        TensorSpec(np.dtype("int64"), (-1,), "b"),
    ]
    params = [
        ParamSpec("integer", DataType.integer, 1),
        ParamSpec("list", DataType.long, [1, 2], shape=(-1,)),
        ParamSpec("datetime", DataType.datetime, np.datetime64("2026-01-02T03:04:05")),
        ParamSpec("nothing", DataType.string, None),
        ParamSpec("object", Object([Property("x", DataType.string)]), {"x": "y"}),
    ]
    signatures = {
        "scalars": ModelSignature(Schema([*scalars, ColSpec("string", "text", required=False)])),
        "nested": ModelSignature(Schema(nested)),
        "tensor": ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2))])),
        "tensors": ModelSignature(Schema(tensors)),
        "params": ModelSignature(Schema([ColSpec("double", "a")]), params=ParamSchema(params)),
    }
    return {
        f"signature_{name}": _python(Counting(), signature=signature)
        for name, signature in signatures.items()
    }


def _python(model: Any, **options: Any) -> Callable[[Path], None]:
    options["pip_requirements"] = ["numpy"]
    return lambda folder: mlflow.pyfunc.save_model(folder, python_model=model, **options)


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    files = folder / "files"
    files.mkdir()
    answers = {}
    for name, save in (sklearn_cases() | python_cases(files) | signature_cases()).items():
        save(folder / name)
        answers[name] = plain(mlflow.pyfunc.load_model(str(folder / name)).predict(question(name)))
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
