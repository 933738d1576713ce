from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import grpc

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit import paging
from modelyard_kit.calls import Call, reads
from modelyard_kit.clock import Clock
from modelyard_kit.db import Database
from modelyard_kit.events import Notifier, follow
from modelyard_kit.fields import given
from modelyard_kit.metrics import watch_lag
from modelyard_registry import wire
from modelyard_registry.models import Event
from modelyard_registry.operations import history
from modelyard_registry.servicer.fields import page_start

_EVENTS_AT_ONCE = 100


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
        events = history.events_after(call.session, request.name, after, limit + 1)
        page = events[:limit]
        more = paging.encode((page[-1].revision,), query) if len(events) > limit else ""
        return pb.ListModelEventsResponse(events=map(wire.model_event, page), next_page_token=more)

    @reads
    def VerifyHistory(
        self, request: pb.VerifyHistoryRequest, call: Call
    ) -> pb.VerifyHistoryResponse:
        names = history.verify(call.session, request.name)
        return pb.VerifyHistoryResponse(revision=names.revision, hash=names.head_hash)

    def WatchModels(
        self, request: pb.WatchModelsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchModelsResponse]:
        name = request.name
        position = request.after_revision if name else request.after_clock
        with self.database.read() as session:
            history.check_position(session, name, position)

        opened_ms = self.clock()

        def read() -> Sequence[Event]:
            with self.database.read() as session:
                if name:
                    return history.events_after(session, name, position, _EVENTS_AT_ONCE)
                return history.all_events_after(session, position, _EVENTS_AT_ONCE)

        def is_active() -> bool:
            return context.is_active() and not self.is_stopping()

        for event in follow(read, self.notifier, is_active):
            if event is None:
                with self.database.read() as session:
                    newest = history.position(session, name)
                yield pb.WatchModelsResponse(position=newest)
                continue
            if event.at_ms >= opened_ms:
                watch_lag.observe(max(self.clock() - event.at_ms, 0) / 1000)
            position = event.revision if name else event.clock
            yield pb.WatchModelsResponse(event=wire.model_event(event), position=position)
