"""MLflow's names: `install_as_mlflow`, `modelyard run`, and names that the SDK lacks."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.support.processes.up_process import environment

import modelyard
from modelyard.client import MlflowClient

OWN_CLIENT = "use MLflow's own client, which works against this server"


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def script(folder: Path, text: str, name: str = "script.py") -> Path:
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("modelyard", "autolog"),
        ("modelyard", "evaluate"),
        ("modelyard.sklearn", "autolog"),
        ("modelyard.models", "predict"),
        ("modelyard.pyfunc", "spark_udf"),
        ("modelyard.tracking", "artifact_utils"),
    ],
)
def test_a_name_of_mlflow_that_is_missing_says_what_to_use_instead(module: str, name: str) -> None:
    owner = importlib.import_module(module)
    assert not hasattr(owner, name)
    below = f"{module}.{name}".removeprefix("modelyard.")
    with pytest.raises(AttributeError) as refused:
        getattr(owner, name)
    assert str(refused.value).startswith(f"Modelyard's SDK has no {below}: {OWN_CLIENT}")
    assert str(refused.value).endswith("; docs/sdk.md lists what the SDK lacks.")
    with pytest.raises(ModuleNotFoundError, match=f"has no {below}: ") as missing:
        exec(f"from {module} import {name}")  # noqa: S102 - names are parameters
    assert missing.value.name == f"mlflow.{below}"


def test_a_missing_flavour_names_the_one_that_takes_any_model() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no xgboost: use modelyard\.pyfunc\.log_model"):
        importlib.import_module("modelyard.xgboost")
    with pytest.raises(AttributeError, match=r"no xgboost: use modelyard\.pyfunc\.log_model"):
        modelyard.xgboost  # noqa: B018


def test_a_missing_method_of_the_client_says_what_to_use_instead() -> None:
    client = MlflowClient("http://127.0.0.1:9")
    assert not hasattr(client, "log_stream")
    with pytest.raises(AttributeError, match=f"no MlflowClient.log_stream: {OWN_CLIENT}"):
        client.log_stream  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no MlflowClient\.search_traces: traces"):
        client.search_traces  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_that_mlflow_lacks_too_is_pythons_error() -> None:
    with pytest.raises(AttributeError) as refused:
        modelyard.log_metrik  # noqa: B018
    assert str(refused.value) == "module 'modelyard' has no attribute 'log_metrik'"
    assert (refused.value.name, refused.value.obj) == ("log_metrik", modelyard)  # to suggest
    with pytest.raises(ImportError, match="cannot import name 'log_metrik' from 'modelyard'"):
        exec("from modelyard import log_metrik")  # noqa: S102 - else a type checker refuses it
    with pytest.raises(ModuleNotFoundError, match=r"Did you mean: 'modelyard\.sklearn'"):
        importlib.import_module("modelyard.sklern")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'modelyard\.xyzzy'"):
        importlib.import_module("modelyard.xyzzy")
    assert importlib.util.find_spec("modelyard.xyzzy") is None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("tracking.client", "client"),
        ("tracking.fluent", ""),
        ("pyfunc.model", "pyfunc"),
        ("entities.run_status", "entities"),
        ("entities.model_registry.model_version", "entities.model_registry"),
    ],
)
def test_a_module_that_mlflow_has_elsewhere_is_ours(theirs: str, ours: str) -> None:
    module = importlib.import_module(f"modelyard.{theirs}")
    assert module is importlib.import_module(f"modelyard.{ours}".rstrip("."))
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__


INSTALLED = """
    import sys, warnings
    import modelyard
    modelyard.install_as_mlflow()
    modelyard.install_as_mlflow()
    import mlflow, mlflow.sklearn, mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.run import Run as TheSame
    from mlflow.exceptions import MlflowException
    from mlflow.models.signature import infer_signature
    from mlflow.tracking.client import MlflowClient as TheClient
    from mlflow.types.schema import Schema
    assert mlflow is modelyard and mlflow.sklearn is modelyard.sklearn
    assert Run is TheSame is modelyard.entities.Run and TheClient is modelyard.MlflowClient
    assert isinstance(modelyard.exceptions.NotFound("x"), MlflowException)
    assert isinstance(MlflowClient("http://127.0.0.1:9"), modelyard.client.MlflowClient)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import mlflow.xgboost
        except ImportError as missing:
            assert missing.name == "mlflow.xgboost"
        assert not hasattr(mlflow, "autolog")
    found = [(str(one.message).partition(":")[0], one.filename) for one in caught]
    assert {filename for _, filename in found} == {__file__}, found
    texts = {text for text, _ in found}
    assert texts == {"Modelyard's SDK has no xgboost", "Modelyard's SDK has no autolog"}, texts
"""


def test_everything_under_mlflows_name_is_ours_once_installed(tmp_path: Path) -> None:
    # MLflow is found on the path, and is not imported.
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text("raise RuntimeError('the real one')")
    done = python(script(tmp_path, INSTALLED), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_imported_mlflow_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("")
    text = "import mlflow, modelyard\nmodelyard.install_as_mlflow()"
    done = python(script(tmp_path, text), cwd=tmp_path)
    assert done.returncode == 1
    assert "ImportError: MLflow is already imported: call modelyard.install_as" in done.stderr


WORKS = """
    import multiprocessing, os, sys
    import mlflow
    import beside

    def work(number):
        from mlflow.tracking import MlflowClient
        return beside.VALUE + number, MlflowClient.__module__

    if __name__ == "__main__":
        print(sys.argv, sys.path[0] == os.path.dirname(os.path.abspath(__file__)), mlflow.__name__)
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                print(pool.map(work, [1]))
        sys.exit(3)
"""


def test_a_script_runs_as_by_python(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    script(folder, "VALUE = 41", "beside.py")
    script(folder, WORKS)
    words = ("-m", "modelyard", "run", "scripts/script.py", "--a", "-m", "b")
    done = python(*words, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines() == [
        "['scripts/script.py', '--a', '-m', 'b'] True modelyard",
        *["[(42, 'modelyard.client')]"] * 2,
    ]


def test_a_module_runs_as_by_python(tmp_path: Path) -> None:
    script(
        tmp_path, "import mlflow, sys; print(__name__, sys.argv[1:], mlflow.__name__)", "tool.py"
    )
    done = python("-m", "modelyard", "run", "-m", "tool", "-x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "__main__ ['-x'] modelyard\n"), done.stderr


@pytest.mark.parametrize(
    ("text", "code", "last"),
    [
        ("import sys; sys.exit('no data')", 1, "no data"),
        ("import mlflow; raise mlflow.MlflowException('wrong')", 1, "ModelyardException: wrong"),
        ("1 +", 1, "SyntaxError: invalid syntax"),
        ("raise KeyboardInterrupt", 128 + signal.SIGINT, "KeyboardInterrupt"),
        ("import mlflow.xgboost", 1, "docs/sdk.md lists what the SDK lacks."),
    ],
)
def test_a_script_that_fails_is_reported_as_by_python(
    text: str, code: int, last: str, tmp_path: Path
) -> None:
    done = python("-m", "modelyard", "run", script(tmp_path, text), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1].endswith(last)
    assert f"{os.sep}_script.py" not in done.stderr
    assert "runpy" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "a script is missing"), (["nowhere.py"], "can't open file 'nowhere.py': No such file")],
)
def test_a_run_of_nothing_is_a_usage_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelyard._script import run

    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
