from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.databases.sent import statements_sent
from tests.support.platforms.registry_service import Registry, refused, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        yield running


def update(registry: Registry, name: str = "iris", **fields: object) -> pb.RegisteredModel:
    request = pb.UpdateRegisteredModelRequest(name=name, **fields)  # type: ignore[arg-type]
    reply: pb.UpdateRegisteredModelResponse = registry.call("UpdateRegisteredModel", request)
    return reply.registered_model


def rename(registry: Registry, name: str, new_name: str) -> pb.RegisteredModel:
    request = pb.RenameRegisteredModelRequest(name=name, new_name=new_name, comment="clearer")
    reply: pb.RenameRegisteredModelResponse = registry.call("RenameRegisteredModel", request)
    return reply.registered_model


def delete(registry: Registry, name: str = "iris", *, force: bool = False) -> None:
    request = pb.DeleteRegisteredModelRequest(name=name, force=force, comment="tidying up")
    registry.call("DeleteRegisteredModel", request)


def test_a_model_is_created_with_description_and_tags(registry: Registry) -> None:
    tags = [pb.RegisteredModelTag(key="team", value="ds")]
    created = registry.create_model(description="Flowers", tags=tags, deployment_job_id="job")
    assert created == registry.get_model()
    assert created.name == "iris"
    assert (created.description, created.user_id) == ("Flowers", "ada")
    assert (created.tags[0].key, created.tags[0].value) == ("team", "ds")
    assert created.creation_timestamp == created.last_updated_timestamp == registry.time.ms
    assert (created.revision, created.etag, created.deployment_job_id) == (1, "1", "job")
    assert not created.latest_versions


def test_a_description_that_was_never_set_is_unset(registry: Registry) -> None:
    assert not registry.create_model().HasField("description")
    assert registry.create_model("other", description="").HasField("description")


def test_a_taken_name_is_refused(registry: Registry) -> None:
    registry.create_model()
    with refused(registry, AlreadyExists, r"Registered Model \(name=iris\) already exists"):
        registry.create_model()


@BEFORE_SQL
@pytest.mark.parametrize("name", ["", " ", "a/b", "n" * 257])
def test_a_bad_name_is_refused(registry: Registry, name: str) -> None:
    with refused(registry, InvalidArgument, "Missing value|cannot|at most 256"):
        registry.create_model(name)


@pytest.mark.parametrize("name", ["Iris Classification", "naïve", "a.b-c_d", "n" * 256, "x@y"])
def test_a_good_name_is_taken_as_it_is(registry: Registry, name: str) -> None:
    assert registry.create_model(name).name == name
    assert registry.get_model(name).name == name


@BEFORE_SQL
@pytest.mark.parametrize("key", ["a//b", "k" * 251])
def test_a_bad_tag_key_is_refused(registry: Registry, key: str) -> None:
    with refused(registry, InvalidArgument, "parameter 'tags.key' supplied|at most 250"):
        registry.create_model(tags=[pb.RegisteredModelTag(key=key, value="v")])


@BEFORE_SQL
def test_a_duplicate_or_too_long_tag_is_refused(registry: Registry) -> None:
    tag = pb.RegisteredModelTag(key="team", value="ds")
    with refused(registry, InvalidArgument, "Duplicate tag key 'team'"):
        registry.create_model(tags=[tag, tag])
    with refused(registry, InvalidArgument, "at most 100,000"):
        registry.create_model(tags=[pb.RegisteredModelTag(key="k", value="v" * 100_001)])


def test_only_the_fields_that_are_set_are_updated(registry: Registry) -> None:
    registry.create_model(description="Flowers")
    registry.time.ms += 1
    updated = update(registry, deployment_job_id="job")
    assert (updated.description, updated.deployment_job_id) == ("Flowers", "job")
    assert updated.last_updated_timestamp == registry.time.ms
    assert update(registry, description="").description == ""
    assert update(registry).revision == 3


def test_a_stale_etag_aborts_an_update(registry: Registry) -> None:
    etag = registry.create_model().etag
    update(registry, description="first", etag=etag)
    with refused(registry, Aborted, "the current etag is 2, the request expected '1'"):
        update(registry, description="second", etag=etag)


def test_a_missing_model_is_not_found(registry: Registry) -> None:
    registry.create_model("other")
    for work in (
        registry.get_model,
        lambda: update(registry, description="x"),
        lambda: delete(registry),
        lambda: rename(registry, "iris", "new"),
        registry.create_version,
        lambda: registry.move(1, "Staging"),
        registry.roll_back,
        lambda: registry.set_alias("champion", 1),
        lambda: registry.get_version("latest"),
    ):
        with refused(registry, NotFound, "Registered Model with name=iris not found"):
            work()


