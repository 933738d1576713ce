"""Time MLflow's own client against its server and against ours, and count the requests.

Both servers keep their rows in SQLite and their artifacts in a folder. The client runs in one
process and alternates between them, so that a drift of the machine affects both. The counts are of
requests that a client sends: HTTP requests of MLflow's client, RPCs and transfers of ours.

    make clients && python -m benchmarks.clients [rounds]
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.client_calls import SLOW, WARM_UP

ROOT = Path(__file__).parent.parent
MLFLOW = ROOT / ".cache" / "clients" / "mlflow-3.17" / "bin"
CALLS = str(ROOT / "benchmarks" / "client_calls.py")
START_TIMEOUT_S = 60
BETWEEN_SERVICES = ("SealManifest",)
MARK = "/version"


def environment(folder: str) -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "HOME": folder}
    ours = ("MODELYARD_", "MLFLOW_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | quiet


@contextmanager
def running(command: list[str], folder: str, log: Path, **variables: str) -> Iterator[None]:
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment(folder) | variables,
            cwd=folder,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_healthy(uri: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(f"{uri}/health").close()  # noqa: S310 - our own address
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)  # the two servers have no common ready signal
        else:
            return


def start_mlflow(stack: ExitStack, folder: str) -> str:
    port = free_port()
    command = [str(MLFLOW / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", f"{folder}/artifacts", "--workers", "1"]
    stack.enter_context(running(command, folder, Path(folder) / "mlflow.log"))
    return f"http://127.0.0.1:{port}"


def start_modelyard(stack: ExitStack, folder: str) -> str:
    port = free_port()
    command = [sys.executable, "-m", "modelyard_server", "up", "--home", f"{folder}/home"]
    command += ["--port", str(port), "--grpc-port", "0"]
    log = Path(folder) / "modelyard.log"
    stack.enter_context(running(command, folder, log, MODELYARD_LOG_LEVEL="INFO"))
    return f"http://127.0.0.1:{port}"


def print_times(folder: str, rounds: int, ours: str, theirs: str) -> None:
    command = [str(MLFLOW / "python"), "-P", CALLS, "mlflow", str(rounds), ours, theirs]
    done = subprocess.run(command, env=environment(folder), stdout=subprocess.PIPE, check=True)
    print(f"{'median, MLflow 3.17 client':<28}{'ours ms':>9}{'theirs':>9}{'ratio':>8}")
    # The client prints to the same stream.
    for name, pairs in json.loads(done.stdout.splitlines()[-1]).items():
        kept = pairs[1 if name in SLOW else WARM_UP :]
        here, there = (statistics.median(times) * 1000 for times in zip(*kept, strict=True))
        ratio = statistics.median(a / b for a, b in kept)
        print(f"{name:<28}{here:>9.2f}{there:>9.2f}{ratio:>8.2f}")


def print_counts(folder: str, uri: str) -> None:
    log = Path(folder) / "modelyard.log"
    theirs = counted([str(MLFLOW / "python"), "-P", CALLS, "mlflow"], uri, log, {"http"})
    ours = counted([sys.executable, "-P", CALLS, "modelyard"], uri, log, {"http", "rpc"})
    print(f"\n{'requests on the wire':<28}{'ours':>9}{'MLflow':>9}")
    for name in SLOW:
        print(f"{name:<28}{ours[name]:>9}{theirs[name]:>9}")


def counted(command: list[str], uri: str, log: Path, kinds: set[str]) -> dict[str, int]:
    """Run each of the slow calls once; return the number of log lines of these kinds for each."""
    process = subprocess.Popen(
        [*command, "count", uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(str(log.parent)),
    )
    if process.stdin is None or process.stdout is None:
        raise SystemExit("the client has no pipes")
    marks: dict[str, list[int]] = {}
    for line in process.stdout:
        if line.strip() not in SLOW:
            continue  # the client prints to the same stream
        marks.setdefault(line.strip(), []).append(requests_so_far(uri, log, kinds))
        process.stdin.write("\n")
        process.stdin.flush()
    if process.wait():
        raise SystemExit("the client failed")
    return {name: after - before for name, (before, after) in marks.items()}


def requests_so_far(uri: str, log: Path, kinds: set[str]) -> int:
    """Return the number of client requests the server has logged, all of them answered."""
    written = log.read_text().count(MARK)
    urllib.request.urlopen(f"{uri}{MARK}").close()  # noqa: S310 - our own address
    while log.read_text().count(MARK) == written:
        time.sleep(0.01)  # a file written by another process offers no event
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(
        line["message"] in kinds
        and line.get("path") != MARK
        and not str(line.get("method", "")).endswith(BETWEEN_SERVICES)
        for line in lines
    )


def main(rounds: int = 100) -> None:
    if not MLFLOW.exists():
        raise SystemExit("MLflow's clients are not installed: make clients")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        theirs = start_mlflow(stack, folder)
        ours = start_modelyard(stack, folder)
        wait_until_healthy(ours)
        wait_until_healthy(theirs)
        print_times(folder, rounds, ours, theirs)
        print_counts(folder, ours)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
