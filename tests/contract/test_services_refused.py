"""What a service in a process of its own says to a wrong setting: one line, and an exit code."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.http.certificates import Authority
from tests.support.processes.in_process import a_start_undone

from modelyard_kit.settings.programs import SERVICES
from modelyard_server.admin import migrate
from modelyard_server.processes import gateway, registry, serving, tracking

RUN: dict[str, Callable[[list[str]], int]] = {
    "tracking": tracking.run,
    "registry": registry.run,
    "serving": serving.run,
    "gateway": gateway.run,
}
SECRET = "s3cret-of-the-database"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A home of the test's own; what a start does to the process is undone."""
    with a_start_undone(monkeypatch, tmp_path / "home"):
        yield


def refused(capsys: pytest.CaptureFixture[str], role: str, *arguments: str) -> str:
    """Start a service that must refuse; return the one line it says."""
    assert RUN[role](list(arguments)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"modelyard {role}: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix(f"modelyard {role}: ").strip()


@pytest.mark.parametrize("role", SERVICES)
def test_a_public_address_without_a_token_is_refused_with_tls_too(
    role: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = "Refusing to listen on 0.0.0.0:0 without authentication; set MODELYARD_TOKEN_FILE"
    assert refused(capsys, role, "--listen", "0.0.0.0:0").startswith(said)
    issued = Authority(tmp_path / "authority").issue()
    tls = ("--tls-cert-file", str(issued.cert), "--tls-key-file", str(issued.key))
    assert refused(capsys, role, "--listen", "0.0.0.0:0", *tls).startswith(said)
    monitoring = ("--listen", "127.0.0.1:0", "--monitoring", "[::]:0")
    assert "Refusing to listen on [::]:0 without" in refused(capsys, role, *monitoring)


@pytest.mark.parametrize("role", SERVICES)
def test_a_taken_port_is_refused(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        assert f"Cannot listen on {taken}" in refused(capsys, role, "--listen", taken)
        free = ("--listen", "127.0.0.1:0", "--monitoring", taken)
        assert f"Cannot listen on {taken}" in refused(capsys, role, *free)


@pytest.mark.parametrize(
    ("role", "variable", "value", "said"),
    [
        ("tracking", "TRACKING_LISTEN", "50051", "Invalid MODELYARD_TRACKING_LISTEN '50051'"),
        ("tracking", "TRACKING_LISTEN", "a:70000", "expected host:port"),
        ("tracking", "TRACKING_LISTEN", "::1:5", "expected host:port"),
        ("registry", "REGISTRY_MONITORING", "here", "Invalid MODELYARD_REGISTRY_MONITORING 'here'"),
        ("registry", "LOG_LEVEL", "LOUD", "Invalid MODELYARD_LOG_LEVEL 'LOUD'"),
        ("registry", "DRAIN_DELAY_S", "-1", "Invalid MODELYARD_DRAIN_DELAY_S -1"),
        ("registry", "DRAIN_DELAY_S", "soon", "MODELYARD_DRAIN_DELAY_S must be of type float"),
        ("registry", "REGISTRY_PROT", "1", "Unknown setting MODELYARD_REGISTRY_PROT"),
        ("serving", "TOKEN_FILE", "/nowhere", "MODELYARD_TOKEN_FILE names '/nowhere'"),
        ("serving", "TLS_CERT_FILE", "/x", "TLS_CERT_FILE is set without MODELYARD_TLS_KEY_FILE"),
        ("serving", "TLS_CLIENT_CA_FILE", "/x", "is set without MODELYARD_TLS_CERT_FILE"),
        ("gateway", "TLS_CA_FILE", "/nowhere", "MODELYARD_TLS_CA_FILE names a file that cannot"),
        ("tracking", "REGISTRY_TARGET", "http://h:50052", "MODELYARD_REGISTRY_TARGET 'http://h"),
        ("gateway", "REGISTRY_PUBLIC_TARGET", "https://h", "_REGISTRY_PUBLIC_TARGET 'https://h'"),
        ("tracking", "PUBLIC_URL", "models.example", "Invalid MODELYARD_PUBLIC_URL 'models.ex"),
        ("gateway", "PUBLIC_URL", "https://h/?a=b", "Invalid MODELYARD_PUBLIC_URL 'https://h/"),
        ("gateway", "MAX_UPLOAD_BYTES", "big", "MODELYARD_MAX_UPLOAD_BYTES must be of type int"),
        ("gateway", "S3_ENDPOINT", "store:9000", "Invalid MODELYARD_S3_ENDPOINT 'store:9000'"),
        ("gateway", "ARTIFACTS", "gs://bucket", "Invalid MODELYARD_ARTIFACTS 'gs://bucket'"),
        ("tracking", "TRACKING_DATABASE_URL", "mysql://h/x", "Databases of kind 'mysql' are not"),
        ("registry", "REGISTRY_DATABASE_URL", "sqlite://", "A SQLite database needs a file"),
    ],
)
def test_a_wrong_setting_is_named(
    role: str,
    variable: str,
    value: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(f"MODELYARD_{role.upper()}_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv(f"MODELYARD_{variable}", value)
    assert said in refused(capsys, role)


@pytest.mark.parametrize("url", [f"postgresql//ann:{SECRET}@host", f"oracle://ann:{SECRET}@host/x"])
def test_a_password_in_a_wrong_database_url_is_not_told(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert SECRET not in refused(capsys, "tracking", "--database-url", url)
    assert migrate.run(["--tracking-database-url", url]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert SECRET not in said.err


def test_a_flag_goes_before_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELYARD_SERVING_LISTEN", "from the environment")
    assert "'from a flag'" in refused(capsys, "serving", "--listen", "from a flag")


@pytest.mark.parametrize("role", SERVICES)
def test_the_help_names_the_variable_of_each_flag(
    role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        RUN[role](["--help"])
    assert ended.value.code == 0
    said = "".join(capsys.readouterr().out.split())
    for name in SERVICES[role].__dataclass_fields__:
        assert f"[MODELYARD_{name.upper()}]" in said


def test_an_unknown_flag_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        tracking.run(["--prot", "1"])
    assert ended.value.code == 2


def test_a_database_that_cannot_be_reached_is_not_migrated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"postgresql://ann:{SECRET}@127.0.0.1:{unheard.getsockname()[1]}/x"
        assert migrate.run(["--registry-database-url", url]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("modelyard migrate: The database registry cannot be used: ")
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert SECRET not in said.err


def test_a_check_says_what_would_be_done_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--registry-database-url", f"sqlite:///{tmp_path}/registry.db"]
    assert migrate.run([*flags, "--check"]) == 1
    assert capsys.readouterr().out.startswith("registry: would be migrated from revision none to ")
    assert migrate.run([*flags, "--check"]) == 1
    assert migrate.run(flags) == 0
    capsys.readouterr()
    assert migrate.run([*flags, "--check"]) == 0
    assert capsys.readouterr().out.startswith("registry: at revision ")
