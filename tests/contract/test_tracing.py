"""Traces over the services, as a collector receives them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.processes.collector import collecting
from tests.support.processes.service_processes import Installation, installation
from tests.support.processes.up_process import environment

from modelyard_kit.observability.tracing import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ABOVE = "00f067aa0ba902b7"
NOWHERE = "http://127.0.0.1:1"


def post(running: Installation, route: str, document: object, **headers: str) -> None:
    """Send a request to the edge, which may refuse it."""
    request = urllib.request.Request(  # noqa: S310 - the test's own server
        f"{running.url}/api/2.0/mlflow/{route}",
        json.dumps(document).encode(),
        {"content-type": "application/json", **headers},
    )
    with suppress(urllib.error.HTTPError), closing(urllib.request.urlopen(request)):  # noqa: S310
        pass


def test_one_trace_spans_gateway_registry_and_tracking(tmp_path: Path) -> None:
    with (
        collecting() as collector,
        installation(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as running,
    ):
        post(running, "registered-models/create", {"name": "iris"}, traceparent="00-zz-1-01")
        source = {"name": "iris", "source": f"runs:/{'0' * 32}/model"}
        traceparent = f"00-{TRACE}-{ABOVE}-01"
        post(running, "model-versions/create", source, traceparent=traceparent)
        for role in ("gateway", "registry", "tracking"):
            assert running.services[role].stop() == 0  # exports what was not exported yet

    spans = {span.process: span for span in collector.spans if span.trace_id == TRACE}
    edge, registry, tracking = (
        spans[f"modelyard-{role}"] for role in ("gateway", "registry", "tracking")
    )
    assert edge.name == "POST /api/2.0/mlflow/model-versions/create"
    assert edge.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/2.0/mlflow/model-versions/create",
        "http.response.status_code": "404",
        "url.path": "/api/2.0/mlflow/model-versions/create",
    }
    assert registry.name == "modelyard.api.registry.v1.RegistryService/CreateModelVersion"
    assert registry.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": registry.name,
        "rpc.response.status_code": "NOT_FOUND",
    }
    assert tracking.name == "modelyard.api.artifacts.v1.ArtifactsService/SealManifest"
    above = [span.parent for span in (edge, registry, tracking)]
    assert above == [ABOVE, edge.span_id, registry.span_id]
    assert not any(span.failed for span in spans.values())
    of_edge = {span.trace_id for span in collector.spans if span.process == "modelyard-gateway"}
    (begun_here,) = of_edge - {TRACE}
    assert len([span for span in collector.spans if span.trace_id == begun_here]) == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "False"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}, "True"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "OTEL_SDK_DISABLED": "true"}, "False"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "OTEL_TRACES_EXPORTER": "none"}, "False"),
    ],
)
def test_nothing_is_imported_if_nothing_is_exported(
    variables: dict[str, str], expected: str
) -> None:
    program = (
        "import os, sys\n"
        "from modelyard_kit.observability import tracing\n"
        "with tracing.exported('test', os.environ):\n"
        f"    assert tracing.Span('00-{TRACE}-{ABOVE}-01', 'name', {{}}).trace_id == '{TRACE}'\n"
        "    print(any(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment(**variables)
    )
    assert ran.stdout.strip() == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", f"00-{'0' * 32}-{ABOVE}-01", f"ff-{TRACE}-{ABOVE}-01", f"00-{TRACE}-{ABOVE}-01\n"],
)
def test_an_invalid_traceparent_is_not_forwarded(text: str) -> None:
    assert Span(text, "name", {}).traceparent == ""


def test_a_traceparent_is_forwarded_though_nothing_is_exported() -> None:
    given = f"00-{TRACE}-{ABOVE}-00"
    assert Span(given, "name", {}).traceparent == given
