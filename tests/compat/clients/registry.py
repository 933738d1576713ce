"""The registry: models, their versions, stages, aliases, tags and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
from mlflow.tracking import MlflowClient
from tests.compat.clients.refusals import refused


def _source() -> tuple[str, str]:
    """Return the URI of a small model-like folder of a run, and the run's id."""
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "model/MLmodel")
    return f"{run.info.artifact_uri}/model", run.info.run_id


def _read(uri: str) -> str:
    return Path(mlflow.artifacts.download_artifacts(uri)).read_text(encoding="utf-8")


def _versions(filter_string: str, **options: Any) -> list[str]:
    found = MlflowClient().search_model_versions(filter_string, **options)
    return [f"{version.name.split()[0]}{version.version}" for version in found]


def a_model_is_created_described_tagged_and_found() -> None:
    client = MlflowClient()
    name = f"created {uuid4().hex}"
    made = client.create_registered_model(name, tags={"team": "blue"}, description="first")
    assert (made.name, made.description, made.tags) == (name, "first", {"team": "blue"})
    client.update_registered_model(name, "second")
    client.set_registered_model_tag(name, "tier", 1)
    client.delete_registered_model_tag(name, "team")
    found = client.get_registered_model(name)
    assert (found.description, found.tags) == ("second", {"tier": "1"})
    assert found.creation_timestamp <= found.last_updated_timestamp
    assert found.latest_versions == []
    taken = refused(lambda: client.create_registered_model(name))
    assert taken.error_code == "RESOURCE_ALREADY_EXISTS"
    assert name in taken.message
    missing = refused(lambda: client.get_registered_model(f"no {name}"))
    assert missing.error_code == "RESOURCE_DOES_NOT_EXIST"


def versions_are_numbered_and_hold_their_run() -> None:
    client = MlflowClient()
    name = f"numbered {uuid4().hex}"
    client.create_registered_model(name)
    source, run_id = _source()
    first = client.create_model_version(name, source, run_id, {"a": "1"}, description="one")
    second = client.create_model_version(name, source, run_id)
    assert (str(first.version), str(second.version)) == ("1", "2")
    found = client.get_model_version(name, 1)
    assert (found.run_id, found.description, found.tags) == (run_id, "one", {"a": "1"})
    assert (found.status, found.current_stage) == ("READY", "None")
    client.update_model_version(name, 1, "better")
    client.set_model_version_tag(name, "1", "b", "2")
    client.set_model_version_tag(name, "1", "approved_by", "[email protected]")
    client.delete_model_version_tag(name, "1", "a")
    found = client.get_model_version(name, "1")
    assert found.description == "better"
    assert found.tags == {"b": "2", "approved_by": "[email protected]"}
    assert refused(lambda: client.get_model_version(name, 3)).error_code == (
        "RESOURCE_DOES_NOT_EXIST"
    )
    uri = client.get_model_version_download_uri(name, "1")
    assert _read(f"{uri}/MLmodel") == "flavors: {}\n"
    assert client.get_model_version_stages(name, "1") == [
        "None",
        "Staging",
        "Production",
        "Archived",
    ]


def a_run_is_registered_under_many_names() -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "model/MLmodel")
    for name in (f"one {uuid4().hex}", f"two {uuid4().hex}"):
        version = mlflow.register_model(f"runs:/{run.info.run_id}/model", name, tags={"by": "run"})
        assert (str(version.version), version.run_id) == ("1", run.info.run_id)
        assert MlflowClient().get_model_version(name, "1").tags == {"by": "run"}


