from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import modelyard.sklearn
from modelyard import pyfunc
from modelyard.exceptions import (
    AlreadyExists,
    InvalidParameter,
    ModelyardException,
    NotFound,
    PermissionDenied,
)
from modelyard.models import Model, infer_signature

X, y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=["sl", "sw", "pl", "pw"])
FOREST = RandomForestClassifier(5, random_state=0).fit(X, y)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    modelyard.sklearn.save_model(FOREST, path)
    return path


def mlmodel(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((folder / "MLmodel").read_text())
    return read


def edit(folder: Path, flavor: str, **changes: Any) -> None:
    read = mlmodel(folder)
    read["flavors"][flavor].update(changes)
    (folder / "MLmodel").write_text(yaml.safe_dump(read))


def refusal(folder: Path, **options: Any) -> ModelyardException:
    with pytest.raises(ModelyardException) as caught:
        pyfunc.load_folder(folder, **options)
    assert str(folder) not in caught.value.message
    return caught.value


def test_the_folder_is_one_of_mlflows(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "MLmodel",
        "model.skops",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
    }
    flavors = mlmodel(folder)["flavors"]
    assert flavors["python_function"]["loader_module"] == "mlflow.sklearn"
    assert flavors["python_function"]["env"] == {
        "conda": "conda.yaml",
        "virtualenv": "python_env.yaml",
    }
    assert flavors["sklearn"]["pickled_model"] == "model.skops"
    trusted = flavors["sklearn"]["skops_trusted_types"]
    assert skops.io.load(folder / "model.skops", trusted=trusted).n_features_in_ == 4


def test_the_estimator_comes_back_as_it_was(folder: Path) -> None:
    loaded = modelyard.sklearn.load_model(folder)
    assert np.array_equal(loaded.predict_proba(X), FOREST.predict_proba(X))


def test_no_signature_is_made_up(folder: Path) -> None:
    assert "signature" not in mlmodel(folder)
    assert pyfunc.load_model(folder).signature is None


def test_an_example_gives_a_signature_and_is_kept(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(FRAME, y)
    modelyard.sklearn.save_model(model, tmp_path / "m", input_example=FRAME.head(2))
    loaded = pyfunc.load_model(str(tmp_path / "m"))
    assert loaded.signature == infer_signature(FRAME, model.predict(FRAME))
    pd.testing.assert_frame_equal(loaded.input_example, FRAME.head(2))
    served = json.loads((tmp_path / "m" / "serving_input_example.json").read_text())
    assert served["dataframe_split"]["columns"] == ["sl", "sw", "pl", "pw"]


def test_an_array_example_comes_back_as_an_array(tmp_path: Path) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "m", input_example=X[:2], signature=False)
    loaded = pyfunc.load_folder(tmp_path / "m")
    assert loaded.signature is None
    assert np.array_equal(loaded.input_example, X[:2])


@pytest.mark.parametrize("content", ["", "[]", '{"columns": [], "data": 5}'])
def test_a_damaged_example_does_not_keep_the_model_from_predicting(
    tmp_path: Path, content: str
) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "m", input_example=FRAME.head(1))
    (tmp_path / "m" / "input_example.json").write_text(content)
    loaded = pyfunc.load_folder(tmp_path / "m")
    assert loaded.predict(FRAME).shape == (150,)
    with pytest.raises(InvalidParameter, match="input example is damaged"):
        _ = loaded.input_example


@pytest.mark.parametrize("example", [np.array([[np.inf]]), [object()], {"a": object()}])
def test_an_example_json_has_no_form_for_is_left_out_with_a_warning(
    tmp_path: Path, example: Any
) -> None:
    with pytest.warns(UserWarning, match="not stored: .* cannot be written as JSON"):
        modelyard.sklearn.save_model(FOREST, tmp_path / "m", input_example=example, signature=False)
    loaded = pyfunc.load_model(tmp_path / "m")
    assert loaded.input_example is None
    assert len(loaded.predict(X)) == len(X)


