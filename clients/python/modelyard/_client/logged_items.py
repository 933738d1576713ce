"""Logging to runs: params, metrics, tags, inputs, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from modelyard import _wire
from modelyard._client import background
from modelyard._client.background import RunOperations
from modelyard._client.calls import Calls
from modelyard._client.limits import metric_value, param_value, tag_value
from modelyard._client.points import now_ms, series_of
from modelyard._transport import rpc
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.entities import (
    DatasetInput,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)

_BATCH_POINTS = 10_000
_BATCH_CURVES = 1000
_BATCH_PARAMS = 100
_BATCH_TAGS = 100

T = TypeVar("T")


class Logging(Calls):
    def log_metric(  # noqa: PLR0913 - MLflow's signature
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
        *,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Log one point of a metric's curve.

        Args:
            run_id: Id of an active run.
            key: Name of the metric: at most 250 characters of letters, digits and `/_.: -`.
            value: Value of the point: a number, a bool, text of a number, or an array or tensor of
                one element; NaN and infinities are kept.
            timestamp: Time of the point, milliseconds of Unix time; now by default.
            step: Position of the point on the curve; 0 by default.
            synchronous: Here and below, whether the point is stored when the call returns. False
                sends it from a background thread, in order. By default
                `MLFLOW_ENABLE_ASYNC_LOGGING` decides; True if that is not set.
            dataset_name: Name of the dataset the value was computed on; with `dataset_digest`.
            dataset_digest: Digest of that dataset.
            model_id: Id of a logged model the point belongs to as well.

        Returns:
            If not synchronous, an object whose `wait()` returns when the point is stored, and
            raises what would have been raised here.

        Raises:
            NotFound: The run does not exist.
            InvalidState: The run is deleted.
            InvalidParameter: The key or the value is invalid.
        """
        request = pb.LogMetricRequest(
            run_id=run_id,
            key=key,
            value=metric_value(key, value),
            timestamp=now_ms() if timestamp is None else timestamp,
            step=step or 0,
            model_id=model_id,
            dataset_name=dataset_name,
            dataset_digest=dataset_digest,
        )
        return self._log(request, pb.LogMetricResponse, synchronous)

    def log_param(
        self,
        run_id: str,
        key: str,
        value: Any,
        synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    ) -> Any:
        """Log a param, converted to text of at most 6,000 characters.

        Returns:
            The value; if not synchronous, as of `log_metric`.

        Raises:
            InvalidParameter: The param was logged before with another value.
        """
        request = pb.LogParamRequest(run_id=run_id, key=key, value=param_value(key, value))
        return self._log(request, pb.LogParamResponse, synchronous) or value

    def set_tag(
        self,
        run_id: str,
        key: str,
        value: Any,
        synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    ) -> RunOperations | None:
        """Set a tag of a run; the value is converted to text of at most 8,000 characters."""
        request = pb.SetTagRequest(run_id=run_id, key=key, value=tag_value(key, value))
        return self._log(request, pb.SetTagResponse, synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run.

        Raises:
            NotFound: The run has no such tag.
        """
        self._tracking(pb.DeleteTagRequest(run_id=run_id, key=key), pb.DeleteTagResponse)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    ) -> RunOperations | None:
        """Log many items in as few calls as the batch limits allow.

        Each batch of at most 10,000 points, 1,000 curves, 100 params and 100 tags is atomic. The
        points of a curve, which are those with the same key, logged model and dataset, keep their
        order.
        """
        batches = _batches(run_id, metrics, params, tags)
        if background.is_synchronous(synchronous):
            for batch in batches:
                self._tracking(batch, pb.LogBatchResponse)
            return None
        calls = [(batch, pb.LogBatchResponse) for batch in batches]
        return background.submit(self.tracking_uri, calls)

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every point of a metric, by timestamp, step and value; [] if none."""
        request = pb.GetMetricHistoryRequest(run_id=run_id, metric_key=key)
        pages = rpc.pages(self._tracking, request, pb.GetMetricHistoryResponse)
        return [_wire.metric(item) for page in pages for item in page.metrics]

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Record the datasets and logged models that a run read."""
        request = pb.LogInputsRequest(
            run_id=run_id,
            datasets=[_dataset_input(item) for item in datasets or ()],
            models=[pb.ModelInput(model_id=item.model_id) for item in models or ()],
        )
        self._tracking(request, pb.LogInputsResponse)

    def log_outputs(self, run_id: str, models: Sequence[LoggedModelOutput]) -> None:
        """Record the logged models that a run wrote."""
        outputs = [pb.ModelOutput(model_id=item.model_id, step=item.step) for item in models]
        request = pb.LogOutputsRequest(run_id=run_id, models=outputs)
        self._tracking(request, pb.LogOutputsResponse)


def _batches(
    run_id: str, metrics: Iterable[Metric], params: Iterable[Param], tags: Iterable[RunTag]
) -> list[pb.LogBatchRequest]:
    series = [
        part
        for points in _parts(list(metrics), _BATCH_POINTS)
        for part in _parts(series_of(points), _BATCH_CURVES)
    ]
    texts = [pb.Param(key=p.key, value=param_value(p.key, p.value)) for p in params]
    labels = [pb.RunTag(key=t.key, value=tag_value(t.key, t.value)) for t in tags]
    parts = (series, _parts(texts, _BATCH_PARAMS), _parts(labels, _BATCH_TAGS))
    return [
        pb.LogBatchRequest(run_id=run_id, series=series, params=params, tags=tags)
        for series, params, tags in zip_longest(*parts, fillvalue=())
    ]


def _parts(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _dataset_input(item: DatasetInput) -> pb.DatasetInput:
    dataset = item.dataset
    return pb.DatasetInput(
        dataset=pb.Dataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type=dataset.source_type,
            source=dataset.source,
            schema=dataset.schema,
            profile=dataset.profile,
        ),
        tags=[pb.InputTag(key=tag.key, value=tag.value) for tag in item.tags],
    )
