from __future__ import annotations

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.rpc.calls import Call, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_tracking import wire
from modelyard_tracking.models import Experiment
from modelyard_tracking.operations import experiments, inputs
from modelyard_tracking.rules.values import experiment_number
from modelyard_tracking.search.experiments import search_experiments

_DEFAULT_RESULTS = 1_000
_MAX_DATASETS = 1_000


class Experiments:
    """RPCs for experiments."""

    database: Database
    clock: Clock

    @writes
    def CreateExperiment(
        self, request: pb.CreateExperimentRequest, call: Call
    ) -> pb.CreateExperimentResponse:
        created = experiments.create_experiment(
            call.session,
            request.name,
            request.artifact_location,
            wire.pairs_of(request.tags, "tag"),
            call.now_ms,
        )
        return pb.CreateExperimentResponse(experiment_id=str(created.experiment_id))

    @reads
    def GetExperiment(
        self, request: pb.GetExperimentRequest, call: Call
    ) -> pb.GetExperimentResponse:
        found = experiments.get_experiment(call.session, request.experiment_id)
        return pb.GetExperimentResponse(experiment=_message(call, found))

    @reads
    def GetExperimentByName(
        self, request: pb.GetExperimentByNameRequest, call: Call
    ) -> pb.GetExperimentByNameResponse:
        found = experiments.get_experiment_by_name(call.session, request.experiment_name)
        return pb.GetExperimentByNameResponse(experiment=_message(call, found))

    @reads
    def SearchExperiments(
        self, request: pb.SearchExperimentsRequest, call: Call
    ) -> pb.SearchExperimentsResponse:
        page = search_experiments(
            call.session,
            request.filter,
            request.order_by,
            wire.view_of(request.view_type),
            given(request, "max_results", _DEFAULT_RESULTS),
            request.page_token,
        )
        tags = experiments.tags_of(call.session, page.found)
        return pb.SearchExperimentsResponse(
            experiments=[wire.experiment(row, tags[row.experiment_id]) for row in page.found],
            next_page_token=page.next_page_token,
        )

    @writes
    def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, call: Call
    ) -> pb.UpdateExperimentResponse:
        experiments.rename_experiment(
            call.session, request.experiment_id, request.new_name, request.etag, call.now_ms
        )
        return pb.UpdateExperimentResponse()

    @writes
    def DeleteExperiment(
        self, request: pb.DeleteExperimentRequest, call: Call
    ) -> pb.DeleteExperimentResponse:
        experiments.delete_experiment(call.session, request.experiment_id, call.now_ms)
        return pb.DeleteExperimentResponse()

    @writes
    def RestoreExperiment(
        self, request: pb.RestoreExperimentRequest, call: Call
    ) -> pb.RestoreExperimentResponse:
        experiments.restore_experiment(call.session, request.experiment_id, call.now_ms)
        return pb.RestoreExperimentResponse()

    @writes
    def SetExperimentTag(
        self, request: pb.SetExperimentTagRequest, call: Call
    ) -> pb.SetExperimentTagResponse:
        experiments.set_experiment_tag(
            call.session, request.experiment_id, request.key, request.value, call.now_ms
        )
        return pb.SetExperimentTagResponse()

    @writes
    def DeleteExperimentTag(
        self, request: pb.DeleteExperimentTagRequest, call: Call
    ) -> pb.DeleteExperimentTagResponse:
        experiments.delete_experiment_tag(
            call.session, request.experiment_id, request.key, call.now_ms
        )
        return pb.DeleteExperimentTagResponse()

    @reads
    def SearchDatasets(
        self, request: pb.SearchDatasetsRequest, call: Call
    ) -> pb.SearchDatasetsResponse:
        numbers = [experiment_number(text) for text in request.experiment_ids]
        found = inputs.datasets_of_experiments(call.session, numbers, _MAX_DATASETS)
        return pb.SearchDatasetsResponse(dataset_summaries=map(wire.dataset_summary, found))


def _message(call: Call, found: Experiment) -> pb.Experiment:
    tags = experiments.tags_of(call.session, [found])
    return wire.experiment(found, tags[found.experiment_id])
