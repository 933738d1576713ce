"""Deleting what is in use works and names what it gave up; only what asks for it is protected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.access_platform import METHODS, Platform, running_platform
from tests.support.platforms.endpoint_service import running_endpoints, spec, target
from tests.support.platforms.registry_originals import import_model, model
from tests.support.platforms.registry_service import Registry, refused, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import FailedPrecondition, InvalidArgument

TAG = "modelyard.deletion_protection"


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        fill(running)
        yield running


def fill(registry: Registry) -> None:
    """Make versions 1, staged, 2, in Production and champion, 3, with an alias, and 4."""
    registry.create_model()
    for _ in range(4):
        registry.create_version()
    registry.move(1, "Staging")
    registry.move(2, "Production")
    for alias, number in (("champion", 2), ("best", 2), ("old", 3)):
        registry.set_alias(alias, number)


def delete_version(registry: Registry, number: int, **fields: Any) -> pb.DeleteModelVersionResponse:
    request = pb.DeleteModelVersionRequest(name="iris", version=str(number), **fields)
    reply: pb.DeleteModelVersionResponse = registry.call("DeleteModelVersion", request)
    return reply


def delete_model(registry: Registry, **fields: Any) -> pb.DeleteRegisteredModelResponse:
    request = pb.DeleteRegisteredModelRequest(name="iris", **fields)
    reply: pb.DeleteRegisteredModelResponse = registry.call("DeleteRegisteredModel", request)
    return reply


def protect(registry: Registry, *, protection: bool = True) -> pb.RegisteredModel:
    request = pb.UpdateRegisteredModelRequest(name="iris", deletion_protection=protection)
    reply: pb.UpdateRegisteredModelResponse = registry.call("UpdateRegisteredModel", request)
    return reply.registered_model


def set_tag(registry: Registry, value: str) -> None:
    request = pb.SetRegisteredModelTagRequest(name="iris", key=TAG, value=value)
    registry.call("SetRegisteredModelTag", request)


def delete_tag(registry: Registry) -> None:
    request = pb.DeleteRegisteredModelTagRequest(name="iris", key=TAG)
    registry.call("DeleteRegisteredModelTag", request)


def protection(registry: Registry) -> tuple[bool, str | None]:
    """Return the field and the tag."""
    found = registry.get_model()
    return found.deletion_protection, {tag.key: tag.value for tag in found.tags}.get(TAG)


def released(number: int, stage: str, *aliases: str) -> pb.ReleasedVersion:
    return pb.ReleasedVersion(version=str(number), stage=stage, aliases=aliases)


def test_deleting_a_version_in_use_names_its_stage_and_aliases(registry: Registry) -> None:
    reply = delete_version(registry, 2)
    assert list(reply.released) == [released(2, "Production", "best", "champion")]
    event = registry.events()[-1]
    assert event.action == pb.ModelEvent.VERSION_DELETED
    before = json.loads(event.before)
    assert before["aliases"] == {"best": 2, "champion": 2}
    assert before["versions"]["2"]["stage"] == "Production"
    assert [alias.alias for alias in registry.get_model().aliases] == ["old"]
    assert not delete_version(registry, 4).released


def test_deleting_a_model_in_use_names_the_stages_and_aliases_of_its_versions(
    registry: Registry,
) -> None:
    assert list(delete_model(registry).released) == [
        released(1, "Staging"),
        released(2, "Production", "best", "champion"),
        released(3, "None", "old"),
    ]


def test_a_repeated_deletion_with_its_key_gets_the_first_reply(registry: Registry) -> None:
    request = pb.DeleteModelVersionRequest(name="iris", version="2")
    first = registry.call("DeleteModelVersion", request, idempotency_key="k")
    assert registry.call("DeleteModelVersion", request, idempotency_key="k") == first
    assert first.released


def test_a_rollback_fills_the_stage_of_a_deleted_version(registry: Registry) -> None:
    registry.move(3, "Production")
    delete_version(registry, 3)
    assert registry.roll_back().version == "2"


def test_a_deletion_names_the_endpoints_that_refer_to_what_is_deleted(
    tmp_path: Path, dialect: Dialect
) -> None:
    with running_endpoints(tmp_path, dialect) as endpoints:
        registry = endpoints.registry
        fill(registry)
        for name, uri in (
            ("by-stage", "models:/iris/Production"),
            ("by-alias", "models:/iris@champion"),
            ("by-number", "models:/iris/2"),
            ("other-number", "models:/iris/4"),
            ("vacant", "models:/iris@nothing"),
            ("other-model", "models:/flowers/2"),
        ):
            endpoints.create(name, spec(targets=[target(uri)]))
        protect(registry)
        with refused(registry, FailedPrecondition, "endpoints by-alias, by-number, by-stage"):
            delete_version(registry, 2)
        protect(registry, protection=False)
        reply = delete_version(registry, 2)
        assert list(reply.endpoints) == ["by-alias", "by-number", "by-stage"]
        assert list(delete_model(registry).endpoints) == [
            *("by-alias", "by-number", "by-stage", "other-number", "vacant")
        ]


def test_a_protected_model_is_not_deleted_and_the_refusal_names_what_depends_on_it(
    registry: Registry,
) -> None:
    protect(registry)
    message = (
        "iris is protected from deletion; set its deletion_protection to false, delete its tag "
        r"modelyard.deletion_protection, or delete with force.* In use: version 1 \(Staging\), "
        r"version 2 \(Production, @best, @champion\), version 3 \(None, @old\)\."
    )
    with refused(registry, FailedPrecondition, message):
        delete_model(registry)
    with refused(registry, FailedPrecondition, "protected .* No stage, alias or endpoint depends"):
        delete_version(registry, 4)
    assert delete_version(registry, 2, force=True, comment="leaked data").released
    event = registry.events()[-1]
    assert (event.action, event.comment) == (pb.ModelEvent.VERSION_DELETED, "leaked data")
    delete_model(registry, force=True, comment="leaked data")
    assert registry.events()[-1].comment == "leaked data"


@BEFORE_SQL
@pytest.mark.parametrize("comment", ["", " "])
def test_force_needs_a_reason(registry: Registry, comment: str) -> None:
    with refused(registry, InvalidArgument, "'comment': a deletion with force needs its reason"):
        delete_version(registry, 2, force=True, comment=comment)
    with refused(registry, InvalidArgument, "'comment': a deletion with force needs its reason"):
        delete_model(registry, force=True, comment=comment)


def test_field_and_tag_of_the_protection_agree(registry: Registry) -> None:
    assert protection(registry) == (False, None)
    protect(registry)
    assert protection(registry) == (True, "true")
    delete_tag(registry)
    assert protection(registry) == (False, None)
    for value, protects in (("true", True), ("False", False), ("True", True)):
        set_tag(registry, value)
        assert protection(registry) == (protects, value)
    protect(registry, protection=False)
    assert protection(registry) == (False, None)
    set_tag(registry, "false")
    protect(registry)
    assert protection(registry) == (True, "true")
    registry.rename("iris", "b")
    assert registry.get_model("b").deletion_protection


def test_the_tag_protects_a_new_model(registry: Registry) -> None:
    for name, value in (("on", "true"), ("off", "false")):
        made = registry.create_model(name, tags=[pb.RegisteredModelTag(key=TAG, value=value)])
        assert made.deletion_protection == (value == "true")


def test_an_imported_model_is_protected_by_field_or_tag(registry: Registry) -> None:
    tags = [pb.RegisteredModelTag(key=TAG, value="true")]
    for fields in ({"deletion_protection": True}, {"tags": tags}, {}):
        found = import_model(registry, model("flowers", **fields)).registered_model
        assert found.deletion_protection
        assert [(tag.key, tag.value) for tag in found.tags] == [(TAG, "true")]
    with refused(registry, InvalidArgument, "expected that both agree"):
        import_model(registry, model("flowers", deletion_protection=False, tags=tags))
    found = import_model(registry, model("flowers", deletion_protection=False)).registered_model
    assert (found.deletion_protection, list(found.tags)) == (False, [])


@BEFORE_SQL
def test_another_value_of_the_tag_is_refused(registry: Registry) -> None:
    with refused(registry, InvalidArgument, "'yes' of the tag .* expected 'true' or 'false'"):
        set_tag(registry, "yes")
    tag = pb.RegisteredModelTag(key=TAG, value="")
    with refused(registry, InvalidArgument, "expected 'true' or 'false'"):
        registry.create_model("new", tags=[tag])


def test_a_server_can_protect_what_is_staged(tmp_path: Path, dialect: Dialect) -> None:
    with running_registry(tmp_path, dialect, protects_staged=True) as registry:
        fill(registry)
        message = (
            r"Version 2 of iris is protected .* MODELYARD_DELETION_PROTECTION=staged; move version "
            r"2 \(Production, @best, @champion\) to Archived first, or delete with force"
        )
        with refused(registry, FailedPrecondition, message):
            delete_version(registry, 2)
        with refused(registry, FailedPrecondition, r"move version 1 \(Staging\), version 2"):
            delete_model(registry)
        assert delete_version(registry, 3).released  # an alias alone protects nothing
        registry.move(2, "Archived")
        delete_version(registry, 2)
        delete_version(registry, 1, force=True, comment="a drill")
        delete_model(registry)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    with running_platform(folder, deletion_protection="staged") as running:
        running.call("RegistryService.CreateRegisteredModel", name="iris")
        yield running


@pytest.mark.parametrize("rpc", ["DeleteRegisteredModel", "DeleteModelVersion"])
@pytest.mark.parametrize("role", ["viewer", "contributor", "approver", "serving"])
def test_force_is_refused_to_all_but_admins(platform: Platform, rpc: str, role: str) -> None:
    request = getattr(pb, f"{rpc}Request")(name="iris", force=True, comment="why")
    if rpc == "DeleteModelVersion":
        request.version = "1"
    method = METHODS[f"RegistryService.{rpc}"]
    refusal = platform.refusal(method, request, f"Bearer {platform.roles[role]}")
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED


def test_an_admin_forces_within_the_scope_of_the_token(platform: Platform) -> None:
    token = platform.token("admin", models=["iris*"])
    for number in ("1", "2"):
        platform.call("RegistryService.CreateModelVersion", name="iris", source="s3://bucket")
        fields = {"name": "iris", "version": number}
        move = "RegistryService.TransitionModelVersionStage"
        platform.call(move, **fields, stage="Production")
    answer = platform.http(
        "DELETE", "/api/2.0/mlflow/model-versions/delete", f"Bearer {token}", fields
    )
    assert (answer[0], answer[1]["error_code"]) == (400, "INVALID_STATE")
    platform.call(
        "RegistryService.DeleteModelVersion", token, **fields, force=True, comment="a drill"
    )

    assert platform.http(
        "DELETE", "/api/2.0/mlflow/registered-models/delete", f"Bearer {token}", {"name": "iris"}
    ) == (200, {})
