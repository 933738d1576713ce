"""Models that carry code: Python files, modules, types of one's own."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

from modelyard import pyfunc, sklearn
from modelyard.exceptions import InvalidParameter, NotFound, PermissionDenied
from modelyard.models import Model, ModelConfig, set_model

FRAME = pd.DataFrame({"a": [1.0, 2.0]})


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A Python file that scales by its settings, named as in scripts for MLflow."""
    file = tmp_path / "scaled.py"
    file.write_text(
        "import mlflow\n"
        "from mlflow.models import ModelConfig, set_model\n"
        "config = ModelConfig(development_config={'factor': 2})\n"
        "class Scaled(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input):\n"
        "        return model_input * config.get('factor')\n"
        "set_model(Scaled())\n",
        encoding="utf-8",
    )
    return file


def saved(folder: Path, source: str, **options: Any) -> Path:
    file = folder / "model_code.py"
    file.write_text(source, encoding="utf-8")
    pyfunc.save_model(folder / "model", python_model=str(file), **options)
    return folder / "model"


def test_a_python_file_is_a_model(code: Path, tmp_path: Path) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=code, input_example=FRAME)
    code.unlink()
    loaded = pyfunc.load_model(tmp_path / "m", allow_pickle=True)
    assert loaded.predict(FRAME)["a"].tolist() == [2.0, 4.0]
    with pytest.raises(PermissionDenied, match="loading it runs that code"):
        pyfunc.load_model(tmp_path / "m")


def test_settings_given_at_load_replace_those_of_the_model(code: Path, tmp_path: Path) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=code, model_config={"factor": 3})
    for given, factor in (({"other": 1}, 3), ({"factor": 5}, 5)):
        loaded = pyfunc.load_model(tmp_path / "m", allow_pickle=True, model_config=given)
        assert loaded.predict(FRAME)["a"].tolist() == [factor, 2 * factor]


def test_a_name_of_mlflow_is_known_only_while_a_model_is_loaded(code: Path, tmp_path: Path) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=code)
    pyfunc.load_model(tmp_path / "m", allow_pickle=True)
    assert not [name for name in sys.modules if name.partition(".")[0] == "mlflow"]


def test_a_module_that_a_model_imports_of_mlflow_is_ours_and_not_left(tmp_path: Path) -> None:
    source = (
        "from mlflow.entities.run import Run\nfrom mlflow.models.model import Model\n"
        "from mlflow.pyfunc.model import PythonModel\nfrom mlflow.models import set_model\n"
        "import modelyard.entities, modelyard.models\n"
        "assert (Run, Model) == (modelyard.entities.Run, modelyard.models.Model)\n"
        "set_model(lambda model_input: model_input)\n"
    )
    loaded = pyfunc.load_model(saved(tmp_path, source), allow_pickle=True)
    assert loaded.predict(FRAME)["a"].tolist() == [1.0, 2.0]
    assert not [name for name in sys.modules if name.partition(".")[0] == "mlflow"]
    assert importlib.util.find_spec("mlflow") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("mlflow")


def test_the_packages_a_file_imports_are_its_requirements(tmp_path: Path) -> None:
    source = (
        "import os, sklearn\nfrom modelyard.models import set_model\n"
        "def predict(model_input):\n    return model_input\nset_model(predict)\n"
    )
    text = (saved(tmp_path, source) / "requirements.txt").read_text(encoding="utf-8")
    names = {line.partition("==")[0] for line in text.splitlines()}
    assert names == {"cloudpickle", "modelyard", "numpy", "pandas", "scikit-learn"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\n", "sets no model: it must call modelyard.models.set_model"),
        ("def (:\n", "fails with SyntaxError"),
        ("1 / 0\n", "fails with ZeroDivisionError: 'division by zero'"),
        ("import a_module_nobody_has\n", "needs the Python module 'a_module_nobody_has'"),
        ("import mlflow.langchain\n", "uses mlflow.langchain of MLflow.*Install mlflow beside"),
        ("from modelyard.models import set_model\nset_model(3)\n", "set_model takes .* got int"),
        ("from modelyard.models import ModelConfig\nModelConfig()\n", "The model has no settings"),
    ],
)
def test_a_file_that_makes_no_model_is_refused(tmp_path: Path, source: str, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        saved(tmp_path, source)


def test_set_model_does_nothing_when_a_file_is_run_by_itself() -> None:
    set_model(lambda rows: rows)
    config = ModelConfig(development_config={"factor": 2})
    assert (config.get("factor"), config.to_dict()) == (2, {"factor": 2})


def test_settings_are_read_from_a_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("factor: 2\n", encoding="utf-8")
    assert ModelConfig(development_config=tmp_path / "settings.yaml").get("factor") == 2
    with pytest.raises(NotFound, match=r"settings file .* does not exist"):
        ModelConfig(development_config=tmp_path / "absent.yaml")
    (tmp_path / "list.yaml").write_text("[1]\n", encoding="utf-8")
    with pytest.raises(InvalidParameter, match="not a YAML mapping"):
        ModelConfig(development_config=str(tmp_path / "list.yaml"))


def test_a_file_the_mlmodel_file_places_outside_is_not_run(code: Path, tmp_path: Path) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=code)
    described = Model.load(tmp_path / "m")
    described.flavors["python_function"]["model_code_path"] = "/etc/../scaled.py"
    described.save(tmp_path / "m")
    loaded = pyfunc.load_model(tmp_path / "m", allow_pickle=True)
    assert loaded.predict(FRAME)["a"].tolist() == [2.0, 4.0]  # its own file of that name
    described.flavors["python_function"]["code"] = "../.."
    described.save(tmp_path / "m")
    with pytest.raises(InvalidParameter, match="not a folder of the model"):
        pyfunc.load_model(tmp_path / "m", allow_pickle=True)


