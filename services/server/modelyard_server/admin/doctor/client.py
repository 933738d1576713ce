"""Checks of an installation from a client's side."""

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
from modelyard.exceptions import DataLoss, ResourceExhausted
from modelyard.internal import cache, connections, http, rpc, setting, tls
from modelyard.redaction import redacted
from modelyard_gateway.backends import SERVICES
from modelyard_server.admin import verifying
from modelyard_server.admin.doctor.finding import Finding, fail, guarded, ok, warn

_TIMEOUT_S = 5.0
_CLOCK_WARN_S, _CLOCK_FAIL_S = 5.0, 300.0
_DAY_S = 24 * 60 * 60
_ENDS_SOON_S = 14 * _DAY_S
_PORTS = {"https": 443, "http": 80}


def check(uri: str) -> Iterator[Finding]:
    """Check an installation from this machine.

    Args:
        uri: Address of the tracking server; the registry's may be set by MODELYARD_REGISTRY_URI.
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
        yield from guarded("objects", _STORE, lambda: _tested(uri, registry_uri))
    yield from guarded("cache", "Set MODELYARD_CACHE to a writable folder.", _cache_folder)


def stored_objects(uri: str) -> Iterator[Finding]:
    """Check the bytes of every object in the store of a server.

    Args:
        uri: Address of the tracking server.
    """
    yield from guarded("stored objects", _ADMIN, lambda: _verified(uri))


_START = (
    "Make sure that the server is running and that MODELYARD_TRACKING_URI is its address; "
    "`modelyard up` starts one on this machine."
)
_ADMIN = "Set MODELYARD_TOKEN or MODELYARD_TOKEN_FILE to a valid token; ask an admin for one."
_FULL = (
    "Free space on the disk of the server's store, database or temporary files, whichever is full; "
    "`modelyard doctor` there shows it, and `modelyard gc --dry-run` unused objects."
)
_DAMAGED = (
    "The store changes what it is given: test its disk, and see `modelyard doctor --objects`."
)
_RELOG = (
    "Log the files again from where they came from, or restore the objects from a backup; then "
    "verify again. Look for the cause: the disk, or a program that changes the store."
)
_STORE = (
    "Make sure that this machine can reach the URLs that the server signs: its "
    "MODELYARD_PUBLIC_URL, or MODELYARD_S3_PUBLIC_ENDPOINT for S3."
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
                f"{connection.uri} names {target} for {area}, which does not answer on this "
                "machine.",
                "Make that port reachable from this machine, or set the address that clients can "
                f"reach at the gateway: MODELYARD_{area.upper()}_PUBLIC_TARGET.",
            )
        finally:
            ready.cancel()
    where = ", ".join(f"{area} {target}" for area, target in targets.items())
    yield ok("address", f"{redacted(uris['tracking'])} answers; {where}")


def _document(uri: str) -> Iterator[Finding]:
    shown = connections.connect(uri).uri.rstrip("/")
    request = urllib.request.Request(f"{shown}/.well-known/modelyard")  # noqa: S310 - `check` allows http(s) only
    with http.open_url(request, _TIMEOUT_S) as reply:
        theirs = str(json.loads(reply.read()).get("version", ""))
        date = reply.headers.get("date")
    ours = version("modelyard")
    if theirs == ours:
        yield ok("version", f"{ours} on both sides")
    else:
        yield warn(
            "version",
            f"{ours} on this machine, {theirs or 'unknown'} on the server",
            f"Install the server's version: pip install modelyard=={theirs}",
        )
    if date:
        yield _clock(parsedate_to_datetime(date).timestamp() - time.time())


def _clock(skew_s: float) -> Finding:
    summary = f"the server's clock is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
    remedy = "Synchronize both clocks by NTP: signed URLs and tokens expire by the clock."
    if abs(skew_s) > _CLOCK_FAIL_S:
        return fail("clock", summary, remedy)
    if abs(skew_s) > _CLOCK_WARN_S:
        return warn("clock", summary, remedy)
    return ok("clock", f"differs by less than {_CLOCK_WARN_S:.0f} s")


def certificate(parts: SplitResult) -> Iterator[Finding]:
    """Check the expiry of a host's certificate."""
    host, port = parts.hostname or "", parts.port or _PORTS["https"]
    context = tls.context(of_server=True)
    with (
        socket.create_connection((host, port), _TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        shown: dict[str, Any] = secured.getpeercert() or {}
    left_s = ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()
    summary = f"the certificate of {host} expires in {left_s / _DAY_S:.0f} days"
    if left_s < _ENDS_SOON_S:
        yield warn("certificate", summary, "Renew it; the services reload it without a restart.")
    else:
        yield ok("certificate", summary)


def _health(uris: Mapping[str, str]) -> Iterator[Finding]:
    for area, uri in uris.items():
        stub = health_pb2_grpc.HealthStub(connections.connect(uri).channel(area))
        for service in SERVICES[area]:
            request = health_pb2.HealthCheckRequest(service=service.full_name)
            try:
                status = stub.Check(request, timeout=_TIMEOUT_S).status
            except grpc.RpcError as error:
                summary = f"{service.name} did not report its health: {error.code().name}"
                yield fail("health", summary, f"See the log of {area}.")
                continue
            if status == health_pb2.HealthCheckResponse.SERVING:
                yield ok("health", f"{service.name} is ready")
            else:
                summary = f"{service.name} is running, but not ready"
                yield fail("health", summary, f"Run `modelyard doctor` on the machine of {area}.")


def _token(uri: str) -> Iterator[Finding]:
    caller = rpc.call(uri, access_pb2.GetCallerRequest(), access_pb2.GetCallerResponse)
    if not caller.name:
        yield ok("token", "not required: every client that can reach the server may do everything")
        return
    role = access_pb2.Role.Name(caller.role).lower() if caller.role else "service token"
    summary = f"'{caller.name}' is accepted ({role})"
    if not caller.HasField("expire_time"):
        yield ok("token", summary)
        return
    left_s = caller.expire_time.ToSeconds() - time.time()
    summary = f"{summary}; it expires in {left_s / _DAY_S:.0f} days"
    if left_s < _ENDS_SOON_S:
        yield warn("token", summary, "Ask an admin for a new one: modelyard tokens create")
    else:
        yield ok("token", summary)


def _tested(uri: str, registry_uri: str) -> Iterator[Finding]:
    try:
        yield from _round_trip(uri, registry_uri)
    except ResourceExhausted as error:
        yield fail("objects", error.message, _FULL)
    except DataLoss as error:
        yield fail("objects", error.message, _DAMAGED)


def _round_trip(uri: str, registry_uri: str) -> Iterator[Finding]:
    caller = rpc.call(registry_uri, access_pb2.GetCallerRequest(), access_pb2.GetCallerResponse)
    needed = {Permission.TRACKING_WRITE, Permission.TRACKING_DELETE}
    if caller.name and not needed <= set(caller.permissions):
        yield ok("objects", "not tested: this token may not write")
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
        yield ok("objects", "a file was uploaded and downloaded (its run is deleted again)")
    else:
        yield fail("objects", "a file was downloaded with other bytes than uploaded", _DAMAGED)


def _verified(uri: str) -> Iterator[Finding]:
    count = size_bytes = damaged = 0
    for page in verifying.pages(uri):
        count, size_bytes = count + page.examined, size_bytes + page.examined_bytes
        damaged += len(page.objects)
        for found in page.objects:
            yield fail("stored objects", verifying.described(found), _RELOG)
    if not damaged:
        yield ok("stored objects", f"{count:,} read, {size_bytes:,} bytes; all have their digest")


def _cache_folder() -> Iterator[Finding]:
    folder = cache.root()
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            yield ok("cache", f"{folder} is writable")
    except OSError as error:
        summary = f"{folder} is not writable: {error.strerror}"
        yield fail("cache", summary, "Set MODELYARD_CACHE to a writable folder.")
