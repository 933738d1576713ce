"""Models: logged, registered and loaded by each form of URI."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from tests.compat.clients.refusals import refused

# Given, because MLflow otherwise loads each model in another process to infer them.
REQUIREMENTS = ["scikit-learn"]


@cache
def _iris() -> tuple[pd.DataFrame, Any]:
    features, labels = load_iris(return_X_y=True, as_frame=True)
    return features, labels


@cache
def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=10, random_state=42).fit(*_iris())


@cache
def _registered() -> tuple[str, str, str]:
    """Return the name of a model whose version 1 is in Production, its run and a logged URI."""
    features, _ = _iris()
    name = f"loaded {uuid4().hex}"
    signature = infer_signature(features, _forest().predict(features))
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            _forest(),
            "model",
            signature=signature,
            input_example=features[:2],
            registered_model_name=name,
            pip_requirements=REQUIREMENTS,
        )
    client = MlflowClient()
    client.transition_model_version_stage(name, "1", "Production")
    client.set_registered_model_alias(name, "champion", "1")
    return name, run.info.run_id, info.model_uri


def a_model_is_loaded_by_every_form_of_uri() -> None:
    features, _ = _iris()
    expected = _forest().predict(features)
    name, run_id, logged = _registered()
    for uri in (
        logged,
        f"runs:/{run_id}/model",
        f"models:/{name}/1",
        f"models:/{name}/latest",
        f"models:/{name}/Production",
        f"models:/{name}/production",
        f"models:/{name}@champion",
    ):
        answered = mlflow.pyfunc.load_model(uri).predict(features)
        assert np.array_equal(answered, expected), uri
    estimator = mlflow.sklearn.load_model(f"models:/{name}/Production")
    assert np.array_equal(estimator.predict_proba(features), _forest().predict_proba(features))


def a_model_keeps_its_signature_and_example() -> None:
    features, _ = _iris()
    name, _, _ = _registered()
    info = mlflow.models.get_model_info(f"models:/{name}/1")
    assert info.signature.inputs.input_names() == list(features.columns)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    assert loaded.metadata.signature == info.signature
    assert loaded.input_example.equals(features[:2].reset_index(drop=True))
    try:
        loaded.predict(features[["petal width (cm)"]])
    except mlflow.exceptions.MlflowException as error:
        assert "missing" in str(error)  # noqa: PT017 - no pytest in this environment
    else:
        raise AssertionError("missing columns were accepted")


def what_cannot_be_loaded_is_named() -> None:
    name, run_id, _ = _registered()
    for uri, phrase in (
        (f"models:/{name}/9", name),
        (f"models:/{name}/Staging", name),
        (f"models:/{name}@missing", "missing"),
        (f"models:/no {name}/1", name),
        (f"runs:/{run_id}/other", "other"),
    ):
        error = refused(lambda uri=uri: mlflow.pyfunc.load_model(uri))  # type: ignore[misc]
        assert phrase in error.message, uri


def a_second_version_takes_over() -> None:
    features, labels = _iris()
    name = f"replaced {uuid4().hex}"
    client = MlflowClient()
    for constant in (0, 1):
        with mlflow.start_run() as run:
            line = LogisticRegression(max_iter=200).fit(features, labels == constant)
            mlflow.sklearn.log_model(line, "model", pip_requirements=REQUIREMENTS)
        version = mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
        client.transition_model_version_stage(name, version.version, "Production", True)  # noqa: FBT003 - as users write it
        model = mlflow.pyfunc.load_model(f"models:/{name}/Production")
        assert np.array_equal(model.predict(features), line.predict(features))
    assert client.get_model_version(name, "1").current_stage == "Archived"


class _Plus(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def load_context(self, context: Any) -> None:
        self.constant = int(Path(context.artifacts["constant"]).read_text(encoding="utf-8"))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input + self.constant + (params or {}).get("more", 0)


def a_python_model_with_artifacts_is_logged_and_loaded() -> None:
    constant = Path(tempfile.mkdtemp()) / "constant.txt"
    constant.write_text("41", encoding="utf-8")
    frame = pd.DataFrame({"a": [1, 2]})
    signature = infer_signature(frame, frame, {"more": 0})
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model(
            "plus",
            python_model=_Plus(),
            artifacts={"constant": str(constant)},
            signature=signature,
            pip_requirements=[],
            registered_model_name=(name := f"plus {uuid4().hex}"),
        )
    for uri in (f"runs:/{run.info.run_id}/plus", f"models:/{name}/1"):
        model = mlflow.pyfunc.load_model(uri)
        assert list(model.predict(frame)["a"]) == [42, 43]
        assert list(model.predict(frame, params={"more": 8})["a"]) == [50, 51]


def a_copied_version_outlives_its_run_and_its_source() -> None:
    features, _ = _iris()
    client = MlflowClient()
    name = f"short-lived {uuid4().hex}"
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            _forest(), "model", registered_model_name=name, pip_requirements=REQUIREMENTS
        )
    copied = client.copy_model_version(f"models:/{name}/1", f"copy of {name}")
    client.delete_run(run.info.run_id)
    client.delete_registered_model(name)
    model = mlflow.pyfunc.load_model(f"models:/{copied.name}/{copied.version}")
    assert np.array_equal(model.predict(features), _forest().predict(features))


def autologging_logs_params_metrics_and_the_model() -> None:
    features, labels = _iris()
    mlflow.sklearn.autolog(log_input_examples=True, silent=True)
    try:
        with mlflow.start_run() as run:
            line = LogisticRegression(max_iter=321).fit(features, labels)
            line.score(features, labels)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["max_iter"] == "321"
    assert 0.9 < found.data.metrics["training_accuracy_score"] <= 1
    assert found.data.tags["estimator_name"] == "LogisticRegression"
    assert [entry.dataset.name for entry in found.inputs.dataset_inputs] == ["dataset"]
    assert "training_confusion_matrix.png" in {
        file.path for file in MlflowClient().list_artifacts(run.info.run_id)
    }
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert np.array_equal(model.predict(features), line.predict(features))
