"""Experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard import _wire
from modelyard._client.calls import Calls, view_name
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.entities import Experiment, PagedList, ViewType
from modelyard.exceptions import NotFound


class Experiments(Calls):
    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> str:
        """Create an experiment and return its id.

        Args:
            name: Unique name of at most 500 characters; a deleted experiment keeps its name.
            artifact_location: Must be None; Modelyard decides where bytes are stored.
            tags: Tags of the experiment; values are converted to text.

        Raises:
            AlreadyExists: The name is taken.
            InvalidParameter: The name is invalid, or a location is given.
        """
        request = pb.CreateExperimentRequest(
            name=name,
            artifact_location=artifact_location,
            tags=[pb.ExperimentTag(key=k, value=str(v)) for k, v in (tags or {}).items()],
        )
        return self._tracking(request, pb.CreateExperimentResponse).experiment_id

    def get_experiment(self, experiment_id: str | int) -> Experiment:
        """Return an experiment, active or deleted.

        Raises:
            NotFound: The experiment does not exist.
        """
        request = pb.GetExperimentRequest(experiment_id=str(experiment_id))
        return _wire.experiment(self._tracking(request, pb.GetExperimentResponse).experiment)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, active or deleted; None if it does not exist."""
        request = pb.GetExperimentByNameRequest(experiment_name=name)
        try:
            reply = self._tracking(request, pb.GetExperimentByNameResponse)
        except NotFound:
            return None
        return _wire.experiment(reply.experiment)

    def search_experiments(
        self,
        view_type: ViewType | int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments that match a filter.

        Args:
            view_type: A `ViewType`; active experiments by default.
            max_results: Maximum number of experiments on the page, 1 to 50,000.
            filter_string: Filter such as `name LIKE 'iris%' AND tags.team = 'ds'`.
            order_by: Columns such as `["creation_time DESC"]`.
            page_token: `token` of the previous page.
        """
        request = pb.SearchExperimentsRequest(
            max_results=max_results,
            page_token=page_token,
            filter=filter_string,
            order_by=order_by,
            view_type=view_name(view_type),
        )
        reply = self._tracking(request, pb.SearchExperimentsResponse)
        found = [_wire.experiment(item) for item in reply.experiments]
        return PagedList(found, reply.next_page_token or None)

    def rename_experiment(self, experiment_id: str | int, new_name: str) -> None:
        """Rename an active experiment."""
        request = pb.UpdateExperimentRequest(experiment_id=str(experiment_id), new_name=new_name)
        self._tracking(request, pb.UpdateExperimentResponse)

    def delete_experiment(self, experiment_id: str | int) -> None:
        """Delete an experiment with its runs; `restore_experiment` restores them."""
        request = pb.DeleteExperimentRequest(experiment_id=str(experiment_id))
        self._tracking(request, pb.DeleteExperimentResponse)

    def restore_experiment(self, experiment_id: str | int) -> None:
        """Restore a deleted experiment with the runs that were deleted with it."""
        request = pb.RestoreExperimentRequest(experiment_id=str(experiment_id))
        self._tracking(request, pb.RestoreExperimentResponse)

    def set_experiment_tag(self, experiment_id: str | int, key: str, value: Any) -> None:
        """Set a tag of an experiment; the value is converted to text, at most 20,000 characters."""
        request = pb.SetExperimentTagRequest(
            experiment_id=str(experiment_id), key=key, value=str(value)
        )
        self._tracking(request, pb.SetExperimentTagResponse)

    def delete_experiment_tag(self, experiment_id: str | int, key: str) -> None:
        """Delete a tag of an experiment.

        Raises:
            NotFound: The experiment has no such tag.
        """
        request = pb.DeleteExperimentTagRequest(experiment_id=str(experiment_id), key=key)
        self._tracking(request, pb.DeleteExperimentTagResponse)
