"""`modelyard tokens`, against the whole platform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from tests.support.platforms.access_platform import SERVICE_TOKEN, Platform, running_platform

from modelyard_kit.settings.table import UpSettings
from modelyard_server.admin import tokens
from modelyard_server.processes.embedded import Embedded


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_TRACKING_URI", platform.embedded.http)
    monkeypatch.setenv("MODELYARD_TOKEN", SERVICE_TOKEN)


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert tokens.run(["list", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_a_token_is_printed_once_and_works(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["create", "--name", "ci", "--role", "contributor"]
    assert tokens.run([*words, "--models", "fraud-*", "iris", "--expires", "12h"]) == 0
    said = capsys.readouterr()
    token = said.out.removesuffix("\n")
    assert re.fullmatch(r"modelyard_[0-9A-Za-z]{10}_[0-9A-Za-z]{43}", token)
    assert "shown only once" in said.err
    assert token not in said.err
    caller = platform.call("AccessService.GetCaller", token)
    assert (caller.name, list(caller.models)) == ("ci", ["fraud-*", "iris"])
    made = listed(capsys)["ci"]
    assert made["state"] == "valid"
    assert made["created_by"] not in {"", None}
    assert "expires" in made
    seconds = caller.expire_time.ToSeconds() - _created(platform, "ci")
    assert 12 * 3600 - 5 <= seconds <= 12 * 3600 + 5


def _created(platform: Platform, name: str) -> int:
    found = platform.call("AccessService.ListTokens").tokens
    (token,) = (token for token in found if token.name == name)
    return int(token.create_time.ToSeconds())


def test_a_token_ends_after_90_days_unless_asked_otherwise(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, expires in (("usual", []), ("for-ever", ["--expires", "never"])):
        assert tokens.run(["create", "--name", name, "--role", "viewer", *expires]) == 0
    capsys.readouterr()
    found = {token.name: token for token in platform.call("AccessService.ListTokens").tokens}
    usual = found["usual"]
    days = (usual.expire_time.ToSeconds() - usual.create_time.ToSeconds()) / 86400
    assert round(days) == 90
    assert not found["for-ever"].HasField("expire_time")
    assert listed(capsys)["for-ever"]["expires"] is None


def test_the_list_is_a_table_of_all(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.token("approver", name="rosa", models=["fraud-*"])
    assert tokens.run(["list"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["ID", "NAME", "ROLE", "MODELS"]
    (rosa,) = (line for line in lines if " rosa " in line)
    assert rosa.split()[1:7] == ["rosa", "approver", "fraud-*", "*", "valid", "never"]


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_token_is_revoked_by_id_or_name(
    platform: Platform, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    name = f"gone-by-{by}"
    token_id = platform.token("viewer", name=name).split("_")[1]
    assert tokens.run(["revoke", token_id if by == "id" else name]) == 0
    assert f"The token '{name}' ({token_id}) is revoked" in capsys.readouterr().out
    assert listed(capsys)[name]["state"] == "revoked"


def test_a_token_that_got_about_is_revoked_by_itself_and_not_repeated(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    token = platform.token("viewer", name="got-about")
    foreign = f"modelyard_Zz9Zz9Zz9Z_{'q' * 43}"
    assert tokens.run(["revoke", token]) == 0
    assert tokens.run(["revoke", foreign]) == 1
    said = capsys.readouterr()
    assert "The token 'got-about'" in said.out
    assert "the id or name 'Zz9Zz9Zz9Z'" in said.err
    assert not {token, foreign} & set(re.findall(r"\w+", said.out + said.err))
    assert listed(capsys)["got-about"]["state"] == "revoked"


def test_a_name_is_given_once(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.token("viewer", name="taken")
    assert tokens.run(["create", "--name", "taken", "--role", "viewer"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "A token named 'taken' exists or existed" in said.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["revoke", "nobody"], "No token has the id or name 'nobody'"),
        (["create", "--name", "a b", "--role", "viewer"], "Invalid value 'a b' for parameter 'nam"),
    ],
)
def test_a_refusal_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert tokens.run(words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("modelyard tokens: ")
    assert expected in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["create", "--name", "x"],
        ["create", "--name", "x", "--role", "king"],
        ["create", "--name", "x", "--role", "viewer", "--expires", "soon"],
        ["create", "--name", "x", "--role", "viewer", "--expires", "0d"],
        ["create", "--name", "x", "--role", "viewer", "--models"],
        ["revoke"],
    ],
)
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tokens.run(words)
    assert ended.value.code == 2


def test_who_is_no_admin_makes_no_tokens(
    platform: Platform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", platform.roles["approver"])
    assert tokens.run(["create", "--name", "x", "--role", "admin"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "CreateToken needs the permission ADMIN" in said.err
    assert "role admin" in said.err


def test_a_server_that_asks_for_no_token_is_said_to_be_open(
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path_factory.mktemp("open")
    embedded = Embedded(UpSettings(home=home, port=0, grpc_port=0))
    try:
        monkeypatch.setenv("MODELYARD_TRACKING_URI", embedded.http)
        assert tokens.run(["create", "--name", "ci", "--role", "viewer"]) == 0
    finally:
        embedded.stop()
    said = capsys.readouterr()
    assert said.err.startswith(
        "This server does not require tokens: every client that can reach it may do"
    )
    assert said.out.startswith("modelyard_")