def test_code_goes_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package" / "__pycache__").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("def twice(rows): return rows * 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from package import twice  # type: ignore[import-not-found]

    transformer = FunctionTransformer(twice)
    sklearn.save_model(
        transformer,
        tmp_path / "m",
        serialization_format="pickle",
        code_paths=[tmp_path / "package"],
    )
    assert {f.name for f in (tmp_path / "m" / "code" / "package").iterdir()} == {"__init__.py"}
    del sys.modules["package"]
    sys.path.remove(str(tmp_path))
    loaded = sklearn.load_model(tmp_path / "m", allow_pickle=True)
    assert loaded.transform(FRAME.to_numpy()).tolist() == [[2.0], [4.0]]
    del sys.modules["package"]
    sys.path.remove(str(tmp_path / "m" / "code"))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (["absent.py"], NotFound, "The path 'absent.py' in code_paths does not exist"),
        ("code.py", InvalidParameter, "must be a list of files and folders, got 'code.py'"),
    ],
)
def test_code_that_is_not_there_is_refused(
    tmp_path: Path, given: Any, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        sklearn.save_model(FunctionTransformer(), tmp_path / "m", code_paths=given)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"skops_trusted_types": "builtins.eval"}, "must be a list of type names"),
        (
            {"skops_trusted_types": ["a.B"], "serialization_format": "pickle"},
            "requires serialization_format='skops'",
        ),
    ],
)
def test_trusted_types_are_a_list_and_of_skops_only(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameter, match=told):
        sklearn.save_model(FunctionTransformer(), tmp_path / "m", **options)


def test_what_has_no_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    class Open(pyfunc.PythonModel):
        def __init__(self) -> None:
            self.file = sys.stdout

    with pytest.raises(InvalidParameter, match="Open such resources in load_context"):
        pyfunc.save_model(tmp_path / "m", python_model=Open())
    with pytest.raises(InvalidParameter, match="serialization_format='cloudpickle' stores"):
        sklearn.save_model(
            FunctionTransformer(lambda rows: rows), tmp_path / "n", serialization_format="pickle"
        )


class _Names:
    """Pickles as a reference to any name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        import pkgutil

        return pkgutil.resolve_name, (self.name,)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no pickle", "is not a readable pickle"),
        (b"", "is not a readable pickle"),
        (pickle.dumps(_Names("a_module_nobody_has:x")), "needs the Python module"),
        (pickle.dumps(_Names("mlflow.langchain:x")), "uses mlflow.langchain.x of MLflow"),
        (pickle.dumps(_Names("json:absent")), "its pickle fails with AttributeError"),
    ],
)
def test_a_pickle_that_cannot_be_read_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, told: str
) -> None:
    pyfunc.save_model(tmp_path / "m", python_model=lambda rows: rows)
    (tmp_path / "m" / "python_model.pkl").write_bytes(content)
    with pytest.raises(InvalidParameter, match=told):
        pyfunc.load_model(tmp_path / "m", allow_pickle=True)


@pytest.mark.parametrize("compression", ["lzma", "bzip2", "gzip"])
def test_a_compressed_pickle_is_read(tmp_path: Path, compression: str) -> None:
    import bz2
    import gzip
    import lzma

    pyfunc.save_model(tmp_path / "m", python_model=lambda rows: rows)
    modules: dict[str, Any] = {"lzma": lzma, "bzip2": bz2, "gzip": gzip}
    file = tmp_path / "m" / "python_model.pkl"
    file.write_bytes(modules[compression].compress(file.read_bytes()))
    described = Model.load(tmp_path / "m")
    described.flavors["python_function"]["python_model_compression"] = compression
    described.save(tmp_path / "m")
    assert pyfunc.load_model(tmp_path / "m", allow_pickle=True).predict([1]) == [1]


def test_a_function_gets_the_list_its_hint_says(tmp_path: Path) -> None:
    def of_records(rows: list[dict[str, float]]) -> list[float]:
        return [row["a"] for row in rows]

    pyfunc.save_model(tmp_path / "m", python_model=of_records)
    assert pyfunc.load_model(tmp_path / "m", allow_pickle=True).predict(FRAME) == [1.0, 2.0]
