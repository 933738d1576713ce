from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

import pytest

from modelyard.__main__ import main
from modelyard.client import MlflowClient
from modelyard.exceptions import (
    Aborted,
    AlreadyExists,
    InvalidParameter,
    InvalidState,
    NotFound,
)


@pytest.fixture
def name(client: MlflowClient) -> str:
    name = f"iris {uuid.uuid4().hex}"
    client.create_registered_model(name, tags={"team": "ds"}, description="of a test")
    return name


@pytest.fixture
def source(client: MlflowClient, tmp_path: Path) -> str:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    run_id = client.create_run("0").info.run_id
    client.log_artifact(run_id, tmp_path / "MLmodel", "model")
    return f"runs:/{run_id}/model"


def test_a_model_is_found_changed_renamed_and_deleted(client: MlflowClient, name: str) -> None:
    found = client.get_registered_model(name)
    assert (found.description, found.tags) == ("of a test", {"team": "ds"})
    with pytest.raises(AlreadyExists):
        client.create_registered_model(name)
    client.set_registered_model_tag(name, "n", 1)
    client.delete_registered_model_tag(name, "team")
    changed = client.update_registered_model(name, description="changed")
    assert (changed.description, changed.tags) == ("changed", {"n": "1"})
    with pytest.raises(Aborted):
        client.update_registered_model(name, description="late", etag=found.etag)
    assert client.rename_registered_model(name, f"{name}!").name == f"{name}!"
    assert client.search_registered_models(f"name = '{name}!'")[0].description == "changed"
    client.delete_registered_model(f"{name}!")
    with pytest.raises(NotFound):
        client.get_registered_model(f"{name}!")


def test_protection_from_deletion_needs_force(client: MlflowClient, name: str) -> None:
    assert client.update_registered_model(name, deletion_protection=True).deletion_protection
    with pytest.raises(InvalidState):
        client.delete_registered_model(name)
    client.delete_registered_model(name, force=True, comment="a drill")


def test_versions_count_up_and_carry_where_they_came_from(
    client: MlflowClient, name: str, source: str
) -> None:
    first = client.create_model_version(name, source, tags={"a": 1}, description="d")
    second = client.create_model_version(name, source)
    assert (first.version, second.version) == ("1", "2")
    assert (first.status, first.current_stage, first.verified) == ("READY", "None", True)
    assert first.run_id == source.split("/")[1]
    assert first.experiment_id == "0"
    assert len(first.digest) == 64
    assert (first.tags, first.description) == ({"a": "1"}, "d")
    found = client.search_model_versions(f"name='{name}'")
    assert sorted(int(v.version) for v in found) == [1, 2]
    assert client.get_model_version_download_uri(name, 1).endswith(first.digest)


def test_a_version_is_asked_for_by_number_stage_or_alias(
    client: MlflowClient, name: str, source: str
) -> None:
    client.create_model_version(name, source)
    client.transition_model_version_stage(name, 1, "staging")
    client.set_registered_model_alias(name, "champion", 1)
    for version in (1, "1", "Staging", "staging", "champion"):
        assert client.get_model_version(name, version).version == "1"
    assert client.get_model_version_by_alias(name, "latest").aliases == ["champion"]
    assert client.get_registered_model(name).aliases == {"champion": "1"}
    assert client.get_latest_versions(name, ["Staging"])[0].version == "1"
    assert "Production" in client.get_model_version_stages(name, 1)
    client.delete_registered_model_alias(name, "champion")
    with pytest.raises(NotFound):
        client.get_model_version(name, "production")


def test_a_stage_changes_hands_and_is_rolled_back(
    client: MlflowClient, name: str, source: str
) -> None:
    for number in ("1", "2"):
        client.create_model_version(name, source)
        client.transition_model_version_stage(name, number, "Production", comment=f"go {number}")
    assert client.get_model_version(name, 1).current_stage == "None"
    with pytest.raises(Aborted):
        client.transition_model_version_stage(name, 1, "Production", expected_holder=1)
    assert client.rollback(name, "Production", "bad numbers").version == "1"
    assert client.get_model_version(name, 2).current_stage == "Archived"
    last = client.history(name)[-1]
    assert (last.action, last.comment, last.version) == ("STAGE_ROLLED_BACK", "bad numbers", "1")
    assert [event.revision for event in client.history(name)] == list(range(1, last.revision + 1))
    assert client.history(name, after_revision=last.revision) == []


def test_a_rollback_goes_back_to_a_named_version_and_for_an_alias_too(
    client: MlflowClient, name: str, source: str
) -> None:
    for number in (1, 2, 3):
        client.create_model_version(name, source)
        client.transition_model_version_stage(name, number, "Production")
        client.set_registered_model_alias(name, "champion", number)
    assert client.rollback(name, "Production", to=1).version == "1"
    assert client.rollback(name, alias="champion", expected_holder=3).version == "2"
    assert client.rollback(name, alias="champion", comment="worse").version == "1"
    assert client.history(name)[-1].action == "ALIAS_ROLLED_BACK"
    with pytest.raises(InvalidState, match="`to` can name: 2, 3"):
        client.rollback(name, alias="champion")
    for place in ({}, {"stage": "Production", "alias": "champion"}):
        with pytest.raises(InvalidParameter, match="either a stage or an alias"):
            client.rollback(name, **place)


