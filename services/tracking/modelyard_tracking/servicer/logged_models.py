from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.rpc.calls import Call, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_tracking import wire
from modelyard_tracking.models import LoggedModel
from modelyard_tracking.operations import history, logged_models
from modelyard_tracking.operations.missing import status_messages
from modelyard_tracking.rules.values import checked_run_id, possible_model_id
from modelyard_tracking.search.logged_models import OnDataset, search_logged_models

_DEFAULT_RESULTS = 100
_MODELS_AT_ONCE = 1_000
_ENOUGH_BYTES = 16 << 20  # ends a page early: models may be large, and messages have a size limit


class LoggedModels:
    """RPCs for logged models."""

    database: Database
    clock: Clock

    @writes
    def CreateLoggedModel(
        self, request: pb.CreateLoggedModelRequest, call: Call
    ) -> pb.CreateLoggedModelResponse:
        created = logged_models.create_logged_model(
            call.session,
            request.experiment_id,
            request.name,
            request.model_type,
            checked_run_id(request.source_run_id) if request.source_run_id else None,
            wire.pairs_of(request.params, "param"),
            wire.pairs_of(request.tags, "tag"),
            call.now_ms,
        )
        return pb.CreateLoggedModelResponse(model=_message(call, created))

    @writes
    def FinalizeLoggedModel(
        self, request: pb.FinalizeLoggedModelRequest, call: Call
    ) -> pb.FinalizeLoggedModelResponse:
        finalized = logged_models.finalize_logged_model(
            call.session,
            possible_model_id(request.model_id),
            wire.model_status_of(request.status),
            call.now_ms,
        )
        return pb.FinalizeLoggedModelResponse(model=_message(call, finalized))

    @reads
    def GetLoggedModel(
        self, request: pb.GetLoggedModelRequest, call: Call
    ) -> pb.GetLoggedModelResponse:
        found = logged_models.get_logged_model(call.session, possible_model_id(request.model_id))
        return pb.GetLoggedModelResponse(model=_message(call, found))

    @reads
    def SearchLoggedModels(
        self, request: pb.SearchLoggedModelsRequest, call: Call
    ) -> pb.SearchLoggedModelsResponse:
        page = search_logged_models(
            call.session,
            request.experiment_ids,
            request.filter,
            [OnDataset(item.dataset_name, item.dataset_digest) for item in request.datasets],
            [wire.model_order_of(message) for message in request.order_by],
            given(request, "max_results", _DEFAULT_RESULTS),
            request.page_token,
        )
        reply = pb.SearchLoggedModelsResponse()
        while len(reply.models) < len(page.found) and reply.ByteSize() < _ENOUGH_BYTES:
            done = len(reply.models)
            reply.models.extend(
                whole_models(call.session, page.found[done : done + _MODELS_AT_ONCE])
            )
        reply.next_page_token = page.token_after(len(reply.models))
        return reply

    @writes
    def DeleteLoggedModel(
        self, request: pb.DeleteLoggedModelRequest, call: Call
    ) -> pb.DeleteLoggedModelResponse:
        model_id = possible_model_id(request.model_id)
        logged_models.delete_logged_model(call.session, model_id, call.now_ms)
        return pb.DeleteLoggedModelResponse()

    @writes
    def SetLoggedModelTags(
        self, request: pb.SetLoggedModelTagsRequest, call: Call
    ) -> pb.SetLoggedModelTagsResponse:
        tagged = logged_models.set_logged_model_tags(
            call.session,
            possible_model_id(request.model_id),
            wire.pairs_of(request.tags, "tag"),
            call.now_ms,
        )
        return pb.SetLoggedModelTagsResponse(model=_message(call, tagged))

    @writes
    def DeleteLoggedModelTag(
        self, request: pb.DeleteLoggedModelTagRequest, call: Call
    ) -> pb.DeleteLoggedModelTagResponse:
        model_id = possible_model_id(request.model_id)
        logged_models.delete_logged_model_tag(call.session, model_id, request.tag_key, call.now_ms)
        return pb.DeleteLoggedModelTagResponse()

    @writes
    def LogLoggedModelParams(
        self, request: pb.LogLoggedModelParamsRequest, call: Call
    ) -> pb.LogLoggedModelParamsResponse:
        logged_models.log_logged_model_params(
            call.session,
            possible_model_id(request.model_id),
            wire.pairs_of(request.params, "param"),
            call.now_ms,
        )
        return pb.LogLoggedModelParamsResponse()


def whole_models(session: Session, found: Sequence[LoggedModel]) -> list[pb.LoggedModel]:
    """Return logged models with metrics, params and tags, with one statement per table."""
    session.flush()
    model_ids = [model.model_id for model in found]
    metrics = history.latest_of_models(session, model_ids)
    params = logged_models.params_of(session, model_ids)
    tags = logged_models.tags_of(session, model_ids)
    messages = status_messages(session, model_ids)
    return [
        wire.logged_model(
            wire.ModelParts(
                model,
                metrics[model.model_id],
                params[model.model_id],
                tags[model.model_id],
                messages.get(model.model_id),
            )
        )
        for model in found
    ]


def _message(call: Call, found: LoggedModel) -> pb.LoggedModel:
    return whole_models(call.session, [found])[0]