def test_another_method_can_be_the_prediction(tmp_path: Path) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "m", pyfunc_predict_fn="predict_proba")
    loaded = pyfunc.load_folder(tmp_path / "m")
    assert np.array_equal(loaded.predict(X), FOREST.predict_proba(X))


def test_a_method_the_estimator_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="SVC has no predict_proba"):
        modelyard.sklearn.save_model(SVC(), tmp_path / "m", pyfunc_predict_fn="predict_proba")
    with pytest.raises(InvalidParameter, match="Unknown pyfunc_predict_fn 'fit'"):
        modelyard.sklearn.save_model(SVC(), tmp_path / "m", pyfunc_predict_fn="fit")


def test_a_transformer_loads_as_itself_and_has_no_generic_prediction(tmp_path: Path) -> None:
    modelyard.sklearn.save_model(StandardScaler().fit(X), tmp_path / "m")
    assert modelyard.sklearn.load_model(tmp_path / "m").transform(X).shape == X.shape
    assert "no python_function flavor" in refusal(tmp_path / "m").message


def test_threads_are_set_on_every_part(tmp_path: Path) -> None:
    inner = RandomForestClassifier(2, n_jobs=2).fit(X, y)
    modelyard.sklearn.save_model(make_pipeline(StandardScaler(), inner).fit(X, y), tmp_path / "m")
    loaded = pyfunc.load_folder(tmp_path / "m", threads=1).get_raw_model()
    assert loaded.steps[1][1].n_jobs == 1


