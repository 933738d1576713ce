"""Models saved by Modelyard, loaded from their folders by the real MLflow."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from tests.compat import environments, running
from tests.compat.interchange.inputs import IRIS, plain, question

from modelyard import pyfunc, sklearn
from modelyard.exceptions import InvalidParameter
from modelyard.models import Model, ModelSignature

FRAME = pd.DataFrame({"a": [1.0, 2.0]})
KNOW_SKOPS = ("3.17",)
CODE = """
import mlflow
import numpy as np
from mlflow.models import set_model


class FromCode(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return np.asarray(model_input) * 2


set_model(FromCode())
"""
ESTIMATOR = """
import numpy as np
from sklearn.base import BaseEstimator


class Threes(BaseEstimator):
    def fit(self, X, y=None):
        self.answer_ = 3
        return self

    def predict(self, X):
        return np.full(len(X), self.answer_)
"""


def make_sklearn(folder: Path, threes: BaseEstimator, code: Path) -> None:
    data, target = load_iris(return_X_y=True, as_frame=True)
    rows = data.to_numpy()
    forest = RandomForestClassifier(5, random_state=0).fit(rows, target)
    boosted = HistGradientBoostingClassifier(max_iter=3).fit(rows, target)
    regression = LogisticRegression(max_iter=500).fit(data, target)
    example = data.head(3)
    save = sklearn.save_model
    save(forest, folder / "sklearn_skops", input_example=rows[:3])
    save(boosted, folder / "sklearn_boosted_skops")
    save(regression, folder / "sklearn_named", input_example=example)
    for written in ("cloudpickle", "pickle"):
        save(forest, folder / f"sklearn_{written}", serialization_format=written)
    save(
        regression,
        folder / "sklearn_probabilities_cloudpickle",
        input_example=example,
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
    )
    save(
        threes,
        folder / "sklearn_own_skops",
        skops_trusted_types=["threes.Threes"],
        code_paths=[code],
    )
    save(
        threes,
        folder / "sklearn_own_cloudpickle",
        serialization_format="cloudpickle",
        code_paths=[code],
    )


def make_python(folder: Path, files: Path) -> None:
    """Write models with their code in their files, which do not import this module."""

    class Scaled(pyfunc.PythonModel):
        def load_context(self, context: pyfunc.PythonModelContext) -> None:
            self.factor = json.loads(Path(context.artifacts["factor"]).read_text(encoding="utf-8"))

        def predict(
            self, context: pyfunc.PythonModelContext, model_input: Any, params: Any = None
        ) -> Any:
            return np.asarray(model_input) * self.factor * (params or {}).get("power", 1)

    class WithoutContext(pyfunc.PythonModel):
        def predict(self, model_input: Any) -> Any:  # type: ignore[override]
            return np.asarray(model_input) * 2

    def doubled(model_input: Any) -> Any:
        return np.asarray(model_input) * 2

    def upper(model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

    (files / "factor.json").write_text("3", encoding="utf-8")
    (files / "code.py").write_text(CODE, encoding="utf-8")
    artifacts = {"factor": str(files / "factor.json")}
    save = pyfunc.save_model
    save(
        folder / "class",
        python_model=Scaled(),
        artifacts=artifacts,
        input_example=(FRAME, {"power": 1}),
    )
    save(folder / "without_context", python_model=WithoutContext(), input_example=FRAME)
    save(folder / "function", python_model=doubled, input_example=FRAME)
    save(folder / "texts_function", python_model=upper, input_example=["a"])
    save(folder / "code", python_model=files / "code.py", input_example=FRAME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with our models, one in each subfolder."""
    files = tmp_path_factory.mktemp("files")
    (files / "threes.py").write_text(ESTIMATOR, encoding="utf-8")
    made = tmp_path_factory.mktemp("ours")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(files))
        from threes import Threes  # type: ignore[import-not-found]

        make_sklearn(made, Threes().fit(IRIS), files / "threes.py")
        make_python(made, files)
        yield made
    del sys.modules["threes"]


@pytest.fixture(scope="module")
def read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Return the report of a version of MLflow on each of our models."""

    @cache
    def by(version: str) -> dict[str, Any]:
        cwd = tmp_path_factory.mktemp("reader")
        variables = running.variables(f"sqlite:///{cwd}/none.db")
        command = ("-m", "tests.compat.interchange.read", folder)
        found: dict[str, Any] = json.loads(running.run(version, *command, env=variables, cwd=cwd))
        return found

    return by


CASES = [
    "class",
    "code",
    "function",
    "sklearn_boosted_skops",
    "sklearn_cloudpickle",
    "sklearn_named",
    "sklearn_own_cloudpickle",
    "sklearn_own_skops",
    "sklearn_pickle",
    "sklearn_probabilities_cloudpickle",
    "sklearn_skops",
    "texts_function",
    "without_context",
]


@pytest.mark.parametrize("version", environments.VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_model_of_ours_answers_the_same_in_mlflow(
    folder: Path, read: Callable[[str], dict[str, Any]], version: str, case: str
) -> None:
    found = read(version)[case]
    flavors = Model.load(folder / case).flavors
    is_skops = flavors.get("sklearn", {}).get("serialization_format") == "skops"
    if is_skops and version not in KNOW_SKOPS:
        assert "Unrecognized serialization format: skops" in found["refused"]
        assert "'cloudpickle'" in found["refused"]
        return
    ours = pyfunc.load_folder(folder / case, allow_pickle=True)
    assert found["answer"] == plain(ours.predict(question(case)))
    if ours.input_example is not None:
        assert found["example"] == plain(ours.predict(ours.input_example))
    read_by_us = ModelSignature.from_dict(found["signature"]) if found["signature"] else None
    assert read_by_us == ours.signature


@pytest.mark.parametrize("case", CASES)
def test_each_folder_lists_its_requirements_correctly(folder: Path, case: str) -> None:
    lines = (folder / case / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {line.partition("==")[0] for line in lines}
    described = Model.load(folder / case)
    stored_as = described.flavors.get("sklearn", {}).get("serialization_format", "cloudpickle")
    assert {"numpy", "pandas"} <= names
    assert (stored_as in names) == (stored_as != "pickle")
    assert ("scikit-learn" in names) == case.startswith("sklearn")
    assert all("==" in line for line in lines)
    assert (folder / case / "conda.yaml").is_file()
    assert (folder / case / "python_env.yaml").is_file()


def test_a_custom_type_is_loaded_only_if_trusted(folder: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"types that are not trusted: \['threes.Threes'\]"):
        sklearn.load_model(folder / "sklearn_own_skops")
    loaded = sklearn.load_model(folder / "sklearn_own_skops", allow_pickle=True)
    assert loaded.predict([[1]]).tolist() == [3]
