from __future__ import annotations

from collections.abc import Sequence

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.keys import checked_key
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_tracking import wire
from modelyard_tracking.models import Run
from modelyard_tracking.operations import inputs, params_and_tags, runs
from modelyard_tracking.operations.whole_runs import whole_runs
from modelyard_tracking.rules.values import (
    USER_TAG,
    checked_run_id,
    model_description,
    run_id_of,
)
from modelyard_tracking.search.runs import search_runs

_DEFAULT_RESULTS = 1_000
_RUNS_AT_ONCE = 1_000
_ENOUGH_BYTES = 16 << 20  # ends a page early: runs may be large, and messages have a size limit


class Runs:
    """RPCs for runs, their params and tags."""

    database: Database
    clock: Clock

    @writes
    def CreateRun(self, request: pb.CreateRunRequest, call: Call) -> pb.CreateRunResponse:
        tags = wire.pairs_of(request.tags, "tag")
        created = runs.create_run(
            call.session,
            request.experiment_id or "0",
            request.run_name,
            caller.get().grant.name or request.user_id or tags.get(USER_TAG, "") or call.actor,
            request.start_time if request.HasField("start_time") else call.now_ms,
            tags,
            call.now_ms if request.heartbeats else None,
        )
        return pb.CreateRunResponse(run=wire.run(created, call.now_ms))

    @reads
    def GetRun(self, request: pb.GetRunRequest, call: Call) -> pb.GetRunResponse:
        found = runs.get_run(call.session, run_id_of(request.run_id, request.run_uuid))
        return pb.GetRunResponse(run=_messages(call, [found])[0])

    @reads
    def SearchRuns(self, request: pb.SearchRunsRequest, call: Call) -> pb.SearchRunsResponse:
        page = search_runs(
            call.session,
            request.experiment_ids,
            request.filter,
            request.order_by,
            wire.view_of(request.run_view_type),
            given(request, "max_results", _DEFAULT_RESULTS),
            request.page_token,
            call.now_ms,
        )
        reply = pb.SearchRunsResponse()
        while len(reply.runs) < len(page.found) and reply.ByteSize() < _ENOUGH_BYTES:
            done = len(reply.runs)
            reply.runs.extend(_messages(call, page.found[done : done + _RUNS_AT_ONCE]))
        reply.next_page_token = page.token_after(len(reply.runs))
        return reply

    @writes
    def UpdateRun(self, request: pb.UpdateRunRequest, call: Call) -> pb.UpdateRunResponse:
        updated = runs.update_run(
            call.session,
            run_id_of(request.run_id, request.run_uuid),
            status=wire.run_status_of(request.status),
            end_ms=given(request, "end_time"),
            name=request.run_name,
            etag=request.etag,
            now_ms=call.now_ms,
            heartbeats=request.heartbeats,
        )
        return pb.UpdateRunResponse(run_info=wire.run_info(updated, call.now_ms))

    @writes
    def SendHeartbeat(
        self, request: pb.SendHeartbeatRequest, call: Call
    ) -> pb.SendHeartbeatResponse:
        runs.mark_alive(call.session, checked_run_id(request.run_id), call.now_ms)
        return pb.SendHeartbeatResponse()

    @writes
    def DeleteRun(self, request: pb.DeleteRunRequest, call: Call) -> pb.DeleteRunResponse:
        runs.delete_run(call.session, checked_run_id(request.run_id), call.now_ms)
        return pb.DeleteRunResponse()

    @writes
    def RestoreRun(self, request: pb.RestoreRunRequest, call: Call) -> pb.RestoreRunResponse:
        runs.restore_run(call.session, checked_run_id(request.run_id))
        return pb.RestoreRunResponse()

    @writes
    def LogParam(self, request: pb.LogParamRequest, call: Call) -> pb.LogParamResponse:
        run_id = run_id_of(request.run_id, request.run_uuid)
        key = checked_key(request.key, "key")
        runs.write_to_run(call.session, run_id, call.now_ms)
        params_and_tags.log_params(call.session, run_id, {key: request.value})
        return pb.LogParamResponse()

    @writes
    def SetTag(self, request: pb.SetTagRequest, call: Call) -> pb.SetTagResponse:
        run_id = run_id_of(request.run_id, request.run_uuid)
        key = checked_key(request.key, "key")
        runs.write_to_run(call.session, run_id, call.now_ms)
        params_and_tags.set_tags(call.session, run_id, {key: request.value})
        return pb.SetTagResponse()

    @writes
    def DeleteTag(self, request: pb.DeleteTagRequest, call: Call) -> pb.DeleteTagResponse:
        run_id = checked_run_id(request.run_id)
        runs.write_to_run(call.session, run_id, call.now_ms)
        params_and_tags.delete_tag(call.session, run_id, request.key)
        return pb.DeleteTagResponse()

    @writes
    def LogModel(self, request: pb.LogModelRequest, call: Call) -> pb.LogModelResponse:
        run_id = checked_run_id(request.run_id)
        description = model_description(request.model_json)
        runs.write_to_run(call.session, run_id, call.now_ms)
        params_and_tags.append_model(call.session, run_id, description)
        return pb.LogModelResponse()

    @writes
    def LogInputs(self, request: pb.LogInputsRequest, call: Call) -> pb.LogInputsResponse:
        inputs.log_inputs(
            call.session,
            checked_run_id(request.run_id),
            [wire.dataset_input_of(message) for message in request.datasets],
            [message.model_id for message in request.models],
            call.now_ms,
        )
        return pb.LogInputsResponse()

    @writes
    def LogOutputs(self, request: pb.LogOutputsRequest, call: Call) -> pb.LogOutputsResponse:
        steps = [(message.model_id, message.step) for message in request.models]
        inputs.log_outputs(call.session, checked_run_id(request.run_id), steps, call.now_ms)
        return pb.LogOutputsResponse()


def _messages(call: Call, found: Sequence[Run]) -> list[pb.Run]:
    return [wire.run(whole, call.now_ms) for whole in whole_runs(call.session, found)]
