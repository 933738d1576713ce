from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from modelyard.api.serving.v1 import endpoint_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.base import Database
from modelyard_kit.db.notify import Notifier
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.calls import Call, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_registry import wire
from modelyard_registry.models import EndpointEvent, EndpointName
from modelyard_registry.operations import chains, endpoints
from modelyard_registry.rules.endpoints import leaves
from modelyard_registry.rules.history import Path
from modelyard_registry.servicer.fields import page_start
from modelyard_registry.servicer.following import changes_of

_MAX_SHOWN_CHARACTERS = 80
_PAGE_SIZE = 100
_SPEC = "spec"


class EndpointServicer:
    """All RPCs of `EndpointService`.

    Args:
        database: Database of the registry.
        clock: Returns Unix time in milliseconds.
        notifier: Wakes the watches after each commit.
        is_stopping: Returns True once the server stops, which ends the watches.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        notifier: Notifier,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.database = database
        self.clock = clock
        self.notifier = notifier
        self.is_stopping = is_stopping

    @writes
    def CreateEndpoint(
        self, request: pb.CreateEndpointRequest, call: Call
    ) -> pb.CreateEndpointResponse:
        _check_id(request.endpoint, request.endpoint_id)
        spec = wire.document(request.endpoint.spec)
        found = endpoints.create_endpoint(call, request.endpoint_id, spec, comment=request.comment)
        return pb.CreateEndpointResponse(endpoint=wire.endpoint(found))

    @reads
    def GetEndpoint(self, request: pb.GetEndpointRequest, call: Call) -> pb.GetEndpointResponse:
        found = endpoints.get_endpoint(call.session, request.endpoint_id)
        return pb.GetEndpointResponse(endpoint=wire.endpoint(found))

    @reads
    def ListEndpoints(
        self, request: pb.ListEndpointsRequest, call: Call
    ) -> pb.ListEndpointsResponse:
        limit = given(request, "page_size", _PAGE_SIZE)
        query = paging.fingerprint("endpoints")
        after = page_start(request.page_token, query, "")
        found = endpoints.list_endpoints(call.session, after, limit + 1)
        page = found[:limit]
        more = paging.encode((page[-1].name,), query) if len(found) > limit else ""
        return pb.ListEndpointsResponse(endpoints=map(wire.endpoint, page), next_page_token=more)

    @writes
    def UpdateEndpoint(
        self, request: pb.UpdateEndpointRequest, call: Call
    ) -> pb.UpdateEndpointResponse:
        _check_id(request.endpoint, request.endpoint_id)
        changed = endpoints.update_endpoint(
            call,
            request.endpoint_id,
            wire.document(request.endpoint.spec),
            _paths(request),
            etag=request.endpoint.etag,
            comment=request.comment,
        )
        return pb.UpdateEndpointResponse(endpoint=wire.endpoint(changed))

    @writes
    def DeleteEndpoint(
        self, request: pb.DeleteEndpointRequest, call: Call
    ) -> pb.DeleteEndpointResponse:
        endpoints.delete_endpoint(
            call, request.endpoint_id, etag=request.etag, comment=request.comment
        )
        return pb.DeleteEndpointResponse()

    @reads
    def ListEndpointEvents(
        self, request: pb.ListEndpointEventsRequest, call: Call
    ) -> pb.ListEndpointEventsResponse:
        limit = given(request, "page_size", _PAGE_SIZE)
        name = request.endpoint_id
        query = paging.fingerprint("endpoint events", name, request.after_revision)
        after = page_start(request.page_token, query, request.after_revision)
        endpoints.get_head(call.session, name)
        events = chains.events_after(call.session, EndpointEvent, name, after, limit + 1)
        page = events[:limit]
        more = paging.encode((page[-1].revision,), query) if len(events) > limit else ""
        return pb.ListEndpointEventsResponse(
            events=map(wire.endpoint_event, page), next_page_token=more
        )

    @reads
    def VerifyEndpointHistory(
        self, request: pb.VerifyEndpointHistoryRequest, call: Call
    ) -> pb.VerifyEndpointHistoryResponse:
        head = endpoints.get_head(call.session, request.endpoint_id)
        chains.verify(call.session, EndpointEvent, head)
        return pb.VerifyEndpointHistoryResponse(revision=head.revision, hash=head.head_hash)

    def WatchEndpoints(
        self, request: pb.WatchEndpointsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchEndpointsResponse]:
        name = request.endpoint_id
        after = request.after_revision if name else request.after_clock
        for event, position in changes_of(self, context, EndpointEvent, EndpointName, name, after):
            yield pb.WatchEndpointsResponse(
                event=None if event is None else wire.endpoint_event(event), position=position
            )

    @writes
    def ReportServing(
        self, request: pb.ReportServingRequest, call: Call
    ) -> pb.ReportServingResponse:
        targets = [wire.document(target) for target in request.targets]
        endpoints.report(call, request.endpoint_id, targets)
        return pb.ReportServingResponse()


def _check_id(endpoint: pb.Endpoint, endpoint_id: str) -> None:
    if endpoint.endpoint_id and endpoint.endpoint_id != endpoint_id:
        given = endpoint.endpoint_id
        raise InvalidArgument(
            f"Invalid value '{given}' for parameter 'endpoint.endpoint_id': the id cannot change; "
            f"expected '{endpoint_id}' or an empty value.",
            field="endpoint.endpoint_id",
        )


def _paths(request: pb.UpdateEndpointRequest) -> Sequence[Path]:
    """Return the paths of the spec fields that an update sets; the empty path is all fields."""
    paths = request.update_mask.paths
    if not paths:
        return list(leaves(wire.document(request.endpoint.spec)))
    if "*" in paths:
        if len(paths) > 1:
            raise _wrong_path("*", "it means all fields and cannot be combined with other paths")
        return [()]
    return [_path(text) for text in paths]


def _path(text: str) -> Path:
    first, *rest = text.split(".")
    if first != _SPEC:
        known = first in pb.Endpoint.DESCRIPTOR.fields_by_name
        problem = "the field is read-only" if known else "there is no such field"
        raise _wrong_path(text, f"{problem}; expected '{_SPEC}' or a field of it")
    kind: Any = pb.EndpointSpec.DESCRIPTOR
    for step in rest:
        field = None if kind is None else kind.fields_by_name.get(step)
        if field is None:
            names = ", ".join(() if kind is None else kind.fields_by_name)
            expected = f"one of {names}" if names else "the path of the field that contains it"
            raise _wrong_path(text, f"there is no such field; expected {expected}")
        kind = None if field.is_repeated else field.message_type
    return tuple(rest)


def _wrong_path(text: str, reason: str) -> InvalidArgument:
    return InvalidArgument(
        f"Invalid path '{text[:_MAX_SHOWN_CHARACTERS]}' in parameter 'update_mask': {reason}.",
        field="update_mask",
    )
