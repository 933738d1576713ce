"""Time the hot RPCs beside their floor, on SQLite and on PostgreSQL.

The floor of a read is an empty unary call to a bare gRPC server; the floor of a write is that call
with one durable commit of one small row in the same database. Tracking, registry and gateway run in
their own processes, and so does the floor; calls to floor and product alternate, so that a drift of
the machine affects both. Quote the ratios. PostgreSQL comes from the tests, with its data on disk.

From 8 threads of one client, each with a run of its own, rounds of 200 calls alternate; the share
is of the floor's rate. The floor has 8 threads as well: SQLite's writes share a connection,
PostgreSQL's have one each.

    python -m benchmarks.rpc [rounds] [sqlite|postgresql] [name of an RPC ...]
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Sequence

from benchmarks.measuring import compare, compare_rates, parts
from benchmarks.platforms import Platform, each_database, log_model, make_run

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2

ROUNDS = 500
_PER_ROUND_OF_RATES = 50


class Calls:
    """The hot RPCs by the generated stubs, and what they need.

    Args:
        platform: Where they go. Its database gets a run, and a model with two versions.
    """

    def __init__(self, platform: Platform) -> None:
        self._tracking, self._registry = platform.tracking, platform.registry
        self._run_id = make_run(platform.tracking)
        source = log_model(platform.to_tracking, self._run_id)
        self._registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name="iris"))
        create = registry_pb2.CreateModelVersionRequest(name="iris", source=source)
        versions = [
            self._registry.CreateModelVersion(create).model_version.version for _ in range(2)
        ]
        self._own = threading.local()
        self._steps = itertools.count()
        self._next_version = itertools.cycle(versions)
        self.transition()

    def log_metric(self) -> None:
        self._log_to(self._run_id)

    def log_metric_to_own_run(self) -> None:
        """Log to the run of this thread."""
        if not hasattr(self._own, "run_id"):
            self._own.run_id = make_run(self._tracking)
        self._log_to(self._own.run_id)

    def _log_to(self, run_id: str) -> None:
        self._tracking.LogMetric(
            tracking_pb2.LogMetricRequest(
                run_id=run_id, key="loss", value=0.5, timestamp=1, step=next(self._steps)
            )
        )

    def create_run(self) -> None:
        request = tracking_pb2.CreateRunRequest(experiment_id="0", start_time=1)
        self._tracking.CreateRun(request, metadata=_new_key())

    def transition(self) -> None:
        self._registry.TransitionModelVersionStage(
            registry_pb2.TransitionModelVersionStageRequest(
                name="iris", version=next(self._next_version), stage="Production"
            ),
            metadata=_new_key(),
        )

    def get_run(self) -> None:
        self._tracking.GetRun(tracking_pb2.GetRunRequest(run_id=self._run_id))

    def resolve(self) -> None:
        uri = "models:/iris/Production"
        self._registry.ResolveModel(registry_pb2.ResolveModelRequest(uri=uri))


def _new_key() -> tuple[tuple[str, str]]:
    """Return an idempotency key, which clients send with calls that are not idempotent."""
    return (("idempotency-key", os.urandom(16).hex()),)


def measure(platform: Platform, rounds: int, asked: Sequence[str]) -> None:
    """Print the tables of one database; of the RPCs that are asked for, if any."""
    calls = Calls(platform)
    writes: list[Callable[[], None]] = [calls.log_metric, calls.create_run, calls.transition]
    reads: list[Callable[[], None]] = [calls.get_run, calls.resolve]
    floors = [(call, "commit", platform.commit) for call in writes]
    floors += [(call, "empty call", platform.empty) for call in reads]
    names = {call.__name__ for call, _, _ in floors}
    chosen = [row for row in floors if row[0].__name__ in (names & set(asked) or names)]
    print(
        f"{platform.database + ', median of ' + str(rounds):<34}{'ms':>9}{'floor':>9}{'ratio':>8}"
    )
    for call, kind, floor in chosen:
        compare(f"{call.__name__} / {kind}", call, floor, rounds)
    print(f"{'calls per second of 8 threads':<34}{'ours':>9}{'floor':>9}{'share':>8}")
    from_threads = {calls.log_metric: calls.log_metric_to_own_run, calls.get_run: calls.get_run}
    for call, kind, floor in chosen:
        if call in from_threads:
            name = f"{call.__name__} / {kind}"
            asked_rounds = max(rounds // _PER_ROUND_OF_RATES, 1)
            compare_rates(name, from_threads[call], floor, asked_rounds)
    print()


if __name__ == "__main__":
    rounds, asked = parts(sys.argv[1:], ROUNDS)
    for platform in each_database(asked):
        measure(platform, rounds, asked)