def test_rename_moves_everything_to_the_new_name(registry: Registry) -> None:
    registry.create_model(tags=[pb.RegisteredModelTag(key="team", value="ds")])
    registry.create_version(tags=[pb.ModelVersionTag(key="k", value="v")])
    registry.move(1, "Production")
    registry.set_alias("champion", 1)
    registry.time.ms += 1
    renamed = rename(registry, "iris", "flowers")
    assert renamed == registry.get_model("flowers")
    assert renamed.last_updated_timestamp == registry.time.ms
    assert [tag.key for tag in renamed.tags] == ["team"]
    assert [alias.alias for alias in renamed.aliases] == ["champion"]
    [version] = renamed.latest_versions
    assert (version.name, version.current_stage) == ("flowers", "Production")
    assert [tag.key for tag in version.tags] == ["k"]
    assert registry.events("iris")[-1].action == pb.ModelEvent.MODEL_RENAMED
    assert registry.events("flowers")[0].comment == "clearer"
    with pytest.raises(NotFound):
        registry.get_model("iris")


def test_rename_and_deletion_send_as_many_statements_for_many_versions_as_for_few(
    registry: Registry,
) -> None:
    counts = []
    for versions in (2, 12):
        registry.create_model()
        for _ in range(versions):
            tags = [pb.ModelVersionTag(key=key, value="1") for key in "ab"]
            registry.set_alias("newest", registry.create_version(tags=tags).version)
        with statements_sent(registry.database) as sent:
            rename(registry, "iris", f"flowers {versions}")
            delete(registry, f"flowers {versions}")
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_numbers_outlive_rename_and_deletion(registry: Registry) -> None:
    registry.create_model()
    registry.create_version()
    registry.create_version()
    rename(registry, "iris", "flowers")
    assert registry.create_version("flowers").version == "3"
    registry.create_model()
    assert registry.create_version().version == "3"
    delete(registry)
    registry.create_model()
    assert registry.create_version().version == "4"


def test_rename_onto_a_name_in_use_or_once_in_use_is_refused(registry: Registry) -> None:
    for name in ("iris", "taken", "former"):
        registry.create_model(name)
    registry.create_version("former")
    delete(registry, "former")
    with refused(registry, AlreadyExists, "had versions before"):
        rename(registry, "iris", "former")
    with refused(registry, AlreadyExists, "already exists"):
        rename(registry, "iris", "taken")
    with refused(registry, InvalidArgument, "cannot contain '/'"):
        rename(registry, "iris", "a/b")


def test_rename_to_its_own_name_changes_nothing(registry: Registry) -> None:
    created = registry.create_model()
    before = registry.rows()
    assert rename(registry, "iris", "iris") == created
    assert registry.rows() == before
    with refused(registry, NotFound, "nowhere"):
        rename(registry, "nowhere", "nowhere")


def test_rename_onto_a_name_that_never_had_versions_works(registry: Registry) -> None:
    registry.create_model("draft")
    delete(registry, "draft")
    registry.create_model()
    registry.create_version()
    assert rename(registry, "iris", "draft").revision == 3


def test_delete_takes_everything_but_the_history(registry: Registry) -> None:
    registry.create_model(tags=[pb.RegisteredModelTag(key="team", value="ds")])
    registry.create_version()
    registry.set_alias("champion", 1)
    delete(registry)
    assert registry.search("") == []
    event = registry.events()[-1]
    assert (event.action, event.comment) == (pb.ModelEvent.MODEL_DELETED, "tidying up")
    assert registry.create_model().tags == []


def test_a_protected_model_is_deleted_only_by_force(registry: Registry) -> None:
    registry.create_model()
    registry.create_version()
    assert update(registry, deletion_protection=True).deletion_protection
    with refused(registry, FailedPrecondition, "protected from deletion; set .* or .* force"):
        delete(registry)
    request = pb.DeleteModelVersionRequest(name="iris", version="1")
    with refused(registry, FailedPrecondition, "protected from deletion"):
        registry.call("DeleteModelVersion", request)
    request.force, request.comment = True, "tidying up"
    registry.call("DeleteModelVersion", request)
    delete(registry, force=True)


def test_tags_are_set_changed_and_deleted_without_touching_last_updated(
    registry: Registry,
) -> None:
    created = registry.create_model()
    registry.time.ms += 1
    for value in ("one", "two"):
        request = pb.SetRegisteredModelTagRequest(name="iris", key="team", value=value)
        registry.call("SetRegisteredModelTag", request)
    found = registry.get_model()
    assert [(tag.key, tag.value) for tag in found.tags] == [("team", "two")]
    assert found.last_updated_timestamp == created.last_updated_timestamp
    assert found.etag != created.etag
    deletion = pb.DeleteRegisteredModelTagRequest(name="iris", key="team")
    registry.call("DeleteRegisteredModelTag", deletion)
    assert not registry.get_model().tags


def test_deleting_what_is_missing_changes_nothing(registry: Registry) -> None:
    registry.create_model()
    registry.create_version()
    before = registry.rows()
    for rpc, request in (
        ("DeleteRegisteredModelTag", pb.DeleteRegisteredModelTagRequest(name="iris", key="k")),
        (
            "DeleteModelVersionTag",
            pb.DeleteModelVersionTagRequest(name="iris", version="1", key="k"),
        ),
        (
            "DeleteRegisteredModelAlias",
            pb.DeleteRegisteredModelAliasRequest(name="iris", alias="champion"),
        ),
    ):
        registry.call(rpc, request)
    assert registry.rows() == before


