"""TLS of the client: whom it trusts, what it shows, and what it says when that fails."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme
from tests.support.platforms.recording_tracking import Recorder, serving
from tests.support.stores.answering_store import Answer, AnsweringStore, answering_store

from modelyard._artifacts.objects import Object
from modelyard._artifacts.transfer import Links, Transfer
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, ModelyardException, Unavailable

_YEAR_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=365)
_VARIABLES = (
    "MODELYARD_TLS_CA_FILE",
    "MODELYARD_TLS_CERT_FILE",
    "MODELYARD_TLS_KEY_FILE",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_TRACKING_INSECURE_TLS",
)


@dataclass(frozen=True)
class Files:
    """PEM files, and the authority that made them.

    Attributes:
        authority: Signs servers and clients.
        ca: Its certificate.
        cert: Of a client.
        key: Of that.
        both: The two in one file.
        other_ca: Of another authority.
    """

    authority: trustme.CA
    ca: Path
    cert: Path
    key: Path
    both: Path
    other_ca: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    made = Files(
        trustme.CA(),
        *(folder / name for name in ("ca.pem", "cert.pem", "key.pem", "both.pem", "other.pem")),
    )
    client = made.authority.issue_cert("me@example.org")
    made.authority.cert_pem.write_to_path(str(made.ca))
    trustme.CA().cert_pem.write_to_path(str(made.other_ca))
    client.cert_chain_pems[0].write_to_path(str(made.cert))
    client.private_key_pem.write_to_path(str(made.key))
    client.private_key_and_cert_chain_pem.write_to_path(str(made.both))
    return made


@pytest.fixture(autouse=True)
def no_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)


def _credentials(certificate: trustme.LeafCert, client_ca: Path | None) -> grpc.ServerCredentials:
    pair = (
        certificate.private_key_pem.bytes(),
        b"".join(pem.bytes() for pem in certificate.cert_chain_pems),
    )
    root = client_ca.read_bytes() if client_ca else None
    return grpc.ssl_server_credentials([pair], root, require_client_auth=client_ca is not None)


def _context(certificate: trustme.LeafCert, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(params=[False, True], ids=["tls", "mtls"])
def server(request: pytest.FixtureRequest, files: Files) -> Iterator[tuple[str, int]]:
    """A gateway and a tracking service with TLS; one form asks for the client's certificate."""
    certificate = files.authority.issue_cert("127.0.0.1")
    client_ca = files.ca if request.param else None
    with (
        serving(Recorder(), credentials=_credentials(certificate, client_ca)) as port,
        answering_store(_context(certificate, client_ca)) as discovery,
    ):
        document = {"grpc": {"tracking": f":{port}", "registry": f":{port}"}}
        discovery.answer = lambda _: Answer(body=json.dumps(document).encode())
        yield discovery.url.partition("/object")[0], port


def _name(uri: str) -> str:
    return MlflowClient(uri).get_experiment("7").experiment_id


@pytest.mark.parametrize("is_mlflow", [False, True], ids=["ours", "mlflow"])
def test_a_server_of_an_own_authority_is_called(
    server: tuple[str, int],
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    is_mlflow: bool,  # noqa: FBT001
) -> None:
    uri, port = server
    if is_mlflow:
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(files.ca))
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(files.both))
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "false")
    else:
        monkeypatch.setenv("MODELYARD_TLS_CA_FILE", str(files.ca))
        monkeypatch.setenv("MODELYARD_TLS_CERT_FILE", str(files.cert))
        monkeypatch.setenv("MODELYARD_TLS_KEY_FILE", str(files.key))
    assert _name(uri) == "7"
    assert _name(f"grpcs://127.0.0.1:{port}") == "7"


def _refused(uri: str) -> str:
    with pytest.raises(Unavailable) as failed:
        _name(uri)
    assert uri in failed.value.message
    return failed.value.message


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
@pytest.mark.parametrize("fault", ["authority", "expired", "name"])
def test_a_certificate_that_is_not_trusted_is_one_readable_error(
    files: Files, monkeypatch: pytest.MonkeyPatch, scheme: str, fault: str
) -> None:
    monkeypatch.setenv(
        "MODELYARD_TLS_CA_FILE", str(files.other_ca if fault == "authority" else files.ca)
    )
    certificate = files.authority.issue_cert(
        "elsewhere.example.org" if fault == "name" else "127.0.0.1",
        not_after=_YEAR_AGO if fault == "expired" else None,
    )
    with (
        serving(Recorder(), credentials=_credentials(certificate, None)) as port,
        answering_store(_context(certificate)) as discovery,
    ):
        https = discovery.url.partition("/object")[0]
        message = _refused(https if scheme == "https" else f"grpcs://127.0.0.1:{port}")
    expected = {
        "authority": "not signed by a trusted authority; set MODELYARD_TLS_CA_FILE",
        "expired": "its certificate has expired",
        "name": "its certificate is for another name",
    }
    assert expected[fault] in message
    assert "SSL" not in message.replace("_TLS_", "")


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_server_without_tls_is_said(scheme: str) -> None:
    with serving(Recorder()) as port, answering_store() as plain:
        plain.answer = lambda _: Answer(404)
        http_port = plain.url.split("/")[2].partition(":")[2]
        message = _refused(f"{scheme}://127.0.0.1:{http_port if scheme == 'https' else port}")
    assert "it does not speak TLS; use http:// or grpc://" in message


