"""What logged models say about themselves, and their examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import modelyard
from modelyard import models, pyfunc, sklearn
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, NotFound
from modelyard.models import Model, infer_signature

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
SIGNATURE = infer_signature(FRAME, np.asarray([1]))


@pytest.fixture
def classifier() -> LogisticRegression:
    return LogisticRegression().fit(FRAME, [0, 0, 1, 1])


@pytest.fixture
def logged(client: MlflowClient, classifier: LogisticRegression) -> tuple[str, str, str]:
    """The URIs of one logged model and of a version of it."""
    assert client
    name = "with a signature"
    with modelyard.start_run() as run:
        info = sklearn.log_model(classifier, "model", registered_model_name=name)
    version = info.registered_model_version
    return info.model_uri, f"runs:/{run.info.run_id}/model", f"models:/{name}/{version}"


@pytest.mark.parametrize("form", [0, 1])
def test_the_signature_of_a_logged_model_is_set_and_its_version_keeps_its_own(
    logged: tuple[str, str, str], form: int
) -> None:
    models.set_signature(logged[form], SIGNATURE)
    for uri in logged[:2]:
        assert models.get_model_info(uri).signature == SIGNATURE
    assert models.get_model_info(logged[2]).signature is None
    assert pyfunc.load_model(logged[form]).predict(FRAME).tolist() == [0, 0, 1, 1]


def test_a_registered_version_gets_no_other_signature(logged: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidParameter, match="a registered version never changes"):
        models.set_signature(logged[2], SIGNATURE)
    with pytest.raises(InvalidParameter, match="must be a ModelSignature, got dict"):
        models.set_signature(logged[0], {})  # type: ignore[arg-type]


def test_the_signature_of_a_folder_is_set(tmp_path: Path, classifier: LogisticRegression) -> None:
    sklearn.save_model(classifier, tmp_path / "m")
    models.set_signature(str(tmp_path / "m"), SIGNATURE)
    info = models.get_model_info(str(tmp_path / "m"))
    assert (info.signature, info.model_uri) == (SIGNATURE, str(tmp_path / "m"))
    with pytest.raises(NotFound, match="No model found at 'absent'"):
        models.get_model_info("absent")


def test_data_that_does_not_fit_a_schema_is_refused() -> None:
    assert SIGNATURE.inputs is not None
    models.validate_schema(FRAME, SIGNATURE.inputs)
    with pytest.raises(InvalidParameter, match="Missing column 'a'"):
        models.validate_schema(pd.DataFrame({"b": [1.0]}), SIGNATURE.inputs)


def answered(data: Any) -> Any:
    return [len(data)]


@pytest.mark.parametrize(
    ("example", "stored", "kind"),
    [
        (FRAME.head(1), {"columns": ["a"], "data": [[0.0]]}, "dataframe"),
        (np.ones((1, 2)), [[1.0, 1.0]], "ndarray"),
        ({"x": np.ones(2), "y": np.zeros(1)}, {"x": [1.0, 1.0], "y": [0.0]}, "ndarray"),
        ({"x": "a", "y": [1]}, {"x": "a", "y": [1]}, "json_object"),
        (["a", "b"], ["a", "b"], "json_object"),
    ],
)
def test_an_example_is_stored_as_mlflow_stores_it(
    tmp_path: Path, example: Any, stored: Any, kind: str
) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=answered, input_example=example)
    info = Model.load(tmp_path / "m").saved_input_example_info
    assert info is not None
    assert info["type"] == kind
    assert json.loads((tmp_path / "m" / "input_example.json").read_text()) == stored
    back = pyfunc.load_model(tmp_path / "m", allow_pickle=True).input_example
    assert type(back) is type(example)


def test_an_example_with_params_describes_them(tmp_path: Path) -> None:
    def scaled(model_input: Any, params: Any) -> Any:
        return model_input * params["factor"]

    example = (FRAME, {"factor": 2})
    pyfunc.save_model(tmp_path / "m", python_model=scaled, input_example=example)
    served = json.loads((tmp_path / "m" / "serving_input_example.json").read_text())
    assert (served["params"], set(served)) == ({"factor": 2}, {"dataframe_split", "params"})
    loaded = pyfunc.load_model(tmp_path / "m", allow_pickle=True)
    assert loaded.input_example.equals(FRAME)
    assert loaded.predict(FRAME)["a"].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert loaded.predict(FRAME, {"factor": 3})["a"].tolist() == [0.0, 3.0, 6.0, 9.0]


def test_an_example_that_is_a_sparse_matrix_is_read(tmp_path: Path) -> None:
    matrix = sparse.csr_matrix(np.eye(2))
    pyfunc.save_model(tmp_path / "m", python_model=answered)
    described = Model.load(tmp_path / "m")
    described.saved_input_example_info = {"type": "sparse_matrix_csr"}
    described.save(tmp_path / "m")
    parts = {name: getattr(matrix, name).tolist() for name in ("data", "indices", "indptr")}
    text = json.dumps({**parts, "shape": [2, 2]})
    (tmp_path / "m" / "input_example.json").write_text(text, encoding="utf-8")
    back = pyfunc.load_model(tmp_path / "m", allow_pickle=True).input_example
    assert back.toarray().tolist() == np.eye(2).tolist()


def test_a_dict_with_a_list_where_a_list_is_a_value_is_one_row() -> None:
    schema = infer_signature({"q": "a", "n": [1, 2]}).inputs
    assert schema is not None
    models.validate_schema({"q": "a", "n": [1, 2]}, schema)
    models.validate_schema({"q": ["a", "b"], "n": [[1, 2], [3]]}, schema)
