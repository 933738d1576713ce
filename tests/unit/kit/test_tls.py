"""TLS of servers and of their clients, with certificates of a test authority."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.http.certificates import Authority, Issued
from tests.support.platforms.notebook import SERVICE, Stub

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.channel import connect, rotating
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.tls import CA, CERT, CLIENT_CA, KEY, ServerTls, TlsFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@contextmanager
def serving(files: TlsFiles, servicer: object = None) -> Iterator[str]:
    server = RpcServer(tls=files.server())
    server.add(SERVICE, servicer)
    (port,) = server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.drain(5)


def is_answered(target: str, files: TlsFiles) -> bool:
    with connect(target, SERVICE, credentials=files.channel_credentials()) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        call = stub.Check.future(health_pb2.HealthCheckRequest(), timeout=30)
        assert call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        return bool(call.code() is grpc.StatusCode.OK)


def test_clients_that_trust_the_authority_are_answered_and_others_are_not(
    authority: Authority, tmp_path: Path
) -> None:
    with serving(authority.files()) as target:
        assert is_answered(target, TlsFiles(ca=authority.ca))
        assert not is_answered(target, TlsFiles(ca=Authority(tmp_path / "other").ca))
        assert not is_answered(target, TlsFiles())


def test_callers_must_present_a_certificate_where_one_is_required(
    authority: Authority, tmp_path: Path
) -> None:
    files = authority.files(mutual=True)
    stranger = Authority(tmp_path / "other").issue()
    with serving(files) as target:
        assert is_answered(target, files)
        assert not is_answered(target, TlsFiles(ca=authority.ca))
        assert not is_answered(target, TlsFiles(stranger.cert, stranger.key, authority.ca))


def shown(port: int, ca: Path) -> bytes:
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        found = secure.getpeercert(binary_form=True)
    assert found
    return found


def test_a_replaced_certificate_is_presented_to_the_next_caller(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(authority.files()) as target:
        port = int(target.rpartition(":")[2])
        first = shown(port, authority.ca)
        assert shown(port, authority.ca) == first
        with caplog.at_level(logging.INFO):
            issued = authority.issue()
            second = shown(port, authority.ca)
        assert second != first
        assert "the TLS certificate was replaced" in caplog.text

        issued.key.write_text("half of a k")
        assert shown(port, authority.ca) == second
        assert "changed TLS files are not used" in caplog.text
        issued.key.unlink()
        assert shown(port, authority.ca) == second

        authority.issue()
        assert shown(port, authority.ca) not in {first, second}


def test_a_replaced_certificate_is_presented_to_the_next_server_called(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other").issue()
    mine = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem", authority.ca)
    put(stranger, mine)
    with (
        serving(authority.files(mutual=True)) as target,
        closing(connect(target, SERVICE, credentials=mine.newest_credentials())) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)

        def check() -> int:
            status: int = stub.Check(health_pb2.HealthCheckRequest(), timeout=30).status
            return status

        with pytest.raises(grpc.RpcError):
            check()
        put(authority.issue("localhost"), mine)
        assert check() == health_pb2.HealthCheckResponse.SERVING
        put(Issued(mine.cert or tmp_path, authority.ca), mine)  # they do not fit together
        assert check() == health_pb2.HealthCheckResponse.SERVING


class Waiting:
    """Answers when the test permits it."""

    def __init__(self) -> None:
        self.asked, self.permitted = threading.Event(), threading.Event()

    def GetRegisteredModel(
        self, _request: pb.GetRegisteredModelRequest, _context: grpc.ServicerContext
    ) -> pb.GetRegisteredModelResponse:
        self.asked.set()
        self.permitted.wait()
        return pb.GetRegisteredModelResponse()


def test_calls_in_flight_are_answered_when_the_certificate_is_replaced(
    authority: Authority, tmp_path: Path
) -> None:
    mine = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem", authority.ca)
    put(authority.issue("localhost"), mine)
    servicer, request = Waiting(), pb.GetRegisteredModelRequest(name="iris")
    with (
        serving(authority.files(mutual=True), servicer) as target,
        closing(connect(target, SERVICE, credentials=mine.newest_credentials())) as channel,
        ThreadPoolExecutor(1) as threads,
    ):
        stub = Stub(channel)
        answer = threads.submit(stub.GetRegisteredModel, request, timeout=30)
        servicer.asked.wait()
        put(authority.issue("localhost"), mine)
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        gc.collect()
        servicer.permitted.set()
        assert answer.result() == pb.GetRegisteredModelResponse()


def test_a_channel_of_an_event_loop_presents_the_newest_certificate_too(
    authority: Authority, tmp_path: Path
) -> None:
    mine = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem", authority.ca)
    put(authority.issue("localhost"), mine)
    servicer, request = Waiting(), pb.GetRegisteredModelRequest(name="iris")

    async def ask(target: str) -> pb.GetRegisteredModelResponse:
        channel = rotating(
            mine.newest_credentials(),
            lambda shown: grpc.aio.secure_channel(target, shown or grpc.ssl_channel_credentials()),
        )
        stub: Any = Stub(channel)
        answer = asyncio.ensure_future(stub.GetRegisteredModel(request, timeout=30))
        await asyncio.to_thread(servicer.asked.wait)
        put(Authority(tmp_path / "other").issue(), mine)
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            await stub.GetRegisteredModel(request, timeout=30)
        gc.collect()
        servicer.permitted.set()
        found: pb.GetRegisteredModelResponse = await answer
        await channel.close()
        return found

    with serving(authority.files(mutual=True), servicer) as target:
        assert asyncio.run(ask(target)) == pb.GetRegisteredModelResponse()


def put(issued: Issued, files: TlsFiles) -> None:
    """Replace a certificate by another one."""
    for source, place in ((issued.cert, files.cert), (issued.key, files.key)):
        assert place is not None
        if source != place:
            place.write_bytes(source.read_bytes())


def test_an_https_context_presents_the_newest_certificate(authority: Authority) -> None:
    issued = authority.issue()
    context = ServerTls(issued.cert, issued.key, None).ssl_context()
    first = _handshake(context, authority.ca)
    authority.issue()
    assert _handshake(context, authority.ca) != first


def _handshake(server: ssl.SSLContext, ca: Path) -> bytes | None:
    """Perform a handshake in memory; return the certificate that the server presented."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=str(ca))
    sides = [
        trusting.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for side in sides * 2:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return sides[0].getpeercert(binary_form=True)


def test_invalid_files_are_named_by_their_setting(authority: Authority, tmp_path: Path) -> None:
    ours, other = authority.issue(), Authority(tmp_path / "other").issue()
    text, folder = tmp_path / "text", tmp_path / "folder"
    text.write_text("no certificate")
    folder.mkdir()
    nowhere = tmp_path / "nowhere"
    for cert, key, client_ca, message in [
        (nowhere, ours.key, None, f"{CERT} names a file that cannot be read: No such file"),
        (ours.cert, folder, None, f"{KEY} names a file that cannot be read: Is a directory"),
        (
            ours.cert,
            other.key,
            None,
            f"The private key of {KEY} does not belong to the certificate of {CERT}",
        ),
        (text, ours.key, None, f"{CERT} and {KEY} must name a PEM certificate"),
        (ours.cert, text, None, f"{CERT} and {KEY} must name a PEM certificate"),
        (ours.cert, ours.key, nowhere, f"{CLIENT_CA} names a file that cannot be read"),
        (ours.cert, ours.key, text, f"{CLIENT_CA} names a file without a PEM certificate"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            TlsFiles(cert, key, None, client_ca).server()
    with pytest.raises(InvalidArgument, match=f"{CA} names a file without a PEM certificate"):
        TlsFiles(ca=text).channel_credentials()
    with pytest.raises(InvalidArgument, match="does not belong to the certificate"):
        TlsFiles(ours.cert, other.key, authority.ca).channel_credentials()


def test_an_encrypted_key_is_refused_without_a_password_prompt(
    authority: Authority, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    ours = authority.issue()
    key = serialization.load_pem_private_key(ours.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    with pytest.raises(InvalidArgument, match="its unencrypted private key"):
        TlsFiles(ours.cert, locked).server()


def test_settings_that_need_each_other_are_asked_for() -> None:
    path = Path("x.pem")
    for files, message in [
        ({"cert": path}, f"{CERT} is set without {KEY}"),
        ({"key": path}, f"{KEY} is set without {CERT}"),
        ({"client_ca": path}, f"{CLIENT_CA} is set without {CERT} and {KEY}"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            TlsFiles(**files)
    assert TlsFiles().server() is None
    assert TlsFiles().channel_credentials() is None
