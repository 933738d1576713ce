"""What the mains read from the environment."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from modelyard import _cache, _instance
from modelyard.exceptions import InvalidState
from modelyard_kit.errors import InvalidArgument
from modelyard_server import migrate, settings
from modelyard_server.databases import open_own
from modelyard_server.home import url_secret
from modelyard_server.role_settings import GatewaySettings, TrackingSettings, read


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom the system knows nothing, as containers may run."""

    def unknown(_: int) -> NoReturn:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "MODELYARD_HOME", "MODELYARD_CACHE"):
        monkeypatch.delenv(variable, raising=False)


def test_an_empty_variable_is_as_good_as_unset() -> None:
    empty = dict.fromkeys(settings.KNOWN_VARIABLES, "")
    assert settings.from_environment(empty) == settings.from_environment({})


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_needs_none_for_a_service_that_keeps_nothing_there(tmp_path: Path) -> None:
    environ = {"MODELYARD_ARTIFACTS": "s3://models"}
    told = read(TrackingSettings, "tracking", [], environ)
    assert told.store.artifacts == "s3://models"
    open_own("tracking", f"sqlite:///{tmp_path}/tracking.db", told.home).close()
    assert url_secret(told.home, "a token of the services")
    assert settings.from_environment(environ).store.artifacts == "s3://models"


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_and_needs_one_is_told_which_setting_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = settings.from_environment({})
    for needing in (lambda: told.store, lambda: open_own("registry", "", told.home)):
        with pytest.raises(InvalidArgument, match="Set MODELYARD_HOME to a folder"):
            needing()
    assert migrate.run([]) == 1
    assert "Set MODELYARD_HOME" in capsys.readouterr().err
    for unknown in (_instance.home, _cache.root):
        with pytest.raises(InvalidState, match="HOME is not set"):
            unknown()


def test_a_limit_that_no_upload_keeps_to_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Invalid MODELYARD_MAX_UPLOAD_BYTES 0"):
        read(GatewaySettings, "gateway", ["--max-upload-bytes", "0"], {})


def test_a_delay_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(InvalidArgument, match="Invalid MODELYARD_DRAIN_DELAY_S nan: expected 0 to"):
        read(GatewaySettings, "gateway", ["--drain-delay-s", "nan"], {})


def test_help_of_a_service_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(GatewaySettings, "gateway", ["--help"], {})
    said = " ".join(capsys.readouterr().out.split())
    assert "Run the service `gateway` in a process of its own" in said
    assert "Attributes" not in said
