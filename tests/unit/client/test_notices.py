"""The lines about what was logged, on stderr or wherever the script's logging sends them."""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

import modelyard
import modelyard.sklearn

pytestmark = pytest.mark.usefixtures("client")


@contextmanager
def no_logging() -> Iterator[None]:
    """Take away the handlers of the root logger, as in a script that configures no logging."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


def test_each_run_model_and_version_has_a_line_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"iris\n{uuid.uuid4().hex}"
    with no_logging():
        experiment = modelyard.set_experiment(name)
        with modelyard.start_run(run_name="first") as run:
            model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
            logged = modelyard.sklearn.log_model(model, "model")
        modelyard.register_model(logged.model_uri, name.replace("\n", " "))
        with modelyard.start_run(run_id=run.info.run_id):
            pass
    out, err = capsys.readouterr()
    run_id, experiment_id = run.info.run_id, experiment.experiment_id
    assert out == ""
    assert err.splitlines() == [
        f"modelyard: created experiment {name!r} with id {experiment_id}",
        f"modelyard: started run 'first' ({run_id}) in experiment {experiment_id}",
        f"modelyard: logged model 'model' as {logged.model_uri} in run {run_id}",
        (
            f"modelyard: registered version 1 of model {name.replace(chr(10), ' ')!r} from "
            f"{logged.model_uri}"
        ),
        f"modelyard: resumed run 'first' ({run_id}) in experiment {experiment_id}",
    ]


def test_a_script_that_configures_logging_gets_records_instead(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with modelyard.start_run(run_name="first"):
        pass
    assert [record.name for record in caplog.records] == ["modelyard"]
    assert caplog.records[0].levelname == "INFO"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("value", "lines"), [("1", 0), ("on", 0), ("0", 1), ("", 1)])
def test_a_setting_turns_the_lines_off(
    value: str,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELYARD_QUIET", value)
    with no_logging(), modelyard.start_run():
        pass
    assert capsys.readouterr().err.count("\n") == lines


def test_a_closed_stderr_hinders_no_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with no_logging():
        for closed in ((tmp_path / "closed").open("w"), None):
            if closed is not None:
                closed.close()
            monkeypatch.setattr(sys, "stderr", closed)
            with modelyard.start_run() as run:
                pass
            assert run.info.run_id