class Canary:
    """Its pickle writes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("stored_as", ["pickle", "cloudpickle", "skops"])
@pytest.mark.parametrize("name", ["model.pkl", "model.skops", "model.joblib", "model.npy"])
def test_a_pickle_is_never_read_unasked(folder: Path, name: str, stored_as: str) -> None:
    canary = folder.parent / "canary"
    (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    edit(folder, "sklearn", pickled_model=name, serialization_format=stored_as)
    edit(folder, "python_function", model_path=name)
    refused = refusal(folder)
    assert isinstance(refused, PermissionDenied | InvalidParameter)
    assert not canary.exists()


@pytest.mark.parametrize("stored_as", ["pickle", "cloudpickle"])
def test_a_pickled_model_loads_when_that_is_allowed(tmp_path: Path, stored_as: str) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "m", serialization_format=stored_as)
    assert "allow_pickle=True" in refusal(tmp_path / "m").message
    loaded = pyfunc.load_folder(tmp_path / "m", allow_pickle=True)
    assert np.array_equal(loaded.predict(X), FOREST.predict(X))
    assert modelyard.sklearn.load_model(tmp_path / "m", allow_pickle=True).n_features_in_ == 4


@pytest.mark.parametrize("content", [b"", b"\x80\x05", b"PK\x03\x04"])
def test_a_damaged_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "m", serialization_format="pickle")
    (tmp_path / "m" / "model.pkl").write_bytes(content)
    assert "not a readable pickle" in refusal(tmp_path / "m", allow_pickle=True).message


def test_a_folder_cannot_extend_the_trusted_types(folder: Path) -> None:
    skops.io.dump(Canary(folder.parent / "canary"), folder / "model.skops")
    edit(folder, "sklearn", skops_trusted_types=[f"{__name__}.Canary"])
    assert "Canary" in refusal(folder).message


@pytest.mark.parametrize(
    "loader", ["os", "modelyard.sklearn._flavor", "", None, ["mlflow.sklearn"]]
)
def test_a_loader_outside_the_table_is_not_imported(folder: Path, loader: Any) -> None:
    edit(folder, "python_function", loader_module=loader)
    assert "it requires the loader" in refusal(folder).message


@pytest.mark.parametrize("file", ["../model.skops", "/etc/passwd", "", ".", "absent", 5, None])
def test_a_file_outside_the_folder_is_not_opened(folder: Path, file: Any) -> None:
    (folder.parent / "model.skops").write_bytes((folder / "model.skops").read_bytes())
    edit(folder, "sklearn", pickled_model=file)
    edit(folder, "python_function", model_path=file)
    assert "MLmodel file" in refusal(folder).message


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    outside = folder.parent / "outside.skops"
    (folder / "model.skops").rename(outside)
    (folder / "model.skops").symlink_to(outside)
    assert "not a file of the model's folder" in refusal(folder).message


@pytest.mark.parametrize("predict_fn", ["fit", "__init__", "_validate_X_predict", "absent", None])
def test_a_prediction_outside_the_table_is_not_called(folder: Path, predict_fn: Any) -> None:
    edit(folder, "python_function", predict_fn=predict_fn)
    assert "predict_fn" in refusal(folder).message


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a: [",
        "[]",
        "5",
        "flavors: 5",
        "flavors: {sklearn: 5}",
        "flavors: {1: {}}",
        "!!python/name:os.system",
        "\x00",
    ],
)
def test_a_malformed_mlmodel_file_is_refused(folder: Path, content: str) -> None:
    (folder / "MLmodel").write_text(content)
    assert "MLmodel file cannot be read" in refusal(folder).message


def test_an_mlmodel_file_out_of_all_proportion_is_not_parsed(folder: Path) -> None:
    (folder / "MLmodel").write_text("#" * (5 * 2**20))
    assert "at most 4194304 are read" in refusal(folder).message


def test_a_folder_without_mlmodel_file_is_no_model(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path), NotFound)


def test_a_path_that_is_no_folder_is_refused() -> None:
    with pytest.raises(NotFound, match="No model found at 'nowhere'"):
        pyfunc.load_model("nowhere")


def test_a_folder_with_content_is_not_written_over(folder: Path) -> None:
    before = (folder / "MLmodel").read_bytes()
    with pytest.raises(AlreadyExists, match="already exists"):
        modelyard.sklearn.save_model(FOREST, folder)
    assert (folder / "MLmodel").read_bytes() == before


def test_something_that_is_no_estimator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="must be a scikit-learn estimator, got dict"):
        modelyard.sklearn.save_model({}, tmp_path / "m")
    with pytest.raises(InvalidParameter, match="Unknown serialization_format 'joblib'"):
        modelyard.sklearn.save_model(FOREST, tmp_path / "m", serialization_format="joblib")


def test_keys_of_other_writers_survive_a_rewrite(folder: Path) -> None:
    read = mlmodel(folder) | {"mlflow_version": "3.17.2", "env_vars": None}
    (folder / "MLmodel").write_text(yaml.safe_dump(read))
    model = Model.load(folder)
    model.model_id, model.run_id, model.artifact_path = "m-1", "r1", "model"
    model.save(folder)
    written = mlmodel(folder)
    assert written["mlflow_version"] == "3.17.2"
    assert (written["model_id"], written["run_id"], written["artifact_path"]) == (
        "m-1",
        "r1",
        "model",
    )
    assert pyfunc.load_folder(folder).model_id == "m-1"


def test_requirements_can_be_replaced_or_added_to(tmp_path: Path) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "a", extra_pip_requirements=["rich"])
    lines = (tmp_path / "a" / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in lines} == {
        "numpy",
        "pandas",
        "scikit-learn",
        "scipy",
        "skops",
        "rich",
    }
    modelyard.sklearn.save_model(FOREST, tmp_path / "b", pip_requirements=["scikit-learn"])
    assert (tmp_path / "b" / "requirements.txt").read_text() == "scikit-learn\n"


def test_another_scikit_learn_is_warned_about(folder: Path) -> None:
    edit(folder, "sklearn", sklearn_version="0.1")
    with pytest.warns(UserWarning, match="saved with scikit-learn 0.1"):
        pyfunc.load_model(folder)


def test_a_missing_package_is_one_line_that_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['skops'] = None\n"
        "import modelyard.sklearn\n"
        "try: modelyard.sklearn.load_model('m')\n"
        "except ImportError as missing: print(missing)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    told = "modelyard.sklearn needs the 'sklearn' extra: pip install 'modelyard[sklearn]'\n"
    assert done.stdout == told
