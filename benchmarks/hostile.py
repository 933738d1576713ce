"""Time eight working clients with and without hostile peers on every port.

The services, `models serve` and each client run in processes of their own, with a token. The
clients call at a fixed rate; phases without and with peers alternate, so that a drift of the
machine affects both. The peers open calls and requests that never end, hold connections, and send
large requests, mostly without a token (tests/support/hostile/peers.py). Printed are the calls of
the clients, those that failed, the ratio of the 99th percentiles, and the memory of each process
beside its limit in deploy/kubernetes.

    python -m benchmarks.hostile [minutes]
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.hostile import peers
from tests.support.processes import service_processes, up_process

from modelyard.tracking import MlflowClient

CALLS_PER_S = 5.0
"""Rate of each client: the machine has idle time, so that clients do not wait for each other."""
PHASES = 4
"""Pairs of a phase without and a phase with peers."""
_P99 = 98
_SETTLES_S = 2.0

Calls: TypeAlias = list[tuple[str, float, str]]
"""Name, duration in seconds and error of each call; an empty text for none."""


@dataclass(frozen=True)
class Work:
    """What the clients use: addresses, a token, a run, and a model that is served."""

    url: str
    serving: str
    token: str
    run_id: str
    model: str


def _kinds(work: Work) -> dict[str, Callable[[], object]]:
    """Return the calls by name; each client makes one kind of them."""
    direct, edge = MlflowClient(), MlflowClient()
    steps = itertools.count()
    row = b'{"inputs": [[1.0]]}'
    return {
        "log_metric": lambda: direct.log_metric(work.run_id, "loss", 0.5, step=next(steps)),
        "get_run": lambda: direct.get_run(work.run_id),
        "search_runs": lambda: direct.search_runs(["0"], max_results=10),
        "resolve": lambda: direct.get_model_version(work.model, "1"),
        "create_run": lambda: direct.create_run("0"),
        "edge": lambda: _post(
            f"{work.url}/api/2.0/mlflow/runs/search", b'{"experiment_ids":["0"]}', work
        ),
        "log_text": lambda: edge.log_text(work.run_id, "a" * 100_000, f"{next(steps)}.txt"),
        "predict": lambda: _post(f"{work.serving}/invocations", row, work),
    }


def _post(url: str, body: bytes, work: Work) -> None:
    import urllib.request

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {work.token}"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - a URL of our own server
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - as above
        reply.read()


def _client(kind: str, work: Work, seconds: float, answers: Any) -> None:
    """Make one kind of call at the fixed rate, and report them all."""
    call = _kinds(work)[kind]
    made: Calls = []
    started = time.monotonic()
    for number in range(round(seconds * CALLS_PER_S)):
        time.sleep(max(0.0, started + number / CALLS_PER_S - time.monotonic()))
        if time.monotonic() > started + seconds:
            break  # calls took longer than they should, which their durations show
        began, error = time.monotonic(), ""
        try:
            call()
        except Exception as failed:  # noqa: BLE001 - any failure is a result here
            error = f"{type(failed).__name__}: {failed}"[:200]
        made.append((kind, time.monotonic() - began, error))
    answers.put(made[1:] if not made[0][2] else made)  # the first call connects


def _phase(work: Work, seconds: float, settings: Mapping[str, str]) -> Calls:
    """Run all clients at once, each in a process of its own, and return their calls."""
    os.environ.update(settings)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    clients = [
        context.Process(target=_client, args=(kind, work, seconds, answers))
        for kind in _kinds(work)
    ]
    for client in clients:
        client.start()
    calls: Calls = [call for _ in clients for call in answers.get()]
    for client in clients:
        client.join()
    return calls


@contextmanager
def _peers(targets: peers.Targets) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    began, stop = context.Event(), context.Event()
    attacking = context.Process(target=peers.attack, args=(targets, began, stop))
    attacking.start()
    began.wait()
    time.sleep(_SETTLES_S)  # so that their connections are there
    try:
        yield
    finally:
        stop.set()
        attacking.join()


@dataclass
class Memory:
    """The most memory that each process had, its children included, in MiB."""

    processes: Mapping[str, int]
    most: dict[str, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for name, pid in self.processes.items():
                self.most[name] = max(self.most.get(name, 0), resident_mib(pid))


def resident_mib(pid: int) -> int:
    """Return the resident memory of a process and its children; 0 if it ended."""
    folder = Path(f"/proc/{pid}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        children = (folder / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return 0
    own = pages * os.sysconf("SC_PAGE_SIZE") >> 20
    return own + sum(resident_mib(int(child)) for child in children)


def limits_mib() -> dict[str, int]:
    """Return the memory limits of the services in the manifests of Kubernetes."""
    from tests.support.processes import manifests

    units = {"Mi": 1, "Gi": 1024}
    limits = {}
    rendered = manifests.rendered("base") + manifests.rendered("model-server")
    for workload in manifests.workloads(rendered):
        text = manifests.container(workload)["resources"]["limits"]["memory"]
        limits[workload["metadata"]["name"]] = int(text[:-2]) * units[text[-2:]]
    return limits


def _prepared(running: service_processes.Installation) -> tuple[str, str]:
    """Make a run and a model of it; return the run's id and the token of a viewer."""
    from sklearn.linear_model import LinearRegression  # here, as each client imports this module

    import modelyard
    import modelyard.sklearn

    with modelyard.start_run() as run:
        logged = modelyard.sklearn.log_model(
            LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), "m"
        )
    modelyard.register_model(logged.model_uri, "line")
    made = subprocess.run(
        up_process.command("tokens", "create", "--name", "reader", "--role", "viewer"),
        env=up_process.environment(**running.client),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.info.run_id, made.stdout.strip()


def _targets(running: service_processes.Installation, serving: int, viewer: str) -> peers.Targets:
    """Return all ports, each with an RPC or a path that takes a request."""
    api = "/modelyard.api"
    rpcs = {
        "tracking": f"{api}.tracking.v1.TrackingService/GetRun",
        "registry": f"{api}.registry.v1.RegistryService/ResolveModel",
        "serving": f"{api}.serving.v1.ServingService/GetEndpoint",
    }
    edge = "/api/2.0/mlflow/runs/log-batch"
    monitoring = [
        (int(service.ready_line.rpartition(":")[2]), "/readyz")
        for service in running.services.values()
    ]
    return peers.Targets(
        [(_port(running.services[role].address), rpc) for role, rpc in rpcs.items()],
        [
            (_port(running.services["gateway"].address), edge),
            (serving, "/invocations"),
            *monitoring,
        ],
        viewer,
    )


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def report(quiet: Calls, hostile: Calls, memory: Memory) -> int:
    """Print the tables, and return the number of failed calls."""
    print(f"{'':<14}{'calls':>8}{'failed':>8}{'p50':>8}{'p99':>8}   ratios, hostile / quiet")
    for kind in dict.fromkeys(name for name, _, _ in quiet):
        mine = [call for call in hostile if call[0] == kind]
        quiet_s, hostile_s = (
            statistics.quantiles([s for k, s, _ in calls if k == kind], n=100)
            for calls in (quiet, hostile)
        )
        failed = sum(bool(error) for _, _, error in mine)
        print(
            f"{kind:<14}{len(mine):>8}{failed:>8}{hostile_s[49] / quiet_s[49]:>8.2f}"
            f"{hostile_s[_P99] / quiet_s[_P99]:>8.2f}   p99 {quiet_s[_P99] * 1000:.0f} -> "
            f"{hostile_s[_P99] * 1000:.0f} ms"
        )
    before, after = (
        statistics.quantiles([s for _, s, _ in calls], n=100)[_P99] for calls in (quiet, hostile)
    )
    print(f"{'all':<14}{len(hostile):>8}{'':>8}{'':>8}{after / before:>8.2f}")
    limits = limits_mib()
    for name, most in memory.most.items():
        limit = limits["iris" if name == "models serve" else name]  # the manifest of an example
        print(f"{name:<14}{most:>8} MiB at most, limit {limit} MiB")
    errors = [error for _, _, error in quiet + hostile if error]
    for error in dict.fromkeys(errors):
        print(f"failed: {error} ({errors.count(error)} times)")
    return len(errors)


def main(minutes: float = 10.0) -> int:
    from tests.support.platforms import serving_parts  # imports scikit-learn, as above

    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        token = service_processes.TOKEN
        running = stack.enter_context(service_processes.installation(folder, token=token))
        settings = running.client | {
            "MODELYARD_CACHE": str(folder / "cache"),
            "MODELYARD_LOG_LEVEL": "ERROR",
            "MODELYARD_TIMEOUT_S": "10",
            "MODELYARD_QUIET": "1",
        }
        os.environ.update(settings)
        run_id, viewer = _prepared(running)
        serving = stack.enter_context(serving_parts.serving("models:/line/1", **settings))
        work = Work(running.url, f"http://127.0.0.1:{serving.port}", token, run_id, "line")
        processes = {role: service.process.pid for role, service in running.services.items()}
        memory = Memory(processes | {"models serve": serving.process.pid})
        targets = _targets(running, serving.port, viewer)
        seconds = minutes * 60 / PHASES
        quiet: Calls = []
        hostile: Calls = []
        with memory:
            for _ in range(PHASES):
                quiet += _phase(work, seconds / 4, settings)
                with _peers(targets):
                    hostile += _phase(work, seconds, settings)
        return report(quiet, hostile, memory)


if __name__ == "__main__":
    sys.exit(1 if main(*map(float, sys.argv[1:])) else 0)
