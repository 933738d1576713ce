from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelyard import pyfunc
from modelyard.exceptions import InvalidParameter, NotFound, PermissionDenied
from modelyard.models import infer_signature


class Scaled(pyfunc.PythonModel):
    """Multiplies by a factor from an artifact and a parameter."""

    def load_context(self, context: pyfunc.PythonModelContext) -> None:
        self.factor = float(Path(context.artifacts["factor"]).read_text())

    def predict(
        self, context: pyfunc.PythonModelContext, model_input: Any, params: Any = None
    ) -> Any:
        power = (params or {}).get("power", 1)
        return model_input * self.factor**power + context.model_config.get("offset", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "factor.txt").write_text("3")
    signature = infer_signature(pd.DataFrame({"a": [1.0]}), params={"power": 1})
    pyfunc.save_model(
        tmp_path / "m",
        python_model=Scaled(),
        artifacts={"factor": str(tmp_path / "factor.txt")},
        signature=signature,
        model_config={"offset": 0},
    )
    (tmp_path / "factor.txt").unlink()
    return tmp_path / "m"


def test_a_python_model_is_loaded_only_when_pickle_is_allowed(folder: Path) -> None:
    with pytest.raises(PermissionDenied, match="allow_pickle=True"):
        pyfunc.load_model(folder)


def test_a_python_model_gets_its_artifacts_parameters_and_settings(folder: Path) -> None:
    loaded = pyfunc.load_model(folder, allow_pickle=True, model_config={"offset": 1})
    assert loaded.predict(pd.DataFrame({"a": [2.0]}), {"power": 2})["a"].tolist() == [19.0]
    assert loaded.predict({"a": [2.0]})["a"].tolist() == [7.0]
    assert isinstance(loaded.unwrap_python_model(), Scaled)


def test_its_signature_is_enforced(folder: Path) -> None:
    loaded = pyfunc.load_model(folder, allow_pickle=True)
    with pytest.raises(InvalidParameter, match="Missing column 'a'"):
        loaded.predict(pd.DataFrame({"b": [1.0]}))


def doubled(rows: Any) -> Any:
    return rows * 2


def test_a_function_is_a_model(tmp_path: Path) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=doubled, input_example=np.ones((1, 2)))
    loaded = pyfunc.load_folder(tmp_path / "m", allow_pickle=True)
    assert loaded.signature == infer_signature(np.ones((1, 2)), np.ones((1, 2)))
    assert loaded.predict(np.ones((1, 2))).tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("python_model", [5, Scaled, lambda a, b: a + b])
def test_something_that_is_no_python_model_is_refused(tmp_path: Path, python_model: Any) -> None:
    with pytest.raises(InvalidParameter, match="python_model"):
        pyfunc.save_model(tmp_path / "m", python_model=python_model)


def test_a_python_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No Python file found at 'model'"):
        pyfunc.save_model(tmp_path / "m", python_model="model")


def test_an_artifact_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No artifact found at 'absent'"):
        pyfunc.save_model(tmp_path / "m", python_model=Scaled(), artifacts={"factor": "absent"})


def test_a_uri_that_is_no_text_is_refused_with_the_forms_there_are() -> None:
    with pytest.raises(InvalidParameter, match="got NoneType: give models:/<name>/<version or st"):
        pyfunc.load_model(None)  # type: ignore[arg-type]


def test_a_model_has_one_name() -> None:
    with pytest.raises(InvalidParameter, match="either artifact_path or name"):
        pyfunc.log_model("a", name="b", python_model=doubled)
