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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.feature_extraction import DictVectorizer
from tests.support.models import reaching_out
from tests.support.models.fitted import (
    RECORDS,
    Fitted,
    every_estimator,
    round_trips,
    usual_models,
)
from tests.support.models.forgeries import Forger
from tests.support.models.guarded import guarded_arrays
from tests.support.models.unchanged import changed_answers
from tests.support.models.using import alike, answers

from modelyard.exceptions import ModelyardException
from modelyard.sklearn import _skops_file

_CPU_S = 5.0
_GUARDED_CPU_S = 60.0
_WALL_S = 300
_MEMORY = 3 << 30
_UNCHECKED_FILES = 40
_LIBC = ctypes.CDLL(None)
_M_PERTURB = -6
"""`mallopt`: fill memory that is given out, and that is given back, with a byte."""
_M_MMAP_THRESHOLD = -3
"""`mallopt`: from which size on memory comes from the kernel, which fills it with zeros."""
_OTHER_BYTE = 0xA5

Job = tuple[str, int]
"""The name of a model, and the seed of what is changed in it."""


class Trials:
    """Forged files of all models, and what becomes of each."""

    def __init__(
        self, folder: Path, models: list[Fitted], load: Callable[[Path], Any] = _skops_file.load
    ) -> None:
        self._path = folder / "model.skops"
        self._load = load
        self._data = {fitted.name: fitted.data for fitted in models}
        self.round_trips = round_trips(models, folder)
        self.forger = Forger(self.round_trips.stored)

    def run(self, jobs: list[Job], *, compare: bool = False) -> dict[Job, str]:
        """Return the outcome of each job; a child that is killed is followed by another.

        Args:
            jobs: Files to forge.
            compare: Whether each is used twice, the second time with pages behind its arrays that
                kill who reads them, and with other bytes in fresh memory; an answer that depends
                on those was read outside of an array.
        """
        outcomes: list[str] = []
        while len(outcomes) < len(jobs):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.close(reading)
                self._child(jobs[len(outcomes) :], writing, compare=compare)
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

    def _child(self, jobs: list[Job], writing: int, *, compare: bool) -> None:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        _LIBC.mallopt(_M_MMAP_THRESHOLD, _MEMORY // 2)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = 3
        try:
            for job in jobs:
                signal.alarm(_WALL_S)
                signal.setitimer(signal.ITIMER_PROF, _CPU_S)
                os.write(writing, f"{self._outcome(job, compare=compare)}\n".encode())
            status = 0
        finally:
            os._exit(status)

    def _outcome(self, job: Job, *, compare: bool) -> str:
        self._path.write_bytes(self.forger.forge(*job)[0])
        try:
            found = self._answers(job)
            if compare:
                _LIBC.mallopt(_M_PERTURB, _OTHER_BYTE)
                signal.setitimer(signal.ITIMER_PROF, _GUARDED_CPU_S)
                with guarded_arrays():
                    again = self._answers(job)
                _LIBC.mallopt(_M_PERTURB, 0)
                if not alike(found, again):
                    return "differs"
        except ModelyardException:
            return "refused"
        return "raised" if all(isinstance(answer, str) for answer in found) else "predicted"

    def _answers(self, job: Job) -> list[Any]:
        np.random.seed(0)  # noqa: NPY002 - what scikit-learn takes where no state is given
        return answers(self._load(self._path), self._data[job[0]])


def _figures(trials: Trials, jobs: list[Job], *, compare: bool) -> dict[str, Any]:
    """Run jobs; return how many had which outcome, and what is wrong with which file."""
    outcomes = trials.run(jobs, compare=compare)
    right = ("refused", "raised", "predicted")
    wrong = {job: outcome for job, outcome in outcomes.items() if outcome not in right}
    return {
        "files": len(jobs),
        "estimators": len({name for name, _ in jobs}),
        **Counter(said.split()[0] for said in outcomes.values()),
        "wrong": [
            f"{name} {seed}, {said}: {trials.forger.forge(name, seed)[1]}"
            for (name, seed), said in wrong.items()
        ],
    }


def _unchecked(path: Path) -> Any:
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def _killed_without_checks(folder: Path) -> int:
    """Return how many files kill a process that loads them without our checks."""
    vectorizer = DictVectorizer().fit(RECORDS)
    trials = Trials(folder, [Fitted("unchecked", vectorizer, RECORDS)], load=_unchecked)
    outcomes = trials.run([("unchecked", seed) for seed in range(_UNCHECKED_FILES)])
    return sum(said.startswith("crashed") for said in outcomes.values())


def run_program(*arguments: str) -> dict[str, Any]:
    """Run this module as a program; return its report."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _keep(trials: Trials, wrong: list[str], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for line in wrong:
        name, _, seed = line.partition(",")[0].rpartition(" ")
        (folder / f"{name}-{seed}.skops").write_bytes(trials.forger.forge(name, int(seed))[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--files", type=int, default=1, help="files of each model that loads")
    parser.add_argument("--models", default="", help="only models with this in their name")
    parser.add_argument("--every", type=int, default=1, help="forge files of each N-th model only")
    parser.add_argument("--keep", type=Path, help="folder for the files that are wrong")
    parser.add_argument("--compare", action="store_true", help="with other bytes in fresh memory")
    chosen = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("OMP_NUM_THREADS must be 1: threads do not survive a fork")
    warnings.simplefilter("ignore")
    public, usual = list(every_estimator()), list(usual_models())
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), public + usual)
        tripped = trials.round_trips
        jobs = [
            (name, chosen.seed + number)
            for name in sorted(tripped.stored)[chosen.seed % chosen.every :: chosen.every]
            if chosen.models in name
            for number in range(chosen.files if name in tripped.loaded else 1)
        ]
        loadable = [fitted for fitted in public + usual if fitted.name in tripped.loaded]
        tried, accepted = reaching_out.accepted(loadable, Path(folder))
        found = {
            **_figures(trials, jobs, compare=chosen.compare),
            "loaded": [fitted.name for fitted in loadable],
            "refused_unchanged": tripped.refused,
            "changed_answers": changed_answers(
                loadable[chosen.seed % chosen.every :: chosen.every], tripped.stored, Path(folder)
            ),
            "hostile_parameters": tried,
            "accepted_parameters": accepted,
            "killed_without_checks": _killed_without_checks(Path(folder)),
        }
        if chosen.keep:
            _keep(trials, found["wrong"], chosen.keep)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