def stages_are_moved_through() -> None:
    client = MlflowClient()
    name = f"staged {uuid4().hex}"
    client.create_registered_model(name)
    source, run_id = _source()
    for _ in range(3):
        client.create_model_version(name, source, run_id)
    moved = client.transition_model_version_stage(name, 1, "staging")
    assert moved.current_stage == "Staging"
    client.transition_model_version_stage(name, 1, "Production")
    client.transition_model_version_stage(name, 2, "Production", archive_existing_versions=True)
    stages = {
        str(v.version): v.current_stage for v in client.search_model_versions(f"name='{name}'")
    }
    assert stages == {"1": "Archived", "2": "Production", "3": "None"}
    latest = {v.current_stage: str(v.version) for v in client.get_latest_versions(name)}
    assert latest == {"Archived": "1", "Production": "2", "None": "3"}
    (held,) = client.get_latest_versions(name, ["Production"])
    assert str(held.version) == "2"
    (tagged,) = client.get_latest_versions(name, stages=["Production"])
    client.set_model_version_tag(name, key="checked", value="yes", stage="Production")
    assert client.get_model_version(name, tagged.version).tags == {"checked": "yes"}
    error = refused(lambda: client.transition_model_version_stage(name, 1, "Prod"))
    assert error.error_code == "INVALID_PARAMETER_VALUE"
    assert "Prod" in error.message
    assert "Staging" in error.message


def aliases_are_set_moved_and_deleted() -> None:
    client = MlflowClient()
    name = f"aliased {uuid4().hex}"
    client.create_registered_model(name)
    source, run_id = _source()
    client.create_model_version(name, source, run_id)
    client.create_model_version(name, source, run_id)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "challenger", "2")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"
    client.set_registered_model_alias(name, "champion", "2")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "2"
    assert str(client.get_model_version_by_alias(name, "latest").version) == "2"
    assert sorted(client.get_model_version(name, "2").aliases) == ["challenger", "champion"]
    aliases = client.get_registered_model(name).aliases
    assert {alias: str(number) for alias, number in aliases.items()} == {
        "champion": "2",
        "challenger": "2",
    }
    client.delete_registered_model_alias(name, "challenger")
    assert client.get_model_version(name, "2").aliases == ["champion"]
    refused(lambda: client.get_model_version_by_alias(name, "challenger"))
    refused(lambda: client.set_registered_model_alias(name, "latest", "1"))
    refused(lambda: client.set_registered_model_alias(name, "v1", "1"))
    refused(lambda: client.set_registered_model_alias(name, "champion", "9"))


def a_renamed_model_keeps_its_versions() -> None:
    client = MlflowClient()
    old, new = f"old {uuid4().hex}", f"new {uuid4().hex}"
    client.create_registered_model(old, tags={"a": "1"})
    source, run_id = _source()
    client.create_model_version(old, source, run_id, tags={"b": "2"})
    client.set_registered_model_alias(old, "champion", "1")
    client.rename_registered_model(old, new)
    assert client.get_registered_model(new).name == new
    refused(lambda: client.get_registered_model(old))
    assert client.get_registered_model(new).tags == {"a": "1"}
    assert client.get_model_version_by_alias(new, "champion").tags == {"b": "2"}


def a_version_is_copied_to_another_model() -> None:
    client = MlflowClient()
    name, other = f"original {uuid4().hex}", f"copy {uuid4().hex}"
    client.create_registered_model(name)
    source, run_id = _source()
    client.create_model_version(name, source, run_id, {"a": "1"}, description="given")
    copied = client.copy_model_version(f"models:/{name}/1", other)
    assert (copied.name, str(copied.version), copied.run_id) == (other, "1", run_id)
    found = client.get_model_version(other, "1")
    assert (found.tags, found.description) == ({"a": "1"}, "given")
    client.delete_registered_model(name)
    uri = client.get_model_version_download_uri(other, "1")
    assert _read(f"{uri}/MLmodel") == "flavors: {}\n"


def versions_and_models_are_deleted() -> None:
    client = MlflowClient()
    name = f"deleted {uuid4().hex}"
    client.create_registered_model(name)
    source, run_id = _source()
    for _ in range(2):
        client.create_model_version(name, source, run_id)
    client.transition_model_version_stage(name, "2", "Production")
    client.set_registered_model_alias(name, "champion", "2")
    client.delete_model_version(name, "2")
    refused(lambda: client.get_model_version(name, "2"))
    assert str(client.create_model_version(name, source, run_id).version) == "3"
    client.transition_model_version_stage(name, "3", "Staging")
    client.delete_registered_model(name)
    assert client.search_model_versions(f"name='{name}'") == []
    assert refused(lambda: client.delete_registered_model(name)).error_code == (
        "RESOURCE_DOES_NOT_EXIST"
    )


