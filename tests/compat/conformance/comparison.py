"""Sends every request to both servers in parallel, and collects the answers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat import running
from tests.compat.conformance import every
from tests.compat.conformance.door import Case, Door
from tests.compat.conformance.normal import plain
from tests.compat.conformance.servers import VERSION
from tests.compat.conformance.things import SHARED, THINGS

Address = tuple[str, int]


@dataclass(frozen=True)
class Comparison:
    """Answers of MLflow's server and of ours, by the name of a case or of a method's probe.

    Attributes:
        refusals: Bodies of our refusals.
    """

    theirs: Mapping[str, Any]
    ours: Mapping[str, Any]
    refusals: Sequence[bytes] = ()

    @property
    def differing(self) -> set[str]:
        return {name for name in self.theirs if self.theirs[name] != self.ours[name]}

    @property
    def results(self) -> set[str]:
        """Names of the requests that both accept and answer differently."""
        return {
            name
            for name in self.differing
            if _accepted(self.theirs[name]) and _accepted(self.ours[name])
        }


def _accepted(answer: Any) -> bool:
    if isinstance(answer, list):  # of a case: the request, then those that read its effect
        return bool(answer[0]["status"] == http.client.OK)
    return "raises" not in answer


def of_routes(theirs: Address, ours: Address) -> Comparison:
    cases = every.cases()
    (their_answers, _), (our_answers, refusals) = _both(
        lambda address: _answers(address, cases), theirs, ours
    )
    return Comparison(their_answers, our_answers, refusals)


def of_methods(theirs: Address, ours: Address, folder: Path) -> Comparison:
    """Run the probes of the client's methods against both, each in a folder of its own."""
    outcomes = _both(lambda address: _outcomes(address, folder), theirs, ours)
    return Comparison(*outcomes)


def _both(ask: Callable[[Address], Any], *addresses: Address) -> list[Any]:
    with ThreadPoolExecutor(len(addresses)) as threads:
        return list(threads.map(ask, addresses))


def _answers(address: Address, cases: Sequence[Case]) -> tuple[dict[str, Any], list[bytes]]:
    door = Door(address, THINGS, SHARED)
    try:
        answers = {case.name: door.answers(case, number) for number, case in enumerate(cases)}
        return answers, door.refusals
    finally:
        door.close()


def _outcomes(address: Address, folder: Path) -> dict[str, Any]:
    host, port = address
    own = folder / str(port)
    own.mkdir()
    env = running.variables(f"http://{host}:{port}", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    printed = running.run(VERSION, "-m", "tests.compat.conformance.client", env=env, cwd=own)
    found: Mapping[str, list[Any]] = json.loads(printed)
    return {
        f"{method}: {number}": plain(outcome)
        for method, outcomes in found.items()
        for number, outcome in enumerate(outcomes)
    }
