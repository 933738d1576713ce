"""Logged models: what runs wrote, before any registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard import _wire
from modelyard._client.calls import Calls
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.entities import LoggedModel, LoggedModelStatus, PagedList
from modelyard.exceptions import InvalidParameter

_FINAL = {
    LoggedModelStatus.READY: pb.LOGGED_MODEL_READY,
    LoggedModelStatus.FAILED: pb.LOGGED_MODEL_UPLOAD_FAILED,
}


class LoggedModels(Calls):
    def create_logged_model(
        self,
        experiment_id: str | int,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Create a logged model, PENDING until it is finalized.

        Args:
            experiment_id: Of an active experiment.
            name: Not unique; without `/ : . % " '`. Invented by default.
            source_run_id: The run that writes it.
            tags: Values are turned to text.
            params: Values are turned to text.
            model_type: A word for what it is, for searches.
        """
        request = pb.CreateLoggedModelRequest(
            experiment_id=str(experiment_id),
            name=name,
            model_type=model_type,
            source_run_id=source_run_id,
            params=_params(params),
            tags=_tags(tags),
        )
        return _wire.logged_model(self._tracking(request, pb.CreateLoggedModelResponse).model)

    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus | str) -> LoggedModel:
        """Say that the upload is complete ("READY") or has failed ("FAILED")."""
        if status not in _FINAL:
            raise InvalidParameter(
                f"Invalid status '{status}' of a logged model; it must be READY or FAILED."
            )
        request = pb.FinalizeLoggedModelRequest(
            model_id=model_id, status=_FINAL[LoggedModelStatus(status)]
        )
        return _wire.logged_model(self._tracking(request, pb.FinalizeLoggedModelResponse).model)

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model.

        Raises:
            NotFound: There is none, or it is deleted.
        """
        request = pb.GetLoggedModelRequest(model_id=model_id)
        return _wire.logged_model(self._tracking(request, pb.GetLoggedModelResponse).model)

    def delete_logged_model(self, model_id: str) -> None:
        """Delete a logged model; versions registered from it keep their bytes."""
        request = pb.DeleteLoggedModelRequest(model_id=model_id)
        self._tracking(request, pb.DeleteLoggedModelResponse)

    def set_logged_model_tags(self, model_id: str, tags: Mapping[str, Any]) -> None:
        """Set tags; values are turned to text."""
        request = pb.SetLoggedModelTagsRequest(model_id=model_id, tags=_tags(tags))
        self._tracking(request, pb.SetLoggedModelTagsResponse)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag."""
        request = pb.DeleteLoggedModelTagRequest(model_id=model_id, tag_key=key)
        self._tracking(request, pb.DeleteLoggedModelTagResponse)

    def log_model_params(self, model_id: str, params: Mapping[str, Any]) -> None:
        """Add params; values are turned to text."""
        request = pb.LogLoggedModelParamsRequest(model_id=model_id, params=_params(params))
        self._tracking(request, pb.LogLoggedModelParamsResponse)

    def search_logged_models(
        self,
        experiment_ids: Sequence[str | int],
        filter_string: str | None = None,
        datasets: Sequence[Mapping[str, str]] | None = None,
        max_results: int | None = None,
        order_by: Sequence[Mapping[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[LoggedModel]:
        """Return one page of the logged models that match a filter.

        Args:
            experiment_ids: Where to search.
            filter_string: Such as `name = 'model' AND metrics.accuracy > 0.9`.
            datasets: Narrow metrics to these: dicts of `dataset_name`, `dataset_digest`.
            max_results: 1 to 1,000; 100 by default.
            order_by: Dicts of `field_name`, `ascending`, `dataset_name`, `dataset_digest`.
            page_token: The `token` of the page before.
        """
        try:
            request = pb.SearchLoggedModelsRequest(
                experiment_ids=[str(experiment_id) for experiment_id in experiment_ids],
                filter=filter_string,
                datasets=[pb.SearchLoggedModelsRequest.Dataset(**item) for item in datasets or ()],
                max_results=max_results,
                order_by=[pb.SearchLoggedModelsRequest.OrderBy(**item) for item in order_by or ()],
                page_token=page_token,
            )
        except (TypeError, ValueError) as error:
            raise InvalidParameter(
                "Invalid datasets or order_by: expected dicts of dataset_name and dataset_digest, "
                "and of field_name, ascending, dataset_name and dataset_digest."
            ) from error
        reply = self._tracking(request, pb.SearchLoggedModelsResponse)
        found = [_wire.logged_model(item) for item in reply.models]
        return PagedList(found, reply.next_page_token or None)


def _params(params: Mapping[str, Any] | None) -> list[pb.LoggedModelParameter]:
    return [pb.LoggedModelParameter(key=k, value=str(v)) for k, v in (params or {}).items()]


def _tags(tags: Mapping[str, Any] | None) -> list[pb.LoggedModelTag]:
    return [pb.LoggedModelTag(key=k, value=str(v)) for k, v in (tags or {}).items()]
