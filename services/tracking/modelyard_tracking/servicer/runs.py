from __future__ import annotations

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.keys import checked_key
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, FastCall, fast_reads, fast_writes, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_tracking import wire
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

    @fast_writes
    def CreateRun(self, request: pb.CreateRunRequest, call: FastCall) -> pb.CreateRunResponse:
        tags = wire.pairs_of(request.tags, "tag")
        created = runs.create_run(
            call.rows,
            request.experiment_id or "0",
            request.run_name,
            caller.get().grant.name or request.user_id or tags.get(USER_TAG, "") or call.actor,
            request.start_time if request.HasField("start_time") else call.now_ms,
            tags,
            call.now_ms if request.heartbeats else None,
        )
        reply = pb.CreateRunResponse()
        wire.fill_run(reply.run, created, call.now_ms)
        return reply

    @fast_reads
    def GetRun(self, request: pb.GetRunRequest, call: FastCall) -> pb.GetRunResponse:
        found = runs.get_whole_run(call.rows, run_id_of(request.run_id, request.run_uuid))
        reply = pb.GetRunResponse()
        wire.fill_run(reply.run, found, call.now_ms)
        return reply

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
        rows = call.rows
        while len(reply.runs) < len(page.found) and reply.ByteSize() < _ENOUGH_BYTES:
            done = len(reply.runs)
            for whole in whole_runs(rows, page.found[done : done + _RUNS_AT_ONCE]):
                wire.fill_run(reply.runs.add(), whole, call.now_ms)
        reply.next_page_token = page.token_after(len(reply.runs))
        return reply

    @fast_writes
    def UpdateRun(self, request: pb.UpdateRunRequest, call: FastCall) -> pb.UpdateRunResponse:
        updated = runs.update_run(
            call.rows,
            run_id_of(request.run_id, request.run_uuid),
            status=wire.run_status_of(request.status),
            end_ms=given(request, "end_time"),
            name=request.run_name,
            etag=request.etag,
            now_ms=call.now_ms,
            heartbeats=request.heartbeats,
        )
        return pb.UpdateRunResponse(run_info=wire.run_info(updated, call.now_ms))

    @fast_writes
    def SendHeartbeat(
        self, request: pb.SendHeartbeatRequest, call: FastCall
    ) -> pb.SendHeartbeatResponse:
        runs.mark_alive(call.rows, checked_run_id(request.run_id), call.now_ms)
        return pb.SendHeartbeatResponse()

    @writes
    def DeleteRun(self, request: pb.DeleteRunRequest, call: Call) -> pb.DeleteRunResponse:
        runs.delete_run(call.session, checked_run_id(request.run_id), call.now_ms)
        return pb.DeleteRunResponse()

    @writes
    def RestoreRun(self, request: pb.RestoreRunRequest, call: Call) -> pb.RestoreRunResponse:
        runs.restore_run(call.session, checked_run_id(request.run_id))
        return pb.RestoreRunResponse()

    @fast_writes
    def LogParam(self, request: pb.LogParamRequest, call: FastCall) -> pb.LogParamResponse:
        run_id = run_id_of(request.run_id, request.run_uuid)
        key = checked_key(request.key, "key")
        runs.write_to_run(call.rows, run_id, call.now_ms)
        params_and_tags.log_params(call.rows, run_id, {key: request.value})
        return pb.LogParamResponse()

    @fast_writes
    def SetTag(self, request: pb.SetTagRequest, call: FastCall) -> pb.SetTagResponse:
        run_id = run_id_of(request.run_id, request.run_uuid)
        key = checked_key(request.key, "key")
        runs.write_to_run(call.rows, run_id, call.now_ms)
        params_and_tags.set_tags(call.rows, run_id, {key: request.value})
        return pb.SetTagResponse()

    @fast_writes
    def DeleteTag(self, request: pb.DeleteTagRequest, call: FastCall) -> pb.DeleteTagResponse:
        run_id = checked_run_id(request.run_id)
        runs.write_to_run(call.rows, run_id, call.now_ms)
        params_and_tags.delete_tag(call.rows, run_id, request.key)
        return pb.DeleteTagResponse()

    @fast_writes
    def LogModel(self, request: pb.LogModelRequest, call: FastCall) -> pb.LogModelResponse:
        run_id = checked_run_id(request.run_id)
        description = model_description(request.model_json)
        runs.write_to_run(call.rows, run_id, call.now_ms)
        params_and_tags.append_model(call.rows, run_id, description)
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
