"""How an installation looks from where a client is."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard import MlflowClient
from modelyard.api.access.v1 import access_pb2
from modelyard.api.options.v1.options_pb2 import Permission
from modelyard.internal import cache, connections, http, rpc, setting, tls
from modelyard_gateway.backends import SERVICES
from modelyard_server.admin.doctor.finding import Finding, fail, guarded, ok, warn

_TIMEOUT_S = 5.0
_CLOCK_WARN_S, _CLOCK_FAIL_S = 5.0, 300.0
_DAY_S = 24 * 60 * 60
_ENDS_SOON_S = 14 * _DAY_S
_PORTS = {"https": 443, "http": 80}


def check(uri: str) -> Iterator[Finding]:
    """Look at an installation from here.

    Args:
        uri: Its address, as MODELYARD_TRACKING_URI has it. The registry may have another.
    """
    registry_uri = setting("REGISTRY_URI") or uri
    uris = {"tracking": uri, "registry": registry_uri}
    address = list(guarded("address", _START, lambda: _address(uris)))
    yield from address
    if any(finding.state != "ok" for finding in address):
        return
    parts = urlsplit(uri)
    if parts.scheme in _PORTS:
        yield from guarded("version", _START, lambda: _document(uri))
    if parts.scheme in {"https", "grpcs"}:
        yield from guarded("certificate", _START, lambda: certificate(parts))
    yield from _health(uris)
    token = list(guarded("token", _ADMIN, lambda: _token(registry_uri)))
    yield from token
    if all(finding.state != "fail" for finding in token):
        yield from guarded("objects", _STORE, lambda: _round_trip(uri, registry_uri))
    yield from guarded("cache", "Set MODELYARD_CACHE to a folder of yours.", _cache_folder)


_START = (
    "See that the server runs and that MODELYARD_TRACKING_URI is its address; `modelyard up` "
    "starts one here."
)
_ADMIN = "Set MODELYARD_TOKEN or MODELYARD_TOKEN_FILE to a valid token; an admin makes one."
_STORE = (
    "See that this machine reaches the URL that the server signs: MODELYARD_PUBLIC_URL there, or "
    "MODELYARD_S3_PUBLIC_ENDPOINT for S3."
)


def _address(uris: Mapping[str, str]) -> Iterator[Finding]:
    targets = {}
    for area, uri in uris.items():
        connection = connections.connect(uri)
        target = targets[area] = getattr(connection.targets, area)
        ready = grpc.channel_ready_future(connection.channel(area))
        try:
            ready.result(timeout=_TIMEOUT_S)
        except grpc.FutureTimeoutError:
            yield fail(
                "address",
                f"{uri} says that {area} is at {target}, which does not answer from here.",
                "Let this machine reach that port, or tell the gateway what clients can connect: "
                f"MODELYARD_{area.upper()}_PUBLIC_TARGET.",
            )
        finally:
            ready.cancel()
    where = ", ".join(f"{area} {target}" for area, target in targets.items())
    yield ok("address", f"{uris['tracking']} answers; {where}")


def _document(uri: str) -> Iterator[Finding]:
    request = urllib.request.Request(f"{uri.rstrip('/')}/.well-known/modelyard")  # noqa: S310 - of http(s), as `check` saw
    with http.open_url(request, _TIMEOUT_S) as reply:
        theirs = str(json.loads(reply.read()).get("version", ""))
        date = reply.headers.get("date")
    ours = version("modelyard")
    if theirs == ours:
        yield ok("version", f"{ours} here and there")
    else:
        yield warn(
            "version",
            f"{ours} here, {theirs or 'unknown'} at the server",
            f"Install the same here: pip install modelyard=={theirs}",
        )
    if date:
        yield _clock(parsedate_to_datetime(date).timestamp() - time.time())


def _clock(skew_s: float) -> Finding:
    said = (
        f"the server's clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} this"
    )
    remedy = "Let both machines keep time by NTP: signed URLs and tokens end by the clock."
    if abs(skew_s) > _CLOCK_FAIL_S:
        return fail("clock", said, remedy)
    if abs(skew_s) > _CLOCK_WARN_S:
        return warn("clock", said, remedy)
    return ok("clock", f"differs by less than {_CLOCK_WARN_S:.0f} s")


def certificate(parts: SplitResult) -> Iterator[Finding]:
    """Look at how long the certificate of a host is valid."""
    host, port = parts.hostname or "", parts.port or _PORTS["https"]
    context = tls.context(of_server=True)
    with (
        socket.create_connection((host, port), _TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        shown: dict[str, Any] = secured.getpeercert() or {}
    left_s = ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()
    said = f"the certificate of {host} ends in {left_s / _DAY_S:.0f} days"
    if left_s < _ENDS_SOON_S:
        yield warn("certificate", said, "Renew it; the services read it again by themselves.")
    else:
        yield ok("certificate", said)


def _health(uris: Mapping[str, str]) -> Iterator[Finding]:
    for area, uri in uris.items():
        stub = health_pb2_grpc.HealthStub(connections.connect(uri).channel(area))
        for service in SERVICES[area]:
            request = health_pb2.HealthCheckRequest(service=service.full_name)
            try:
                status = stub.Check(request, timeout=_TIMEOUT_S).status
            except grpc.RpcError as error:
                said = f"{service.name} does not say how it is: {error.code().name}"
                yield fail("health", said, f"See the log of {area}.")
                continue
            if status == health_pb2.HealthCheckResponse.SERVING:
                yield ok("health", f"{service.name} is ready")
            else:
                said = f"{service.name} is up, but not ready"
                yield fail("health", said, f"Run `modelyard doctor` where {area} runs.")


def _token(uri: str) -> Iterator[Finding]:
    caller = rpc.call(uri, access_pb2.GetCallerRequest(), access_pb2.GetCallerResponse)
    if not caller.name:
        yield ok("token", "none is asked for: whoever reaches the server may do everything")
        return
    role = access_pb2.Role.Name(caller.role).lower() if caller.role else "the services' own"
    said = f"'{caller.name}' is accepted ({role})"
    if not caller.HasField("expire_time"):
        yield ok("token", said)
        return
    left_s = caller.expire_time.ToSeconds() - time.time()
    said = f"{said}; it ends in {left_s / _DAY_S:.0f} days"
    if left_s < _ENDS_SOON_S:
        yield warn("token", said, "Ask an admin for a new one: modelyard tokens create")
    else:
        yield ok("token", said)


def _round_trip(uri: str, registry_uri: str) -> Iterator[Finding]:
    caller = rpc.call(registry_uri, access_pb2.GetCallerRequest(), access_pb2.GetCallerResponse)
    needed = {Permission.TRACKING_WRITE, Permission.TRACKING_DELETE}
    if caller.name and not needed <= set(caller.permissions):
        yield ok("objects", "not tried: this token may not write")
        return
    client = MlflowClient(uri)
    run_id = client.create_run("0", run_name="modelyard-doctor").info.run_id
    try:
        with tempfile.TemporaryDirectory() as folder:
            sent = Path(folder) / "doctor.txt"
            sent.write_text(f"sent at {time.time_ns()}")
            client.log_artifact(run_id, sent)
            came = Path(client.download_artifacts(run_id, sent.name, f"{folder}/back"))
            is_same = came.read_bytes() == sent.read_bytes()
    finally:
        client.delete_run(run_id)
    if is_same:
        yield ok("objects", "a file went to the store and came back (its run is deleted again)")
    else:
        yield fail("objects", "a file came back from the store with other bytes", _STORE)


def _cache_folder() -> Iterator[Finding]:
    folder = cache.root()
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            yield ok("cache", f"{folder} can be written")
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}"
        yield fail("cache", said, "Set MODELYARD_CACHE to a folder of yours.")
