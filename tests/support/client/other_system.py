"""A script that uses the SDK as on a system without POSIX, such as Windows.

It is run with the address of a server. Modules of the standard library and of other packages that
have a part for each system are imported before POSIX is hidden: on Windows their other part runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import pkgutil
import signal
import socket
import subprocess  # noqa: F401 - imported while POSIX is there
import sys
from pathlib import Path

import grpc.aio  # noqa: F401 - the same
import pandas as pd
import skops.io  # noqa: F401 - the same
from sklearn.linear_model import LinearRegression

MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
ATTRIBUTES = {
    os: (
        "O_CLOEXEC",
        "O_DIRECTORY",
        "fork",
        "geteuid",
        "getuid",
        "killpg",
        "pread",
        "pwrite",
        "register_at_fork",
        "setsid",
    ),
    signal: ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "pthread_sigmask", "sigtimedwait"),
    socket: ("AF_UNIX",),
}


def hide_posix() -> None:
    for module in MODULES:
        sys.modules[module] = None  # type: ignore[assignment]  # its import fails then
    for owner, names in ATTRIBUTES.items():
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)


def import_everything() -> None:
    import modelyard

    for found in pkgutil.walk_packages(modelyard.__path__, "modelyard."):
        __import__(found.name)


def round_trip(uri: str, folder: str) -> list[float]:
    import modelyard as mlflow
    import modelyard.sklearn

    mlflow.set_tracking_uri(uri)
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        mlflow.log_text("text", "notes/t.txt")
        model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
        modelyard.sklearn.log_model(model, "model")
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "other system")
    client = mlflow.MlflowClient()
    client.transition_model_version_stage("other system", version.version, "Production")
    run_id = run.info.run_id
    mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="notes", dst_path=folder)
    assert Path(folder, "notes", "t.txt").read_text(encoding="utf-8") == "text"
    loaded = mlflow.pyfunc.load_model("models:/other system/Production")
    return [round(float(value), 6) for value in loaded.predict(pd.DataFrame([[2.0]]))]


def refusals_of_the_local_instance() -> list[str]:
    import modelyard as mlflow

    mlflow.set_tracking_uri(None)
    assert mlflow.get_tracking_uri().startswith("file:///")
    refusals = []
    for attempt in (mlflow.start_run, lambda: mlflow.set_tracking_uri("sqlite:///mlflow.db")):
        try:
            attempt()
        except mlflow.MlflowException as refused:
            refusals.append(str(refused))
    return refusals


def commands(uri: str) -> list[int]:
    from modelyard.__main__ import main

    os.environ["MODELYARD_TRACKING_URI"] = uri
    return [main(words.split()) for words in ("up", "down", "tokens list")]


if __name__ == "__main__":
    uri, folder = sys.argv[1:]
    assert asyncio  # imported while POSIX was there
    hide_posix()
    import_everything()
    found = {
        "predicted": round_trip(uri, folder),
        "refused": refusals_of_the_local_instance(),
        "exit codes": commands(uri),
    }
    sys.stderr.write(f"{json.dumps(found)}\n")
