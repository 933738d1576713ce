"""`modelyard demo`: walk through the life of a model, in a temporary home.

Starts the platform as a user would, trains, logs, registers, stages, validates, promotes, serves,
promotes a second version under load, rolls back, and prints the duration of each step.
Exit codes: 0 all steps succeeded; 1 one failed, and the message names it; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from modelyard.command_line import Parser
from modelyard_server.demo.client import Answer, Asker, Client

_NAME = "iris_classifier"
_SERVED = f"models:/{_NAME}/Production"
_MIN_ACCURACY = 0.95
_SWAP_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_FIRST = Answer("1", [0])
_SECOND = Answer("2", ["setosa"])


class DemoError(Exception):
    """A step failed."""


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    Parser(
        prog="modelyard demo", description="Walk through the life of a model, in a temporary home."
    ).parse_args(argv)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="modelyard-demo-") as home:
        try:
            _play(Path(home))
        except (DemoError, TimeoutError) as error:
            print(f"modelyard demo: {error}", file=sys.stderr)
            return 1
    print(f"done in {time.monotonic() - started:.1f} s; the home is removed")
    return 0


def _play(home: Path) -> None:
    _forget_settings(home)
    with ExitStack() as processes:
        with _step("modelyard up"):
            line = processes.enter_context(_process(home, "up", "--home", home, *_FREE_PORTS))
            url = _after(line, " - ")
        os.environ["MODELYARD_TRACKING_URI"] = url
        print(f"      {line}")
        flowers = _Flowers()
        _train_and_promote(flowers, "rf_v1", names=False)
        with _step(f"modelyard models serve -m {_SERVED}"):
            line = processes.enter_context(
                _process(home, "models", "serve", "-m", _SERVED, "--port", "0")
            )
            served = _after(line, " on ")
        print(f"      {line}")
        with _step("ask with the tutorial's body"):
            client = Client(served)
            _expect(client.ask(), _FIRST)
            client.close()
        print(f"      version {_FIRST.version} answers {_FIRST.predictions}")
        _swap_under_load(served, flowers)
        _print_history()
        with _step("stop"):
            processes.close()


_FREE_PORTS = ("--port", "0", "--grpc-port", "0")


def _forget_settings(home: Path) -> None:
    """Remove the shell's settings of a server, token or cache."""
    for name in list(os.environ):
        if name.startswith(("MODELYARD_", "MLFLOW_")):
            del os.environ[name]
    os.environ["MODELYARD_CACHE"] = str(home / "cache")
    os.environ["MODELYARD_QUIET"] = "1"


class _Flowers:
    """The iris data set, split as in the tutorial."""

    def __init__(self) -> None:
        from sklearn.datasets import load_iris
        from sklearn.model_selection import train_test_split

        iris = load_iris()
        self.names = iris.target_names
        self.train, self.test, self.train_labels, self.test_labels = train_test_split(
            iris.data, iris.target, test_size=0.2, random_state=42
        )


def _train_and_promote(flowers: _Flowers, run_name: str, *, names: bool) -> None:
    """Bring one more version to Production.

    Args:
        flowers: Data for training and test.
        run_name: Name of the run that logs the model.
        names: Whether the model predicts the species' name instead of its number.
    """
    import modelyard
    from modelyard.tracking import MlflowClient

    train_labels, test_labels = flowers.train_labels, flowers.test_labels
    if names:
        train_labels, test_labels = flowers.names[train_labels], flowers.names[test_labels]
    with _step(f"train and log {run_name}"):
        run_id = _train(flowers.train, train_labels, run_name)
    client = MlflowClient()
    with _step(f"register {_NAME}"):
        version = modelyard.register_model(f"runs:/{run_id}/model", _NAME).version
    with _step(f"move version {version} to Staging"):
        client.transition_model_version_stage(_NAME, version, "Staging")
    with _step("validate what is in Staging"):
        model = modelyard.pyfunc.load_model(f"models:/{_NAME}/Staging")
        accuracy = float((model.predict(flowers.test) == test_labels).mean())
    print(f"      accuracy {accuracy:.3f}")
    if accuracy < _MIN_ACCURACY:
        raise DemoError(f"accuracy {accuracy:.3f} is below {_MIN_ACCURACY}; not promoted")
    with _step(f"promote version {version} to Production"):
        client.transition_model_version_stage(
            _NAME, version, "Production", archive_existing_versions=True
        )


def _train(data: Any, labels: Any, run_name: str) -> str:
    from sklearn.ensemble import RandomForestClassifier

    import modelyard
    import modelyard.sklearn

    modelyard.set_experiment("Iris Classification")
    with modelyard.start_run(run_name=run_name) as run:
        model = RandomForestClassifier(n_estimators=100, random_state=42).fit(data, labels)
        modelyard.log_param("n_estimators", 100)
        modelyard.log_metric("train_accuracy", model.score(data, labels))
        modelyard.sklearn.log_model(model, "model")
    return str(run.info.run_id)


def _swap_under_load(served: str, flowers: _Flowers) -> None:
    from modelyard.tracking import MlflowClient

    asker = Asker(served)
    try:
        _expect(asker.wait_for(_FIRST.version, _SWAP_TIMEOUT_S), _FIRST)
        _train_and_promote(flowers, "rf_v2", names=True)
        with _step("version 2 answers"):
            _expect(asker.wait_for(_SECOND.version, _SWAP_TIMEOUT_S), _SECOND)
        print(f"      version {_SECOND.version} answers {_SECOND.predictions}")
        with _step("roll back"):
            MlflowClient().rollback(_NAME, "Production", comment="answers with names")
        with _step("version 1 answers again"):
            _expect(asker.wait_for(_FIRST.version, _SWAP_TIMEOUT_S), _FIRST)
    finally:
        asker.close()
    print(f"      {asker.answered} requests answered meanwhile, {len(asker.failures)} failed")
    if asker.failures:
        raise DemoError(f"requests failed during the swap: {asker.failures[0]}")


def _print_history() -> None:
    from modelyard.tracking import MlflowClient

    client = MlflowClient()
    print(f"history of {_NAME}:")
    for event in client.history(_NAME):
        print(f"{event.revision:>3}  {event.sentence}")
    for version in client.search_model_versions(f"name='{_NAME}'", order_by=["version_number"]):
        print(f"      version {version.version} is in {version.current_stage}")


def _expect(answer: Answer, expected: Answer) -> None:
    if answer != expected:
        raise DemoError(f"expected {expected}, got {answer}")


@contextmanager
def _step(text: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:6.2f} s  {text}", flush=True)


@contextmanager
def _process(home: Path, *words: str | Path) -> Iterator[str]:
    """Run a `modelyard` command until the end of the block; the value is its ready line."""
    log = home.parent / f"{home.name}-{words[0]}.log"
    command = [sys.executable, "-m", "modelyard", *map(str, words)]
    with log.open("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None  # noqa: S101 - stdout is a pipe
        try:
            line = process.stdout.readline().strip()
            if not line:
                raise DemoError(_why(command, process.wait(), log))
            yield line
            process.terminate()
            code = process.wait(_STOP_TIMEOUT_S)
            if code:
                raise DemoError(_why(command, code, log))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            log.unlink()


def _why(command: Sequence[str], code: int, log: Path) -> str:
    lines = log.read_text().splitlines()
    last_line = f": {lines[-1]}" if lines else ""
    return f"{' '.join(command[1:])} ended with code {code}{last_line}"


def _after(line: str, mark: str) -> str:
    """Return the word that follows a mark in a ready line."""
    return line.partition(mark)[2].split()[0]