def test_a_deletion_returns_what_was_given_up(client: MlflowClient, name: str, source: str) -> None:
    for _ in range(2):
        client.create_model_version(name, source)
    client.transition_model_version_stage(name, 1, "Production")
    client.set_registered_model_alias(name, "champion", 2)
    [released] = client.delete_model_version(name, 1, comment="bad data").released
    assert (released.version, released.stage, released.aliases) == ("1", "Production", [])
    assert client.history(name)[-1].comment == "bad data"
    [released] = client.delete_registered_model(name).released
    assert (released.version, released.stage, released.aliases) == ("2", "None", ["champion"])


def test_the_commands_roll_back_protect_and_delete(
    client: MlflowClient,
    name: str,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELYARD_TRACKING_URI", str(client.tracking_uri))
    for number in (1, 2):
        client.create_model_version(name, source)
        client.transition_model_version_stage(name, number, "Production")
        client.set_registered_model_alias(name, "champion", number)

    def run(*words: str) -> tuple[int, str]:
        code = main(["models", words[0], name, *words[1:]])
        printed = capsys.readouterr()
        return code, (printed.out + printed.err).replace(name, "iris")

    rolled_back = run("rollback", "--stage", "production", "--to", "1", "--comment", "slow")
    assert rolled_back == (0, "Version 1 of iris is in Production.\n")
    assert run("rollback", "--alias", "champion") == (0, "Version 1 of iris is @champion.\n")
    code, printed = run("rollback", "--alias", "champion")
    assert (code, "`to` can name: 2" in printed) == (1, True)
    assert run("protect") == (0, "iris is protected from deletion.\n")
    assert run("delete")[0] == 1
    assert run("delete", "--version", "1", "--force", "--comment", "a drill") == (
        0,
        "Version 1 of iris is deleted.\nVersion 1 was Production, @champion.\n",
    )
    assert run("protect", "--off") == (0, "iris is no longer protected from deletion.\n")
    assert run("delete") == (0, "iris is deleted.\n")


def test_a_renamed_model_returns_to_its_name(client: MlflowClient, name: str, source: str) -> None:
    client.create_model_version(name, source)
    client.rename_registered_model(name, f"{name} for a while")
    client.rename_registered_model(f"{name} for a while", name)
    assert client.create_model_version(name, source).version == "2"


def test_an_unknown_stage_or_version_is_named(client: MlflowClient, name: str, source: str) -> None:
    client.create_model_version(name, source)
    with pytest.raises(InvalidParameter, match="Prod"):
        client.transition_model_version_stage(name, 1, "Prod")
    with pytest.raises(NotFound, match="9"):
        client.transition_model_version_stage(name, 9, "Staging")
    with pytest.raises(NotFound):
        client.create_model_version(name, f"runs:/{uuid.uuid4().hex}/model")


def test_tags_of_a_version_are_set_by_number_or_stage(
    client: MlflowClient, name: str, source: str
) -> None:
    client.create_model_version(name, source)
    client.transition_model_version_stage(name, 1, "Staging")
    client.set_model_version_tag(name, 1, "team", "ds")
    client.set_model_version_tag(name, key="more", value=2, stage="Staging")
    assert client.get_model_version(name, 1).tags == {"team": "ds", "more": "2"}
    client.delete_model_version_tag(name, key="more", stage="Staging")
    client.delete_model_version_tag(name, 1, "team")
    assert client.get_model_version(name, 1).tags == {}
    for version, stage in ((None, None), (1, "Staging")):
        with pytest.raises(InvalidParameter, match="either a version or a stage"):
            client.set_model_version_tag(name, version, "a", 1, stage)


def test_a_copy_has_the_bytes_tags_and_description_of_its_source(
    client: MlflowClient, name: str, source: str
) -> None:
    first = client.create_model_version(name, source, tags={"a": 1}, description="d")
    copy = client.copy_model_version(f"models:/{name}/1", f"{name} copy")
    assert (copy.name, copy.version, copy.current_stage) == (f"{name} copy", "1", "None")
    assert (copy.digest, copy.run_id, copy.tags) == (first.digest, first.run_id, {"a": "1"})
    assert client.copy_model_version(f"models:/{name}/1", f"{name} copy").version == "2"
    with pytest.raises(InvalidParameter, match="models:/iris/3"):
        client.copy_model_version(source, f"{name} copy")


def test_a_uri_is_resolved_now_and_as_of_then(client: MlflowClient, name: str, source: str) -> None:
    first = client.create_model_version(name, source)
    client.transition_model_version_stage(name, 1, "Production")
    now = client.resolve(f"models:/{name}/Production")
    assert (now.digest, now.run_id) == (first.digest, first.run_id)
    assert now.version is not None
    assert now.version.version == "1"
    assert client.resolve(source).version is None
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(NotFound):
        client.resolve(f"models:/{name}/Production", as_of=long_ago)
    with pytest.raises(InvalidParameter, match="no time zone"):
        client.resolve(f"models:/{name}/Production", as_of=long_ago.replace(tzinfo=None))


def test_deleted_versions_leave_a_gap(client: MlflowClient, name: str, source: str) -> None:
    client.create_model_version(name, source)
    client.create_model_version(name, source)
    client.delete_model_version(name, 2, comment="by mistake")
    assert client.create_model_version(name, source).version == "3"
    with pytest.raises(NotFound):
        client.get_model_version(name, 2)
