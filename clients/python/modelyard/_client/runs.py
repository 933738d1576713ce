"""Runs: their life and the search for them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from modelyard import _wire
from modelyard._client.calls import Calls, view_name
from modelyard._client.limits import tag_value
from modelyard._transport import rpc
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.entities import PagedList, Run, RunStatus, ViewType
from modelyard.exceptions import InvalidParameter

PARENT_RUN_TAG = "mlflow.parentRunId"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Runs(Calls):
    def create_run(
        self,
        experiment_id: str | int,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run.

        Args:
            experiment_id: Of an active experiment.
            start_time: Unix time, milliseconds; now by default.
            tags: Values are turned to text.
            run_name: Invented unless given, here or as tag `mlflow.runName`.
        """
        request = pb.CreateRunRequest(
            experiment_id=str(experiment_id),
            user_id=rpc.user(),
            run_name=run_name,
            start_time=now_ms() if start_time is None else start_time,
            tags=[pb.RunTag(key=k, value=tag_value(k, v)) for k, v in (tags or {}).items()],
        )
        return _wire.run(self._tracking(request, pb.CreateRunResponse).run)

    def get_run(self, run_id: str) -> Run:
        """Return a run with its latest metrics, params and tags, also a deleted one.

        Raises:
            NotFound: There is none.
        """
        reply = self._tracking(pb.GetRunRequest(run_id=run_id), pb.GetRunResponse)
        return _wire.run(reply.run)

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the run that a nested run belongs to; None if it is not nested."""
        parent_id = self.get_run(run_id).data.tags.get(PARENT_RUN_TAG)
        return self.get_run(parent_id) if parent_id else None

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change status or name; the end time stays, see `set_terminated`."""
        request = pb.UpdateRunRequest(run_id=run_id, status=_status(status), run_name=name)
        self._tracking(request, pb.UpdateRunResponse)

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """End a run.

        Args:
            run_id: Which one.
            status: "FINISHED" by default.
            end_time: Unix time, milliseconds; now by default.
        """
        request = pb.UpdateRunRequest(
            run_id=run_id,
            status=_status(status or RunStatus.FINISHED.name),
            end_time=now_ms() if end_time is None else end_time,
        )
        self._tracking(request, pb.UpdateRunResponse)

    def delete_run(self, run_id: str) -> None:
        """Delete a run; `restore_run` brings it back."""
        self._tracking(pb.DeleteRunRequest(run_id=run_id), pb.DeleteRunResponse)

    def restore_run(self, run_id: str) -> None:
        """Restore a deleted run."""
        self._tracking(pb.RestoreRunRequest(run_id=run_id), pb.RestoreRunResponse)

    def search_runs(
        self,
        experiment_ids: Sequence[str | int] | str,
        filter_string: str | None = "",
        run_view_type: ViewType | int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return one page of the runs that match a filter.

        Args:
            experiment_ids: Where to search; none of them finds nothing.
            filter_string: Such as `metrics.accuracy > 0.9 AND params.depth = '3'`.
            run_view_type: A `ViewType`.
            max_results: 1 to 50,000.
            order_by: Such as `["metrics.accuracy DESC"]`.
            page_token: The `token` of the page before.
        """
        if isinstance(experiment_ids, str):
            experiment_ids = [experiment_ids]
        request = pb.SearchRunsRequest(
            experiment_ids=[str(experiment_id) for experiment_id in experiment_ids],
            filter=filter_string,
            run_view_type=view_name(run_view_type),
            max_results=max_results,
            order_by=order_by,
            page_token=page_token,
        )
        reply = self._tracking(request, pb.SearchRunsResponse)
        return PagedList([_wire.run(item) for item in reply.runs], reply.next_page_token or None)


def _status(name: str | None) -> str | None:
    if name is None:
        return None
    if name not in RunStatus.__members__:
        known = ", ".join(RunStatus.__members__)
        raise InvalidParameter(f"Invalid run status '{name}'; it must be one of {known}.")
    return name
