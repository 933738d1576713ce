"""Traces across services, by W3C Trace Context and OpenTelemetry.

The header `traceparent` of a call is always forwarded to other services. Spans are recorded and
exported only if `OTEL_EXPORTER_OTLP_ENDPOINT` is set; otherwise OpenTelemetry is not imported. Its
SDK reads the other `OTEL_*` variables itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

HEADER = "traceparent"
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_FLUSHED_WITHIN_MS = 5_000

logger = logging.getLogger(__name__)

_tracer: Any = None
"""The SDK's tracer; None while spans are not exported."""


class Span:
    """One call in a trace.

    Args:
        traceparent: Header that the caller sent; an invalid one is ignored.
        name: Name of the span.
        attributes: Attributes by OpenTelemetry's conventions.
    """

    def __init__(self, traceparent: str, name: str, attributes: Mapping[str, str]) -> None:
        is_valid = traceparent and _TRACEPARENT.fullmatch(traceparent)
        self.traceparent = traceparent if is_valid else ""
        """Header to forward to other services; empty if the call is not part of a trace."""
        self._recorded: Any = None
        if _tracer is not None:
            self._recorded = _started(self.traceparent, name, attributes)
            self.traceparent = _traceparent(self._recorded)

    @property
    def trace_id(self) -> str:
        """Id of the trace, 32 hexadecimal digits; empty if there is none."""
        return self.traceparent[3:35]

    def end(
        self, attributes: Mapping[str, str | int], *, failed: bool, name: str | None = None
    ) -> None:
        """End the span, if it is recorded.

        Args:
            attributes: Attributes that are known only at the end.
            failed: Whether the call failed because of the server.
            name: Name that replaces the first one; None to keep it.
        """
        if self._recorded is None:
            return
        if name is not None:
            self._recorded.update_name(name)
        self._recorded.set_attributes(attributes)
        if failed:
            from opentelemetry.trace import StatusCode

            self._recorded.set_status(StatusCode.ERROR)
        self._recorded.end()


@contextmanager
def exported(service: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Export a span of each call inside the block, if the environment configures an endpoint.

    Args:
        service: Name of this process in traces, unless `OTEL_SERVICE_NAME` is set.
        environ: Environment variables, usually `os.environ`.
    """
    resource = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = _provider(resource) if _is_enabled(environ) else None
    if provider is None:
        yield
        return
    _use(provider.get_tracer("modelyard"))
    try:
        yield
    finally:
        _use(None)
        provider.force_flush(_FLUSHED_WITHIN_MS)
        provider.shutdown()


def _is_enabled(environ: Mapping[str, str]) -> bool:
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off = off or environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    return not off and any(environ.get(name) for name in _ENDPOINTS)


def _provider(resource: dict[str, str]) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        logger.warning("Traces need the extra 'otel': pip install 'modelyard[otel]'.")
        return None
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _use(tracer: Any) -> None:
    global _tracer  # noqa: PLW0603 - one per process, like the log
    _tracer = tracer


def _started(traceparent: str, name: str, attributes: Mapping[str, str]) -> Any:
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({HEADER: traceparent})
    return _tracer.start_span(name, parent, SpanKind.SERVER, attributes)


def _traceparent(span: Any) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
