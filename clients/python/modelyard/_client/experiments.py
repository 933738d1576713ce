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
            name: At most 500 characters; taken names stay taken after deletion.
            artifact_location: None; Modelyard decides where bytes are kept.
            tags: Values are turned to text.

        Raises:
            AlreadyExists: The name is taken.
            InvalidParameter: The name or the location is not allowed.
        """
        request = pb.CreateExperimentRequest(
            name=name,
            artifact_location=artifact_location,
            tags=[pb.ExperimentTag(key=k, value=str(v)) for k, v in (tags or {}).items()],
        )
        return self._tracking(request, pb.CreateExperimentResponse).experiment_id

    def get_experiment(self, experiment_id: str | int) -> Experiment:
        """Return an experiment, also a deleted one.

        Raises:
            NotFound: There is none.
        """
        request = pb.GetExperimentRequest(experiment_id=str(experiment_id))
        return _wire.experiment(self._tracking(request, pb.GetExperimentResponse).experiment)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, also a deleted one; None if there is none."""
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
            view_type: A `ViewType`.
            max_results: 1 to 50,000.
            filter_string: Such as `name LIKE 'iris%' AND tags.team = 'ds'`.
            order_by: Such as `["creation_time DESC"]`.
            page_token: The `token` of the page before.
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
        """Delete an experiment with its runs; `restore_experiment` brings them back."""
        request = pb.DeleteExperimentRequest(experiment_id=str(experiment_id))
        self._tracking(request, pb.DeleteExperimentResponse)

    def restore_experiment(self, experiment_id: str | int) -> None:
        """Restore a deleted experiment with the runs that were deleted with it."""
        request = pb.RestoreExperimentRequest(experiment_id=str(experiment_id))
        self._tracking(request, pb.RestoreExperimentResponse)

    def set_experiment_tag(self, experiment_id: str | int, key: str, value: Any) -> None:
        """Set a tag of at most 20,000 characters."""
        request = pb.SetExperimentTagRequest(
            experiment_id=str(experiment_id), key=key, value=str(value)
        )
        self._tracking(request, pb.SetExperimentTagResponse)

    def delete_experiment_tag(self, experiment_id: str | int, key: str) -> None:
        """Delete a tag.

        Raises:
            NotFound: There is no such tag.
        """
        request = pb.DeleteExperimentTagRequest(experiment_id=str(experiment_id), key=key)
        self._tracking(request, pb.DeleteExperimentTagResponse)