def the_search_of_versions_knows_every_operator() -> None:
    client = MlflowClient()
    mark = uuid4().hex
    runs = {}
    for name in (f"Ada {mark}", f"ben {mark}"):
        client.create_registered_model(name)
        for number in (1, 2):
            source, run_id = _source()
            client.create_model_version(name, source, run_id, {"mark": mark, "n": f"N{number}"})
            runs[f"{name.split()[0]}{number}"] = run_id
    ada1, ben2 = runs["Ada1"], runs["ben2"]
    table = {
        f"name = 'Ada {mark}'": {"Ada1", "Ada2"},
        f"name LIKE 'ada {mark}'": set(),
        f"name ILIKE 'ada {mark}'": {"Ada1", "Ada2"},
        f"name IN ('Ada {mark}', 'ben {mark}')": {"Ada1", "Ada2", "ben1", "ben2"},
        f"name NOT IN ('Ada {mark}') AND tags.mark = '{mark}'": {"ben1", "ben2"},
        f"name != 'Ada {mark}' AND tags.mark = '{mark}'": {"ben1", "ben2"},
        f"run_id = '{ada1}'": {"Ada1"},
        f"run_id IN ('{ada1}', '{ben2}')": {"Ada1", "ben2"},
        f"run_id NOT IN ('{ada1}') AND name = 'Ada {mark}'": {"Ada2"},
        f"source_path LIKE '%{ada1}%'": {"Ada1"},
        f"version_number > 1 AND tags.mark = '{mark}'": {"Ada2", "ben2"},
        f"version_number = 1 AND tags.mark = '{mark}'": {"Ada1", "ben1"},
        f"tags.mark = '{mark}' AND tags.n = 'N2'": {"Ada2", "ben2"},
        f"tags.mark = '{mark}' AND tags.n != 'N2'": {"Ada1", "ben1"},
        f"tags.mark = '{mark}' AND tags.n LIKE 'n%'": set(),
        f"tags.mark = '{mark}' AND tags.n ILIKE 'n1'": {"Ada1", "ben1"},
    }
    wrong = {
        condition: found
        for condition, expected in table.items()
        if (found := set(_versions(condition))) != expected
    }
    assert wrong == {}
    mine = f"tags.mark = '{mark}'"
    ordered = _versions(mine, order_by=["name DESC", "version_number ASC"])
    assert ordered == ["ben1", "ben2", "Ada1", "Ada2"]
    first = client.search_model_versions(mine, max_results=3, order_by=["name", "version_number"])
    rest = client.search_model_versions(
        mine, max_results=3, order_by=["name", "version_number"], page_token=first.token
    )
    assert (len(first), len(rest)) == (3, 1)
    assert not rest.token
    assert len(mlflow.search_model_versions(filter_string=mine)) == 4


def the_search_of_models_knows_every_operator() -> None:
    client = MlflowClient()
    mark = uuid4().hex
    for letter in ("A", "b", "c"):
        client.create_registered_model(f"{letter} {mark}", tags={"mark": mark, "is": letter})

    def found(condition: str, **options: Any) -> str:
        models = client.search_registered_models(condition, **options)
        return "".join(model.name[0] for model in models)

    assert found(f"name = 'A {mark}'") == "A"
    assert found(f"name LIKE 'a {mark}'") == ""
    assert found(f"name ILIKE 'a {mark}'") == "A"
    assert found(f"name LIKE '% {mark}'") == "Abc"
    assert found(f"name != 'A {mark}' AND name LIKE '% {mark}'") == "bc"
    assert found(f"tags.mark = '{mark}' AND tags.is != 'A'") == "bc"
    assert found(f"tags.mark = '{mark}' AND tags.is ILIKE 'B'") == "b"
    assert found(f"tags.mark = '{mark}'", order_by=["name DESC"]) == "cbA"
    assert found(f"tags.mark = '{mark}'", order_by=["last_updated_timestamp ASC"]) == "Abc"
    page = client.search_registered_models(f"tags.mark = '{mark}'", max_results=2)
    rest = client.search_registered_models(
        f"tags.mark = '{mark}'", max_results=2, page_token=page.token
    )
    assert [model.name[0] for model in [*page, *rest]] == ["A", "b", "c"]
    assert len(mlflow.search_registered_models(filter_string=f"tags.mark = '{mark}'")) == 3