def test_setting_an_equal_value_changes_nothing(registry: Registry) -> None:
    registry.create_model()
    registry.create_version()
    calls = (
        ("SetRegisteredModelTag", pb.SetRegisteredModelTagRequest(name="iris", key="k", value="v")),
        (
            "SetModelVersionTag",
            pb.SetModelVersionTagRequest(name="iris", version="1", key="k", value="v"),
        ),
        (
            "SetRegisteredModelAlias",
            pb.SetRegisteredModelAliasRequest(name="iris", alias="champion", version="1"),
        ),
        (
            "UpdateRegisteredModel",
            pb.UpdateRegisteredModelRequest(name="iris", description="", deletion_protection=True),
        ),
        (
            "UpdateModelVersion",
            pb.UpdateModelVersionRequest(name="iris", version="1", description="96 %"),
        ),
    )
    for rpc, request in calls:
        before = registry.rows()
        registry.call(rpc, request)
        once = registry.rows()
        assert once != before
        registry.time.ms += 1
        registry.call(rpc, request)
        assert registry.rows() == once


def test_an_alias_moves_and_is_shown_everywhere(registry: Registry) -> None:
    registry.create_model()
    registry.create_version()
    registry.create_version()
    registry.set_alias("champion", 1)
    registry.set_alias("champion", 2)
    assert [(a.alias, a.version) for a in registry.get_model().aliases] == [("champion", "2")]
    assert list(registry.get_model().latest_versions[0].aliases) == ["champion"]
    found = registry.call("SearchModelVersions", pb.SearchModelVersionsRequest()).model_versions
    assert [list(version.aliases) for version in found] == [["champion"], []]
    for reference in ("champion", "2", "none"):
        assert list(registry.get_version(reference).aliases) == ["champion"]
    request = pb.GetModelVersionByAliasRequest(name="iris", alias="champion")
    assert registry.call("GetModelVersionByAlias", request).model_version.version == "2"
    deletion = pb.DeleteRegisteredModelAliasRequest(name="iris", alias="champion")
    registry.call("DeleteRegisteredModelAlias", deletion)
    with refused(registry, NotFound, "iris has no alias champion"):
        registry.call("GetModelVersionByAlias", request)


def test_latest_is_the_highest_version_by_alias(registry: Registry) -> None:
    registry.create_model()
    request = pb.GetModelVersionByAliasRequest(name="iris", alias="Latest")
    with refused(registry, NotFound, "iris has no versions"):
        registry.call("GetModelVersionByAlias", request)
    registry.create_version()
    registry.create_version()
    assert registry.call("GetModelVersionByAlias", request).model_version.version == "2"


@BEFORE_SQL
@pytest.mark.parametrize("alias", ["latest", "a b"])
def test_a_reserved_or_malformed_alias_is_refused(registry: Registry, alias: str) -> None:
    registry.create_model()
    registry.create_version()
    with refused(registry, InvalidArgument, f"{alias}' is reserved|Invalid alias name: '{alias}'"):
        registry.set_alias(alias, 1)


def test_an_alias_may_be_named_like_a_stage_and_the_stage_comes_first(registry: Registry) -> None:
    registry.create_model()
    for _ in range(2):
        registry.create_version()
    registry.set_alias("Production", 1)
    by_alias = pb.GetModelVersionByAliasRequest(name="iris", alias="Production")
    assert registry.call("GetModelVersionByAlias", by_alias).model_version.version == "1"
    with refused(registry, NotFound, "Production"):
        registry.get_version("Production")
    registry.move(2, "Production")
    assert registry.get_version("Production").version == "2"
    assert registry.call("GetModelVersionByAlias", by_alias).model_version.version == "1"


def test_an_alias_of_a_missing_version_is_refused(registry: Registry) -> None:
    registry.create_model()
    with refused(registry, NotFound, r"\(name=iris, version=1\) not found"):
        registry.set_alias("champion", 1)


def test_latest_versions_are_the_highest_of_each_stage(registry: Registry) -> None:
    registry.create_model()
    for _ in range(4):
        registry.create_version()
    registry.move(1, "Production")
    latest = {v.current_stage: v.version for v in registry.get_model().latest_versions}
    assert latest == {"None": "4", "Production": "1"}
    request = pb.GetLatestVersionsRequest(name="iris", stages=["production", "Staging"])
    found = registry.call("GetLatestVersions", request).model_versions
    assert [version.version for version in found] == ["1"]
    with refused(registry, InvalidArgument, "Invalid Model Version stage: prod"):
        registry.call(
            "GetLatestVersions", pb.GetLatestVersionsRequest(name="iris", stages=["prod"])
        )
