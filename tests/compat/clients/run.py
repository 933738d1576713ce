"""Runs the functions of the scripts beside it with the real client, each in its own experiment.

It is run inside an environment with MLflow, as `python -m tests.compat.clients.run ENDS
SCRIPT...`, and appends a line of JSON to the file ENDS for each function: its name, and its
traceback if it failed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import mlflow


def run(name: str, check: Callable[[], None]) -> str:
    """Run one function; return its traceback, or nothing if it succeeded."""
    mlflow.set_experiment(f"{name} {uuid4().hex}")
    try:
        check()
    except Exception:  # noqa: BLE001 - any failure is this function's, the others still run
        return traceback.format_exc()
    finally:
        while mlflow.active_run():
            mlflow.end_run()
    return ""


def main(ends: Path, scripts: list[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for script in scripts:
        module = importlib.import_module(f"tests.compat.clients.{script}")
        for name, check in inspect.getmembers(module, inspect.isfunction):
            if check.__module__ == module.__name__ and not name.startswith("_"):
                failure = run(f"{script}.{name}", check)
                with ends.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"name": f"{script}.{name}", "failure": failure}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
