"""TLS of a server and of who dials it, with certificates of an authority of the test's own."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from certificates import Authority
from grpc_health.v1 import health_pb2, health_pb2_grpc
from notebook import SERVICE

from modelyard_kit.channel import dial
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.server import Server
from modelyard_kit.tls import CA, CERT, CLIENT_CA, KEY, ServerTls, TlsFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@contextmanager
def serving(files: TlsFiles) -> Iterator[str]:
    server = Server(tls=files.server())
    server.add(SERVICE, object())
    (port,) = server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.drain(5)


def is_answered(target: str, files: TlsFiles) -> bool:
    with dial(target, SERVICE, credentials=files.channel_credentials()) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        call = stub.Check.future(health_pb2.HealthCheckRequest(), timeout=30)
        assert call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        return bool(call.code() is grpc.StatusCode.OK)


def test_who_trusts_the_authority_is_answered_and_others_are_not(
    authority: Authority, tmp_path: Path
) -> None:
    with serving(authority.files()) as target:
        assert is_answered(target, TlsFiles(ca=authority.ca))
        assert not is_answered(target, TlsFiles(ca=Authority(tmp_path / "other").ca))
        assert not is_answered(target, TlsFiles())


def test_callers_must_show_a_certificate_where_one_is_asked_for(
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


def test_a_replaced_certificate_is_shown_to_the_next_caller(
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


def test_an_https_context_shows_the_newest_certificate(authority: Authority) -> None:
    issued = authority.issue()
    context = ServerTls(issued.cert, issued.key, None).ssl_context()
    first = _handshake(context, authority.ca)
    authority.issue()
    assert _handshake(context, authority.ca) != first


def _handshake(server: ssl.SSLContext, ca: Path) -> bytes | None:
    """Shake hands in memory; return the certificate that was shown."""
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


def test_files_that_are_not_what_they_should_be_are_named_by_their_setting(
    authority: Authority, tmp_path: Path
) -> None:
    ours, other = authority.issue(), Authority(tmp_path / "other").issue()
    text, folder = tmp_path / "text", tmp_path / "folder"
    text.write_text("no certificate")
    folder.mkdir()
    nowhere = tmp_path / "nowhere"
    for cert, key, client_ca, said in [
        (nowhere, ours.key, None, f"{CERT} names a file that cannot be read: No such file"),
        (ours.cert, folder, None, f"{KEY} names a file that cannot be read: Is a directory"),
        (ours.cert, other.key, None, f"The key of {KEY} is not of the certificate of {CERT}"),
        (text, ours.key, None, f"{CERT} and {KEY} must name a PEM certificate"),
        (ours.cert, text, None, f"{CERT} and {KEY} must name a PEM certificate"),
        (ours.cert, ours.key, nowhere, f"{CLIENT_CA} names a file that cannot be read"),
        (ours.cert, ours.key, text, f"{CLIENT_CA} names a file without a PEM certificate"),
    ]:
        with pytest.raises(InvalidArgument, match=said):
            TlsFiles(cert, key, None, client_ca).server()
    with pytest.raises(InvalidArgument, match=f"{CA} names a file without a PEM certificate"):
        TlsFiles(ca=text).channel_credentials()
    with pytest.raises(InvalidArgument, match="is not of the certificate"):
        TlsFiles(ours.cert, other.key, authority.ca).channel_credentials()


def test_an_encrypted_key_is_refused_and_not_asked_for_its_password(
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
    for files, said in [
        ({"cert": path}, f"{CERT} is set without {KEY}"),
        ({"key": path}, f"{KEY} is set without {CERT}"),
        ({"client_ca": path}, f"{CLIENT_CA} is set without {CERT} and {KEY}"),
    ]:
        with pytest.raises(InvalidArgument, match=said):
            TlsFiles(**files)
    assert TlsFiles().server() is None
    assert TlsFiles().channel_credentials() is None
