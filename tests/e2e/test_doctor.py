"""The doctor names what is wrong, and only that."""

import errno
import http.server
import json
import os
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import trustme
from google.protobuf.timestamp_pb2 import Timestamp
from tests.support.databases.dialects import empty_url
from tests.support.platforms.access_platform import SERVICE_TOKEN, running_platform
from tests.support.platforms.filled_home import running
from tests.support.processes.ports import free_port

from modelyard import artifacts
from modelyard.exceptions import ModelyardException
from modelyard_kit.artifacts import Digest
from modelyard_kit.rpc.server import RpcServer
from modelyard_server.admin import doctor, gc
from modelyard_server.admin.doctor import client

SECRET = "a-password-nobody-may-see"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("MODELYARD_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "cache"))
    for name in ("MODELYARD_PORT", "MODELYARD_GRPC_PORT"):
        monkeypatch.setenv(name, str(free_port()))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


class Found:
    """What the doctor said, as JSON, with its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        capsys.readouterr()
        self.code = doctor.run(["--json", *arguments])
        self.text = capsys.readouterr().out
        self._findings = json.loads(self.text)

    def of(self, check: str, state: str) -> str:
        """Return what was said in a state; a remedy comes with what is not good."""
        found = [f for f in self._findings if (f["check"], f["state"]) == (check, state)]
        assert found, self.text
        assert all(bool(finding["remedy"]) == (state != "ok") for finding in found)
        return " ".join(f"{finding['summary']} {finding['remedy']}" for finding in found)

    @property
    def failed(self) -> set[str]:
        return {finding["check"] for finding in self._findings if finding["state"] == "fail"}


def test_nothing_is_wrong_with_a_running_platform(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(home) as platform:
        found = Found(capsys)
        by_address = Found(capsys, "--tracking-uri", platform.http)
    for each in (found, by_address):
        assert (each.code, each.failed) == (0, set())
        assert "was uploaded and downloaded" in each.of("objects", "ok")
        assert "RegistryService is ready" in each.of("health", "ok")
        each.of("clock", "ok")
        each.of("cache", "ok")
        assert "is running in this home" in each.of("ports", "ok")


def test_a_store_that_is_full_has_its_own_remedy(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with running(home):
        monkeypatch.setattr(os, "fchmod", full)  # called for a stored object only
        said = Found(capsys).of("objects", "fail")
    assert "is full" in said
    assert "Free space on the disk" in said
    assert "URL" not in said


def test_damaged_and_missing_bytes_are_named_by_the_doctor_and_gc(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(home) as platform:
        platform.create_model()
        run_id = platform.log_run(0)
        platform.register(run_id)
        platform.log_run(1)
        assert "all have their digest" in Found(capsys, "--objects").of("stored objects", "ok")
        assert gc.run(["--verify"]) == 0
        assert "0 damaged or missing" in capsys.readouterr().out
        damaged, missing = (Digest.of(data) for data in (b"w0", b"w1"))
        (home / "objects" / damaged.key).chmod(0o600)
        (home / "objects" / damaged.key).write_bytes(b"w!")
        (home / "objects" / missing.key).unlink()

        assert gc.run(["--verify", "--json"]) == 1
        report = json.loads(capsys.readouterr().out)["verified"]["damaged"]
        said = Found(capsys, "--objects").of("stored objects", "fail")

        assert {found["digest"]: found.get("missing", False) for found in report} == {
            damaged: False,
            missing: True,
        }
        with pytest.raises(ModelyardException, match=rf"'weights'.*{damaged}") as caught:
            artifacts.download_artifacts("models:/iris/1", tracking_uri=platform.http)
        assert caught.value.error_code == "DATA_LOSS"
        in_run = f"'model/weights' of run {run_id}"
        assert f"object {damaged}, 2 bytes, in version 1 of iris, {in_run}" in said
        assert f"missing: object {missing}, 2 bytes, in 'model/weights' of run" in said
        platform.tracking.log_files({"again": b"w0", "too": b"w1"}, run_id=run_id)
        assert gc.run(["--verify"]) == 0
        assert Found(capsys, "--objects").code == 0


def test_people_read_a_line_for_each_check(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_PUBLIC_URL", "models.example")
    assert doctor.run([]) == 1
    said = capsys.readouterr().out
    assert f"ok   home: {home}, for its owner only\n" in said
    assert (
        "fail settings: Invalid MODELYARD_PUBLIC_URL 'models.example': expected the URL that "
        "clients use, e.g. https://models.example.com.\n     → Correct the variable" in said
    )


@pytest.mark.parametrize(
    ("name", "value", "check", "state", "fragment"),
    [
        ("MODELYARD_HOEM", "x", "settings", "fail", "Unknown setting MODELYARD_HOEM"),
        ("MODELYARD_PORT", "x", "settings", "fail", "MODELYARD_PORT must be of type int"),
        ("MODELYARD_SERVING_LISTEN", "x", "settings", "fail", "MODELYARD_SERVING_LISTEN 'x'"),
        ("MODELYARD_TLS_CA_FILE", "/nowhere", "TLS files", "fail", "MODELYARD_TLS_CA_FILE"),
        ("MODELYARD_TLS_CERT_FILE", "/nowhere", "TLS files", "fail", "MODELYARD_TLS_KEY_FILE"),
        ("MODELYARD_TOKEN_FILE", "/nowhere", "token file", "fail", "cannot be read"),
        ("MODELYARD_ARTIFACTS", "http://x", "store", "fail", "Invalid MODELYARD_ARTIFACTS"),
        ("MODELYARD_PUBLIC_URL", "http://models.example", "public URL", "warn", "is not encrypted"),
        ("MODELYARD_REGISTRY_TARGET", "127.0.0.1:1", "services", "fail", "registry does not"),
        ("MODELYARD_TRACKING_URI", "http://127.0.0.1:1", "address", "fail", "cannot be reached"),
        ("MODELYARD_TRACKING_URI", "sqlite:///x", "address", "fail", "Invalid tracking URI"),
        (
            "MODELYARD_TRACKING_DATABASE_URL",
            f"postgresql://me:{SECRET}@127.0.0.1:1/x",
            "database of tracking",
            "fail",
            "refused",
        ),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_wrong_setting_is_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    check: str,
    state: str,
    fragment: str,
) -> None:
    monkeypatch.setenv(name, value)
    found = Found(capsys)
    assert fragment in found.of(check, state)
    # The ports here are those of everybody's platform, and may be taken.
    assert found.failed - {"ports"} == ({check} if state == "fail" else set())
    assert SECRET not in found.text


def test_what_others_may_read_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home.chmod(0o755)
    token = tmp_path / "token"
    token.write_text(SECRET)
    token.chmod(0o644)
    monkeypatch.setenv("MODELYARD_TOKEN_FILE", str(token))
    found = Found(capsys)
    assert "chmod 700" in found.of("home", "warn")
    assert "chmod 600" in found.of("token file", "warn")
    assert SECRET not in found.text


@pytest.mark.usefixtures("home")
def test_a_port_that_is_taken_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("MODELYARD_PORT", str(port))
        assert f"cannot listen on 127.0.0.1:{port}" in Found(capsys).of("ports", "fail")


def test_a_damaged_database_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "registry.db").write_bytes(b"no database at all" * 1000)
    found = Found(capsys)
    assert "not a database" in found.of("database of registry", "fail")
    assert "tracking.db is missing" in found.of("database of tracking", "fail")
    assert found.failed == {"database of registry", "database of tracking"}


@pytest.mark.usefixtures("home")
def test_a_database_that_is_not_migrated_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = Found(capsys, "--tracking-database-url", empty_url("postgresql", tmp_path))
    assert "at revision none" in found.of("database of tracking", "fail")
    assert "modelyard migrate" in found.of("database of tracking", "fail")


class Usage(NamedTuple):
    free: int


@pytest.mark.usefixtures("home")
def test_a_full_disk_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=1 << 20))
    assert "0.0 GiB free" in Found(capsys).of("disk", "fail")


def test_a_cache_that_cannot_be_made_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "file" / "cache"))
    with running(home):
        found = Found(capsys)
    assert "cannot be created" in found.of("cache", "fail")


class _Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def another_server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("home")
def test_a_server_of_another_kind_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with another_server() as uri:
        said = Found(capsys, "--tracking-uri", uri).of("address", "fail")
    assert "not a Modelyard server" in said


@pytest.mark.usefixtures("home")
def test_the_rest_is_looked_at_when_a_setting_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_LOG_LEVEL", "loud")
    monkeypatch.setenv("MODELYARD_ARTIFACTS", "http://x")
    found = Found(capsys)
    assert found.failed - {"ports"} == {"settings", "store"}
    assert "Invalid MODELYARD_ARTIFACTS" in found.of("store", "fail")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "written", ["127.0.0.1:{}", "ipv4:127.0.0.1:1,127.0.0.1:{}", "dns:localhost:{}"]
)
def test_a_service_is_called_at_any_target_of_grpcs_syntax(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    server = RpcServer()
    (port,) = server.start("127.0.0.1:0")
    monkeypatch.setenv("MODELYARD_REGISTRY_TARGET", written.format(port))
    monkeypatch.setenv("MODELYARD_SERVING_TARGET", "127.0.0.1")  # without a port
    found = Found(capsys)
    server.drain(0)
    assert f"registry answers at {written.format(port)}" in found.of("services", "ok")
    assert "serving does not answer at 127.0.0.1" in found.of("services", "fail")


def test_a_registry_with_an_address_of_its_own_is_looked_at_there(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    another = RpcServer()
    (port,) = another.start("127.0.0.1:0")
    with running(home) as platform:
        monkeypatch.setenv("MODELYARD_REGISTRY_URI", platform.http)
        found = Found(capsys, "--tracking-uri", f"grpc://127.0.0.1:{port}")
    another.drain(0)
    assert "RegistryService is ready" in found.of("health", "ok")
    assert "TrackingService did not report its health" in found.of("health", "fail")
    found.of("token", "ok")


@pytest.mark.usefixtures("home")
def test_a_token_is_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_two_days = Timestamp(seconds=int(time.time()) + 2 * 24 * 60 * 60)
    with running_platform(tmp_path) as platform:
        uri = platform.embedded.http
        looked: dict[str, Found] = {}
        tokens = {
            "none": "",
            "wrong": "not-the-token-of-the-services",
            "services": SERVICE_TOKEN,
            "viewer": platform.roles["viewer"],
            "ending": platform.token("contributor", expire_time=in_two_days),
        }
        for name, token in tokens.items():
            monkeypatch.setenv("MODELYARD_TOKEN", token)
            looked[name] = Found(capsys, "--tracking-uri", uri)
            assert not token or token not in looked[name].text
    for name in ("none", "wrong"):
        assert "MODELYARD_TOKEN" in looked[name].of("token", "fail")
    assert "service token" in looked["services"].of("token", "ok")
    assert "may not write" in looked["viewer"].of("objects", "ok")
    assert "expires in 2 days" in looked["ending"].of("token", "warn")
    assert "was uploaded and downloaded" in looked["ending"].of("objects", "ok")


def test_a_certificate_that_ends_soon_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    in_three_days = datetime.now(UTC) + timedelta(days=3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=in_three_days).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def accept() -> None:
        secured.accept()[0].close()

    with (
        pytest.MonkeyPatch.context() as settings,
        socket.create_server(("127.0.0.1", 0)) as listening,
        context.wrap_socket(listening, server_side=True) as secured,
    ):
        settings.setenv("MODELYARD_TLS_CA_FILE", str(tmp_path / "ca.pem"))
        thread = threading.Thread(target=accept)
        thread.start()
        port = secured.getsockname()[1]
        (found,) = client.certificate(urlsplit(f"https://127.0.0.1:{port}"))
        thread.join()
    expected = ("warn", "the certificate of 127.0.0.1 expires in 3 days")
    assert (found.state, found.summary) == expected
