"""Models saved by the real MLflow, loaded from their folders by Modelyard."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from tests.compat import environments, running
from tests.compat.interchange.inputs import plain, question

from modelyard import pyfunc, sklearn
from modelyard.exceptions import InvalidParameter, PermissionDenied
from modelyard.models import ModelSignature

CASES = [
    "artifact",
    "calls_mlflow",
    "class",
    "code",
    "code_paths",
    "code_settings",
    "example_dict",
    "example_params",
    "function",
    "function_signature",
    "signature_nested",
    "signature_params",
    "signature_scalars",
    "signature_tensor",
    "signature_tensors",
    "sklearn_array_example",
    "sklearn_cloudpickle",
    "sklearn_default",
    "sklearn_named",
    "sklearn_pickle",
    "sklearn_probabilities",
    "texts_class",
    "texts_function",
    "without_context",
]
WRITES_SKOPS = {"3.17": ("sklearn_default", "sklearn_array_example")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder that a version of MLflow saved its models to."""

    @cache
    def by(version: str) -> Path:
        folder = tmp_path_factory.mktemp("theirs")
        variables = running.variables(f"sqlite:///{folder}/none.db")
        command = ("-m", "tests.compat.interchange.write", folder)
        running.run(version, *command, env=variables, cwd=folder)
        return folder

    return by


def load(folder: Path, *, allow_pickle: bool = True) -> pyfunc.PyFuncModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a module that is imported twice, other versions
        return pyfunc.load_model(folder, allow_pickle=allow_pickle)


@pytest.mark.parametrize("version", environments.VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_model_of_mlflow_answers_the_same_here(
    written: Callable[[str], Path], version: str, case: str
) -> None:
    folder = written(version) / case
    answers = json.loads((folder.parent / "answers.json").read_text(encoding="utf-8"))
    loaded = load(folder)
    assert plain(loaded.predict(question(case))) == answers[case]
    if loaded.input_example is not None:
        loaded.predict(loaded.input_example)
    if "sklearn" in loaded.metadata.flavors:
        estimator = sklearn.load_model(folder, allow_pickle=True)
        assert type(estimator) is type(loaded.get_raw_model())


@pytest.mark.parametrize("version", environments.VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_code_of_mlflows_models_runs_only_when_that_is_allowed(
    written: Callable[[str], Path], version: str, case: str
) -> None:
    folder = written(version) / case
    if case in WRITES_SKOPS.get(version, ()):
        answers = json.loads((folder.parent / "answers.json").read_text(encoding="utf-8"))
        asked = load(folder, allow_pickle=False).predict(question(case))
        assert plain(asked) == answers[case]
        return
    with pytest.raises(PermissionDenied, match="load it with allow_pickle=True") as refused:
        load(folder, allow_pickle=False)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_a_model_with_a_loader_of_its_own_is_refused_and_the_loader_named(
    written: Callable[[str], Path], version: str
) -> None:
    with pytest.raises(InvalidParameter, match=r"the loader 'imported_by_model'.*with MLflow"):
        load(written(version) / "loader_module")


@pytest.mark.parametrize("version", environments.VERSIONS)
@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("signature")])
def test_a_signature_is_written_as_it_was_read(
    written: Callable[[str], Path], version: str, case: str
) -> None:
    signature = load(written(version) / case).signature
    assert signature is not None
    assert ModelSignature.from_dict(signature.to_dict()) == signature


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_an_example_with_params_is_read_as_both(
    written: Callable[[str], Path], version: str
) -> None:
    loaded = load(written(version) / "example_params")
    assert loaded.input_example.to_dict("list") == {"a": [1.0, 2.0]}
    assert plain(loaded.predict(loaded.input_example)) == [[4.0], [8.0]]


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_params_get_their_defaults_in_their_types(
    written: Callable[[str], Path], version: str
) -> None:
    signature = load(written(version) / "signature_params").signature
    assert signature is not None
    assert signature.params is not None
    defaults = {spec.name: spec.default for spec in signature.params}
    assert defaults["list"] == [1, 2]
    assert defaults["nothing"] is None
    assert defaults["object"] == {"x": "y"}
    assert pd.Timestamp(defaults["datetime"]) == pd.Timestamp("2026-01-02T03:04:05")
