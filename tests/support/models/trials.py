"""Loads forged files, and uses what is loaded, in children that may die of it.

A program of its own, because OpenMP's threads do not survive a fork: it starts with one.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from tests.support.models.fitted import Fitted, every_estimator, usual_models
from tests.support.models.forgeries import Forger
from tests.support.models.using import use

from modelyard.exceptions import ModelyardException
from modelyard.sklearn import _skops_file

_CPU_S = 5.0
_WALL_S = 120
_MEMORY = 3 << 30
_M_PERTURB = -6
"""`mallopt`: fill memory that is given out, and that is given back, with a byte."""

Job = tuple[str, int]
"""The name of a model, and the seed of what is changed in it."""


class Trials:
    """Forged files of all models, and what becomes of each."""

    def __init__(self, folder: Path, models: list[Fitted]) -> None:
        self._path = folder / "model.skops"
        self._data = {fitted.name: fitted.data for fitted in models}
        stored: dict[str, bytes] = {}
        for fitted in models:
            try:
                stored[fitted.name] = skops.io.dumps(fitted.model)
            except Exception:  # noqa: BLE001, S112 - skops does not know every type
                continue
        self.forger = Forger(stored)
        self.names = sorted(stored)
        self.loadable = [name for name in self.names if self._loaded(stored[name]) is not None]

    def _loaded(self, content: bytes) -> Any:
        self._path.write_bytes(content)
        try:
            return _skops_file.load(self._path)
        except ModelyardException:
            return None

    def run(self, jobs: list[Job], fill: int = 0) -> dict[Job, str]:
        """Return the outcome of each job; a child that is killed is followed by another.

        Args:
            jobs: Files to forge.
            fill: What fresh memory is filled with; answers must not depend on it.
        """
        outcomes: list[str] = []
        while len(outcomes) < len(jobs):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.close(reading)
                self._child(jobs[len(outcomes) :], fill, writing)
            os.close(writing)
            with os.fdopen(reading) as lines:
                outcomes += [line.strip() for line in lines]
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                killed = signal.Signals(os.WTERMSIG(status))
                slow = killed in {signal.SIGPROF, signal.SIGALRM}
                outcomes.append(f"{'hung' if slow else 'crashed'} {killed.name}")
            elif os.WEXITSTATUS(status):
                outcomes.append(f"crashed with exit status {os.WEXITSTATUS(status)}")
        return dict(zip(jobs, outcomes, strict=True))

    def _child(self, jobs: list[Job], fill: int, writing: int) -> None:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        ctypes.CDLL(None).mallopt(_M_PERTURB, fill)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = 3
        try:
            for job in jobs:
                signal.alarm(_WALL_S)
                signal.setitimer(signal.ITIMER_PROF, _CPU_S)
                os.write(writing, f"{self._outcome(job)}\n".encode())
            status = 0
        finally:
            os._exit(status)

    def _outcome(self, job: Job) -> str:
        np.random.seed(0)  # noqa: NPY002 - what scikit-learn takes where no state is given
        model = self._loaded(self.forger.forge(*job)[0])
        return "refused" if model is None else use(model, self._data[job[0]])


def report(trials: Trials, jobs: list[Job], *, compare: bool) -> dict[str, Any]:
    """Run jobs; return figures, and what is wrong with which file."""
    outcomes = trials.run(jobs)
    wrong = {job: said for job, said in outcomes.items() if said.startswith(("crashed", "hung"))}
    if compare:
        answered = [job for job, said in outcomes.items() if said.startswith("predicted")]
        for job, again in trials.run(answered, fill=0xA5).items():
            if again != outcomes[job]:
                wrong[job] = f"differs: {outcomes[job]}, {again}"
    return {
        "files": len(jobs),
        "models": len(trials.names),
        "loadable": len(trials.loadable),
        **Counter(said.split()[0] for said in outcomes.values()),
        "wrong": [
            f"{name} {seed}, {said}: {trials.forger.forge(name, seed)[1]}"
            for (name, seed), said in wrong.items()
        ],
    }


def run_program(files: int, *more: str) -> dict[str, Any]:
    """Run this module as a program, with `files` of each model that loads; return its report."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, "--files", str(files), *more],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--files", type=int, default=3, help="files of each model that loads")
    parser.add_argument("--models", default="", help="only models with this in their name")
    parser.add_argument("--keep", type=Path, help="folder for the files that are wrong")
    parser.add_argument("--compare", action="store_true", help="with other bytes in fresh memory")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), [*every_estimator(), *usual_models()])
        jobs = [
            (name, chosen.seed + number)
            for name in trials.names
            if chosen.models in name
            for number in range(chosen.files if name in trials.loadable else 1)
        ]
        found = report(trials, jobs, compare=chosen.compare)
        if chosen.keep:
            chosen.keep.mkdir(exist_ok=True)
            for line in found["wrong"]:
                name, _, seed = line.partition(",")[0].rpartition(" ")
                content = trials.forger.forge(name, int(seed))[0]
                (chosen.keep / f"{name}-{seed}.skops").write_bytes(content)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
