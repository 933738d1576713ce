from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.base import Database
from modelyard_kit.db.notify import Notifier
from modelyard_kit.rpc.calls import Call, reads
from modelyard_kit.rpc.fields import given
from modelyard_registry import wire
from modelyard_registry.models import Event, ModelName
from modelyard_registry.operations import chains, history
from modelyard_registry.servicer.fields import page_start
from modelyard_registry.servicer.following import changes_of


class History:
    """RPCs that read and follow the history."""

    database: Database
    clock: Clock
    notifier: Notifier
    is_stopping: Callable[[], bool]

    @reads
    def ListModelEvents(
        self, request: pb.ListModelEventsRequest, call: Call
    ) -> pb.ListModelEventsResponse:
        limit = given(request, "page_size", 100)
        query = paging.fingerprint("events", request.name, request.after_revision)
        after = page_start(request.page_token, query, request.after_revision)
        history.get_names(call.session, request.name)
        events = chains.events_after(call.session, Event, request.name, after, limit + 1)
        page = events[:limit]
        more = paging.encode((page[-1].revision,), query) if len(events) > limit else ""
        return pb.ListModelEventsResponse(events=map(wire.model_event, page), next_page_token=more)

    @reads
    def VerifyHistory(
        self, request: pb.VerifyHistoryRequest, call: Call
    ) -> pb.VerifyHistoryResponse:
        names = history.get_names(call.session, request.name)
        chains.verify(call.session, Event, names)
        return pb.VerifyHistoryResponse(revision=names.revision, hash=names.head_hash)

    def WatchModels(
        self, request: pb.WatchModelsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchModelsResponse]:
        name = request.name
        after = request.after_revision if name else request.after_clock
        for event, position in changes_of(self, context, Event, ModelName, name, after):
            yield pb.WatchModelsResponse(
                event=None if event is None else wire.model_event(event), position=position
            )
