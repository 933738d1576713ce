"""What the mains read from the environment."""

from __future__ import annotations

import dataclasses
import pwd
import subprocess
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from tests.support.processes.up_process import environment

from modelyard.exceptions import InvalidState
from modelyard.internal import cache, instances
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.settings.declarations import declaration, load, variables, wrong
from modelyard_kit.settings.programs import KNOWN_VARIABLES, PROGRAMS, SERVICES
from modelyard_kit.settings.table import (
    AdminSettings,
    GatewaySettings,
    ModelServerSettings,
    TrackingSettings,
    UpSettings,
)
from modelyard_server.admin import migrate
from modelyard_server.processes.databases import open_own
from modelyard_server.processes.home import url_secret
from modelyard_server.processes.running import read
from modelyard_server.processes.stores import store_settings
from modelyard_serving.runtime.framing import MAX_BODY_BYTES


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom the system knows nothing, as containers may run."""

    def unknown(_: int) -> NoReturn:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "MODELYARD_HOME", "MODELYARD_CACHE"):
        monkeypatch.delenv(variable, raising=False)


def test_an_empty_variable_is_as_good_as_unset() -> None:
    empty = dict.fromkeys(KNOWN_VARIABLES, "")
    for kind in PROGRAMS.values():
        assert load(kind, empty) == load(kind, {}) == kind()


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_needs_none_for_a_service_that_keeps_nothing_there(tmp_path: Path) -> None:
    environ = {"MODELYARD_ARTIFACTS": "s3://models"}
    told = read(TrackingSettings, "tracking", [], environ)
    assert store_settings(told).artifacts == "s3://models"
    open_own("tracking", f"sqlite:///{tmp_path}/tracking.db", told.home).close()
    assert url_secret(told.home, "a token of the services")
    assert store_settings(load(UpSettings, environ)).artifacts == "s3://models"


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_and_needs_one_is_told_which_setting_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = UpSettings()
    for needing in (lambda: store_settings(told), lambda: open_own("registry", "", told.home)):
        with pytest.raises(InvalidArgument, match="Set MODELYARD_HOME to a folder"):
            needing()
    assert migrate.run([]) == 1
    assert "Set MODELYARD_HOME" in capsys.readouterr().err
    for unknown in (instances.home, cache.root):
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
    assert "Run the service `gateway` in its own process" in said
    assert "Attributes" not in said


URLS = {
    "models.example": "models.example",
    "ftp://models.example": "ftp://models.example",
    "https://": "https://",
    "https:///path": "https:///path",
    "https://h/?a=b": "https://h/?a=b",
    "https://h#part": "https://h#part",
    "https://h/with space": "https://h/with space",
    "https://[h": "https://[h",
    "https://h:65536": "https://h:65536",
    "https://h:port": "https://h:port",
    "https://ann:secret@h": "https://***@h",
}
"""Public URLs that no client can use, with what a message shows of each."""

WITH_PUBLIC_URL = [
    kind for kind in (*PROGRAMS.values(), AdminSettings) if "public_url" in variables(kind)
]


def test_up_and_the_services_that_sign_urls_have_a_public_url() -> None:
    names = {name for name, kind in PROGRAMS.items() if kind in WITH_PUBLIC_URL}
    assert names == {"up", "tracking", "registry", "gateway"}


@pytest.mark.parametrize("kind", WITH_PUBLIC_URL)
@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_every_program_refuses_the_same_public_urls_in_the_same_words(
    kind: type[UpSettings], url: str, shown: str
) -> None:
    message = (
        f"Invalid MODELYARD_PUBLIC_URL '{shown}': expected the URL that clients use, "
        "e.g. https://models.example.com."
    )
    from_environment = partial(load, kind, {"MODELYARD_PUBLIC_URL": url})
    for make in (from_environment, partial(kind, public_url=url)):
        with pytest.raises(InvalidArgument) as caught:
            make()
        assert caught.value.message == message


@pytest.mark.parametrize("kind", WITH_PUBLIC_URL)
@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://models.example", "https://models.example"),
        ("https://models.example/", "https://models.example"),
        ("http://[::1]:5000//", "http://[::1]:5000"),
        ("http://my_host:80/a/b/", "http://my_host:80/a/b"),
    ],
)
def test_every_program_understands_a_public_url_alike(
    kind: type[UpSettings], url: str, base: str
) -> None:
    assert load(kind, {"MODELYARD_PUBLIC_URL": url}).public_url == base


@pytest.mark.parametrize("text", ["-1", "0", "65536", "loud", "h:1", "http://h", "a b/:?#"])
def test_all_programs_that_read_a_variable_refuse_the_same_values_in_the_same_words(
    text: str,
) -> None:
    for name in sorted(KNOWN_VARIABLES):
        kinds = [kind for kind in PROGRAMS.values() if name in variables(kind).values()]
        said = {wrong([kind], {name: text}).get(name, "accepted") for kind in kinds}
        assert len(said) == 1, name


def test_each_declaration_of_a_variable_has_one_type_and_one_text() -> None:
    declared = defaultdict(set)
    for kind in (*PROGRAMS.values(), AdminSettings):
        for field in dataclasses.fields(kind):
            found = declaration(field)
            declared[field.name].add((field.type, found.text, found.check))
    assert [name for name, found in declared.items() if len(found) > 1] == []


@pytest.mark.parametrize("role", SERVICES)
def test_an_unknown_variable_is_refused_by_every_service(role: str) -> None:
    with pytest.raises(InvalidArgument, match="Unknown setting MODELYARD_PROT"):
        read(SERVICES[role], role, [], {"MODELYARD_PROT": "1"})


def test_the_largest_body_of_a_prediction_is_the_largest_that_fits_in_a_frame() -> None:
    assert ModelServerSettings(serving_max_body_bytes=MAX_BODY_BYTES)
    with pytest.raises(InvalidArgument, match="MODELYARD_SERVING_MAX_BODY_BYTES"):
        ModelServerSettings(serving_max_body_bytes=MAX_BODY_BYTES + 1)


def test_up_refuses_a_wrong_setting_before_it_loads_what_serves() -> None:
    program = (
        "import sys, modelyard_server.processes.up\n"
        "print(modelyard_server.processes.up.run(['--port', '65536']))\n"
        "print(sorted({'grpc', 'google', 'sqlalchemy', 'ssl', 'asyncio'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert done.stdout == "1\n[]\n"
