"""A collector of spans, the part of OpenTelemetry's protocol that tests need."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Span:
    """One span, with the name of the process that sent it."""

    process: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    failed: bool
    attributes: dict[str, str]


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Stores the spans that it receives."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.spans += _spans(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[Collector]:
    server = grpc.server(ThreadPoolExecutor(2))
    collector = Collector()
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server  # untyped
    add(collector, server)
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _spans(request: Any) -> Iterator[Span]:
    for resource in request.resource_spans:
        process = _texts(resource.resource.attributes)["service.name"]
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Span(
                process,
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.status.code == span.status.STATUS_CODE_ERROR,
                _texts(span.attributes),
            )


def _texts(attributes: Any) -> dict[str, str]:
    return {item.key: item.value.string_value or str(item.value.int_value) for item in attributes}
