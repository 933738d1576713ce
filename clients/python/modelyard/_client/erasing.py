"""Erasing of personal data, for administrators."""

from __future__ import annotations

from typing import Any

from modelyard import _wire
from modelyard._client.calls import Calls
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.entities import Erasure

_TIMEOUT_S = 600.0


class Erasing(Calls):
    """Each method erases for good, and once: repeated, it erases nothing.

    With `dry_run`, the methods only report what they would do. The owner is the run, logged model
    or experiment of which exactly one id is given.
    """

    def erase_run(self, run_id: str, *, dry_run: bool = False) -> Erasure:
        """Erase a run, deleted or not, with everything that was logged to it.

        Raises:
            NotFound: There never was such a run.
        """
        return self._erase(run_id=run_id, dry_run=dry_run)

    def erase_logged_model(self, model_id: str, *, dry_run: bool = False) -> Erasure:
        """Erase a logged model, deleted or not, with its files.

        Raises:
            NotFound: There never was such a logged model.
        """
        return self._erase(model_id=model_id, dry_run=dry_run)

    def erase_experiment(self, experiment_id: str | int, *, dry_run: bool = False) -> Erasure:
        """Erase an experiment, deleted or not, with all of its runs and logged models.

        Raises:
            NotFound: There never was such an experiment.
            InvalidParameter: It is the experiment "0", Default.
        """
        return self._erase(experiment_id=str(experiment_id), dry_run=dry_run)

    def erase_param(
        self,
        key: str,
        *,
        run_id: str | None = None,
        model_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Erase a param of a run or logged model."""
        return self._erase(run_id=run_id, model_id=model_id, param=key, dry_run=dry_run)

    def erase_tag(
        self,
        key: str,
        *,
        run_id: str | None = None,
        model_id: str | None = None,
        experiment_id: str | int | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Erase a tag; with `mlflow.user` and `mlflow.runName` also the run's user and name."""
        number = None if experiment_id is None else str(experiment_id)
        return self._erase(
            run_id=run_id, model_id=model_id, experiment_id=number, tag=key, dry_run=dry_run
        )

    def erase_artifacts(
        self,
        path: str,
        *,
        run_id: str | None = None,
        model_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Erase a file or folder of a run or logged model, with the bytes if nothing else has them.

        Raises:
            InvalidParameter: The files at the path of a run belong to a logged model.
        """
        return self._erase(run_id=run_id, model_id=model_id, path=path, dry_run=dry_run)

    def erase_dataset(
        self,
        name: str,
        *,
        run_id: str | None = None,
        experiment_id: str | int | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Erase the inputs of a name of a run, or the datasets of a name of an experiment."""
        number = None if experiment_id is None else str(experiment_id)
        return self._erase(run_id=run_id, experiment_id=number, dataset=name, dry_run=dry_run)

    def _erase(self, **fields: Any) -> Erasure:
        request = pb.EraseDataRequest(**fields)
        return _wire.erasure(self._tracking(request, pb.EraseDataResponse, _TIMEOUT_S))
