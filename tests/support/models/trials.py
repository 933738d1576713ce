"""Loads forged files and uses what is loaded, in children that may die of it.

A program of its own: OpenMP's threads do not survive a fork, so it runs with one.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import itertools
import json
import os
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from scipy import sparse

from modelyard.exceptions import ModelyardException
from modelyard.sklearn import _skops_file
from tests.support.models.fitted import TABLE, Fitted, every_estimator, usual_models
from tests.support.models.forgeries import Forger

METHODS = [
    *("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"),
    *("decision_function", "score", "score_samples", "transform", "inverse_transform"),
    *("kneighbors", "radius_neighbors", "apply", "decision_path", "staged_predict"),
    *("get_support", "sample", "mahalanobis", "get_precision", "error_norm"),
]
"""What a loaded model is asked: what serving may call, and what users call."""
CPU_S = 5.0
MEMORY = 3 << 30
M_PERTURB = -6


def inputs_for(model: Any, data: Any) -> Iterator[Any]:
    """Yield input the estimator was fitted on, and input whose width it claims to take."""
    yield data
    yield data[:1]
    table = np.asarray(data) if isinstance(data, np.ndarray) else TABLE
    width = vars(model).get("n_features_in_")
    numeric = table.ndim == 2 and table.dtype.kind == "f"
    if numeric:
        yield np.where(table > table.mean(), 1e30, -1e9)
        yield np.tile(table, (40, 1)).astype(np.float32)
        yield sparse.csr_matrix(table)
    fits = isinstance(width, int | np.integer) and 0 < width < 2**31
    if fits and (table.ndim != 2 or table.shape[1] != width):
        if width <= 100_000:
            yield np.full((30, int(width)), 1.5)
        yield sparse.csr_matrix(([1.0], ([0], [int(width) - 1])), shape=(3, int(width)))


def use(model: Any, data: Any) -> str:
    """Call every method of prediction, and return a digest of the answers."""
    digest = hashlib.sha256()
    answered = 0
    for given in inputs_for(model, data):
        for name in METHODS:
            for arguments in ((given,), ()):
                try:
                    method = getattr(model, name, None)
                    if method is None:
                        break
                    answer = method(*arguments)
                    _digest(answer, digest)
                except Exception as refused:  # noqa: BLE001 - whatever Python raises is right
                    digest.update(type(refused).__name__.encode())
                    if not isinstance(refused, TypeError):
                        break
                else:
                    answered += 1
                    break
    return f"{'predicted' if answered else 'raised'} {digest.hexdigest()[:16]}"


def _digest(answer: Any, digest: Any) -> None:
    if sparse.issparse(answer):
        answer = answer.toarray()
    if isinstance(answer, Iterator):
        answer = list(itertools.islice(answer, 5))
    if isinstance(answer, list | tuple):
        for part in answer:
            _digest(part, digest)
        return
    array = np.asarray(answer)
    digest.update(str((array.shape, array.dtype)).encode())
    digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())


class Trials:
    """Forged files of all estimators, and what became of each."""

    def __init__(self, folder: Path, models: list[Fitted]) -> None:
        self._path = folder / "model.skops"
        self._data = {fitted.name: fitted.data for fitted in models}
        self._stored: dict[str, bytes] = {}
        for fitted in models:
            try:
                self._stored[fitted.name] = skops.io.dumps(fitted.model)
            except Exception:  # noqa: BLE001, S112 - skops does not know every type
                continue
        self.names = sorted(self._stored)
        self.forger = Forger(self._stored)

    def trusted(self) -> list[str]:
        """Return the models that load without `allow_pickle` as they are."""
        found = []
        for name in self.names:
            self._path.write_bytes(self._stored[name])
            try:
                _skops_file.load(self._path)
            except ModelyardException:
                continue
            found.append(name)
        return found

    def run(self, jobs: list[tuple[str, int]], perturb: int) -> list[str]:
        """Return the outcome of each job; a child that is killed is followed by another."""
        outcomes: list[str] = []
        while len(outcomes) < len(jobs):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.close(reading)
                self._child(jobs[len(outcomes) :], perturb, writing)
            os.close(writing)
            with os.fdopen(reading) as lines:
                outcomes += [line.strip() for line in lines if line.endswith("\n")]
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                killed = signal.Signals(os.WTERMSIG(status))
                slow = killed in {signal.SIGPROF, signal.SIGALRM}
                outcomes.append(f"{'hung' if slow else 'crashed'} {killed.name}")
            elif os.WEXITSTATUS(status):
                outcomes.append(f"crashed exit {os.WEXITSTATUS(status)}")
        return outcomes

    def _child(self, jobs: list[tuple[str, int]], perturb: int, writing: int) -> None:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        ctypes.CDLL(None).mallopt(M_PERTURB, perturb)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = 3
        try:
            for name, seed in jobs:
                np.random.seed(0)  # noqa: NPY002 - what scikit-learn takes by default
                signal.alarm(90)
                signal.setitimer(signal.ITIMER_PROF, CPU_S)
                outcome = self._outcome(name, seed)
                os.write(writing, f"{outcome}\n".encode())
            status = 0
        finally:
            os._exit(status)

    def _outcome(self, name: str, seed: int) -> str:
        forged, _ = self.forger.forge(name, seed)
        self._path.write_bytes(forged)
        try:
            model = _skops_file.load(self._path)
        except ModelyardException:
            return "refused"
        try:
            return use(model, self._data[name])
        except Exception as refused:  # noqa: BLE001 - properties fail too
            return f"raised {type(refused).__name__}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=3, help="files of each model")
    parser.add_argument("--models", help="a part of the names")
    parser.add_argument("--keep", type=Path, help="folder for files that killed")
    parser.add_argument("--compare", action="store_true", help="with other bytes in fresh memory")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), [*every_estimator(), *usual_models()])
        trusted = trials.trusted()
        names = [n for n in trials.names if not chosen.models or chosen.models in n]
        jobs = [
            (name, chosen.seed + number)
            for name in names
            for number in range(chosen.files if name in trusted else 1)
        ]
        outcomes = trials.run(jobs, 0)
        bad = {}
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.startswith(("crashed", "hung")):
                bad[job] = outcome
        if chosen.compare:
            quiet = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome.startswith("predicted")]
            before = dict(zip(jobs, outcomes, strict=True))
            for job, outcome in zip(quiet, trials.run(quiet, 0xA5), strict=True):
                if outcome != before[job]:
                    bad[job] = f"differs {before[job]} {outcome}"
        for (name, seed), outcome in bad.items():
            forged, change = trials.forger.forge(name, seed)
            print(f"{outcome}: {name} {seed}: {change}")
            if chosen.keep:
                chosen.keep.mkdir(exist_ok=True)
                (chosen.keep / f"{name}-{seed}.skops").write_bytes(forged)
        counts = Counter(outcome.split()[0] for outcome in outcomes)
        print(json.dumps({"files": len(jobs), "models": len(names), "loadable": len(trusted), **counts}))


if __name__ == "__main__":
    main(sys.argv[1:])
