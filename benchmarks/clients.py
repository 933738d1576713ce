"""Time the same calls of users with our SDK and with MLflow's client, against both servers.

Four columns: our SDK and our server over gRPC; MLflow's client and our server over HTTP; MLflow's
client and MLflow's server as `mlflow server` starts it, with 4 workers; the same with 1 worker,
which answers a single caller sooner. They alternate call by call, from 8 threads in rounds of 80
calls, so that a drift of the machine affects all. Each client is a process of its own, and each
call is the same method with the same arguments. All servers keep their rows in SQLite and their
artifacts in a folder. The factors are MLflow's time by ours.

The counts are of requests that a client sends: HTTP requests of MLflow's client, RPCs and transfers
of ours.

    make clients && python -m benchmarks.clients [rounds] [name of a call ...]
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.measuring import parts

ROOT = Path(__file__).parent.parent
MLFLOW = ROOT / ".cache" / "clients" / "mlflow-3.17" / "bin"
CALLS = str(ROOT / "benchmarks" / "client_calls.py")
QUICK = (
    "log_metric",
    "log_batch",
    "create_run",
    "get_run",
    "search_runs",
    "metric_history",
    "transition",
    "version_by_alias",
)
SLOW = ("log_and_register", "load_by_alias")
ROUNDS = 100
SHARED = ("log_metric", "get_run", "transition")
FACTORS = f"{'MLflow/SDK':>13}{'1/SDK':>13}{'1/client':>13}"
THREADS, CALLS_OF_THREAD = 8, 10
WARM_UP = 3
SLOW_ROUNDS = 5
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


def start_mlflow(stack: ExitStack, folder: str, *options: str) -> str:
    port = free_port()
    Path(folder).mkdir()
    command = [str(MLFLOW / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", f"{folder}/artifacts", *options]
    stack.enter_context(running(command, folder, Path(folder) / "mlflow.log"))
    return f"http://127.0.0.1:{port}"


def start_modelyard(stack: ExitStack, folder: str) -> str:
    port = free_port()
    command = [sys.executable, "-m", "modelyard_server", "up", "--home", f"{folder}/home"]
    command += ["--port", str(port), "--grpc-port", "0"]
    log = Path(folder) / "modelyard.log"
    stack.enter_context(running(command, folder, log, MODELYARD_LOG_LEVEL="INFO"))
    return f"http://127.0.0.1:{port}"


class Client:
    """A process that makes calls with one client.

    Args:
        package: "mlflow" or "modelyard".
        folder: Its home.
        uris: Addresses of servers.
    """

    def __init__(self, package: str, folder: str, *uris: str) -> None:
        python = str(MLFLOW / "python") if package == "mlflow" else sys.executable
        self._process = subprocess.Popen(
            [python, "-P", CALLS, package, *uris],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(folder),
        )

    def make(self, name: str, door: int = 0, times: int = 1, threads: int = 1) -> float:
        """Return the seconds a call takes at one address, the mean of `times` calls of a thread."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("the client has no pipes")
        print(name, door, times, threads, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the client failed in {name}")
        taken: list[float] = json.loads(answer)
        return max(taken) / times

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def print_times(sdk: Client, mlflow: Client, rounds: int, asked: Sequence[str]) -> None:
    doors = [(sdk, 0), (mlflow, 0), (mlflow, 1), (mlflow, 2)]

    def medians(name: str, rounds: int, threads: int, times: int) -> list[float]:
        for client, door in doors:
            client.make(name, door, WARM_UP)
        taken = [[c.make(name, door, times, threads) for c, door in doors] for _ in range(rounds)]
        return [statistics.median(column) for column in zip(*taken, strict=True)]

    title = f"median ms of {rounds}"
    print(f"{title:<24}{'SDK':>9}{'client':>9}{'MLflow':>9}{'1 worker':>9}{FACTORS}")
    for name in [n for n in QUICK + SLOW if n in asked or not asked]:
        found = medians(name, rounds if name in QUICK else SLOW_ROUNDS, 1, 1)
        print_row(name, [seconds * 1000 for seconds in found], found)
    print("calls per second of 8 threads")
    for name in [n for n in SHARED if n in asked or not asked]:
        found = medians(name, max(rounds // CALLS_OF_THREAD, 1), THREADS, CALLS_OF_THREAD)
        print_row(name, [THREADS / seconds for seconds in found], found)


def print_row(name: str, shown: list[float], seconds: list[float]) -> None:
    ours, edge, theirs, one = seconds
    factors = (theirs / ours, one / ours, one / edge)
    columns = [f"{value:>9.2f}" for value in shown] + [f"{factor:>11.1f} x" for factor in factors]
    print(f"{name:<24}{''.join(columns)}", flush=True)


def print_counts(sdk: Client, mlflow: Client, folder: str, uri: str) -> None:
    log = Path(folder) / "modelyard.log"
    print(f"\n{'requests on the wire':<24}{'SDK':>9}{'client':>9}")
    for name in SLOW:
        ours = counted(lambda: sdk.make(name), uri, log, {"http", "rpc"})  # noqa: B023 - called at once
        theirs = counted(lambda: mlflow.make(name), uri, log, {"http"})  # noqa: B023 - as above
        print(f"{name:<24}{ours:>9}{theirs:>9}")


def counted(call: Callable[[], object], uri: str, log: Path, kinds: set[str]) -> int:
    """Return the number of log lines of these kinds that a call causes."""
    before = requests_so_far(uri, log, kinds)
    call()
    return requests_so_far(uri, log, kinds) - before


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


def main(arguments: Sequence[str]) -> None:
    rounds, asked = parts(arguments, ROUNDS)
    if not MLFLOW.exists():
        raise SystemExit("MLflow's clients are not installed: make clients")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        theirs = start_mlflow(stack, f"{folder}/mlflow")
        single = start_mlflow(stack, f"{folder}/single", "--workers", "1")
        ours = start_modelyard(stack, folder)
        for uri in (ours, theirs, single):
            wait_until_healthy(uri)
        sdk = stack.enter_context(closing(Client("modelyard", folder, ours)))
        mlflow = stack.enter_context(closing(Client("mlflow", folder, ours, theirs, single)))
        print_times(sdk, mlflow, rounds, asked)
        if not asked:
            print_counts(sdk, mlflow, folder, ours)


if __name__ == "__main__":
    main(sys.argv[1:])