def test_a_server_with_tls_that_is_called_without_is_said(files: Files) -> None:
    certificate = files.authority.issue_cert("127.0.0.1")
    with serving(Recorder(), credentials=_credentials(certificate, None)) as port:
        assert "Does it require TLS" in _refused(f"grpc://127.0.0.1:{port}")
        assert "cannot be reached" in _refused(f"http://127.0.0.1:{port}")


def test_a_grpc_port_that_is_called_by_http_is_said() -> None:
    with serving(Recorder()) as port:
        with pytest.raises(ModelyardException, match="does not speak HTTP") as failed:
            _name(f"http://127.0.0.1:{port}")
        assert f"grpc://127.0.0.1:{port}" in failed.value.message


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_missing_client_certificate_is_hinted_at(
    files: Files, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("MODELYARD_TLS_CA_FILE", str(files.ca))
    certificate = files.authority.issue_cert("127.0.0.1")
    with (
        serving(Recorder(), credentials=_credentials(certificate, files.ca)) as port,
        answering_store(_context(certificate, files.ca)) as discovery,
    ):
        https = discovery.url.partition("/object")[0]
        message = _refused(https if scheme == "https" else f"grpcs://127.0.0.1:{port}")
    assert "MODELYARD_TLS_CERT_FILE" in message


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"MODELYARD_TLS_CA_FILE": "nothing"}, "MODELYARD_TLS_CA_FILE names 'nothing', which"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "key"}, "MLFLOW_TRACKING_SERVER_CERT_PATH names"),
        ({"MODELYARD_TLS_KEY_FILE": "key"}, "is set without MODELYARD_TLS_CERT_FILE"),
        ({"MODELYARD_TLS_CERT_FILE": "nothing"}, "MODELYARD_TLS_CERT_FILE names 'nothing'"),
        ({"MODELYARD_TLS_CERT_FILE": "cert"}, "hold no certificate and key in PEM form"),
        (
            {"MODELYARD_TLS_CERT_FILE": "ca", "MODELYARD_TLS_KEY_FILE": "key"},
            "does not belong to the certificate",
        ),
        ({"MLFLOW_TRACKING_INSECURE_TLS": "true"}, "MLFLOW_TRACKING_INSECURE_TLS is not supported"),
    ],
)
@pytest.mark.parametrize("uri", ["https://127.0.0.1:9", "grpcs://127.0.0.1:9"])
def test_a_file_that_cannot_be_used_is_named(
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    variables: dict[str, str],
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(getattr(files, value, value)))
    with pytest.raises(InvalidParameter) as refused:
        _name(uri)
    assert said in refused.value.message


def test_what_is_not_used_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_TLS_CA_FILE", "nothing")
    with serving(Recorder()) as port:
        assert _name(f"grpc://127.0.0.1:{port}") == "7"


def _get(store: AnsweringStore, server: str, sink: Path) -> None:
    content = b"bytes"
    store.answer = lambda _: Answer(body=content)
    item = Object(hashlib.sha256(content).hexdigest(), len(content))
    with Transfer(server) as transfer, sink.open("w+b") as file:
        urls = {item.digest: store.url}
        transfer.get(item, Links(urls, lambda: urls), "some/file", file)


def test_the_client_certificate_is_shown_to_the_server_and_not_to_a_store_elsewhere(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELYARD_TLS_CA_FILE", str(files.ca))
    monkeypatch.setenv("MODELYARD_TLS_CERT_FILE", str(files.both))
    asking = _context(files.authority.issue_cert("127.0.0.1"), files.ca)
    with answering_store(asking) as store:
        _get(store, "127.0.0.1", tmp_path / "got")
        with pytest.raises(Unavailable):
            _get(store, "modelyard.example.org", tmp_path / "got")
    with answering_store(_context(files.authority.issue_cert("127.0.0.1"))) as store:
        _get(store, "modelyard.example.org", tmp_path / "got")


def test_a_store_that_is_not_trusted_is_not_tried_again(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELYARD_TLS_CA_FILE", str(files.other_ca))
    with (
        answering_store(_context(files.authority.issue_cert("127.0.0.1"))) as store,
        pytest.raises(Unavailable, match="'some/file': its certificate was not signed"),
    ):
        _get(store, "127.0.0.1", tmp_path / "got")
