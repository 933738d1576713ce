"""Marks of damaged objects in tracking and of damaged versions in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.registry_service import Registry, refused, running_registry
from tests.support.platforms.tracking_service import Tracking, file_message, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_kit.errors import FailedPrecondition

DATA = b"weights"
DIGEST = Digest.of(DATA)


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        running.create_version()
        running.create_version()
        yield running


def mark(registry: Registry, damage: str, *digests: str) -> None:
    manifests = [pb.DamagedManifest(digest=digest, damage=damage) for digest in digests]
    registry.call("SetDamagedManifests", pb.SetDamagedManifestsRequest(manifests=manifests))


def shown(registry: Registry) -> list[tuple[str, str]]:
    """Status and message of version 1, as each read shows it."""
    by_alias = pb.GetModelVersionByAliasRequest(name="iris", alias="best")
    model = registry.call("GetRegisteredModel", pb.GetRegisteredModelRequest(name="iris"))
    latest = pb.GetLatestVersionsRequest(name="iris", stages=["Production"])
    found = registry.call("SearchModelVersions", pb.SearchModelVersionsRequest())
    versions = [
        registry.get_version(1),
        registry.get_version("Production"),
        registry.call("GetModelVersionByAlias", by_alias).model_version,
        *model.registered_model.latest_versions,
        *registry.call("GetLatestVersions", latest).model_versions,
        *found.model_versions,
    ]
    return [
        (pb.ModelVersionStatus.Name(version.status), version.status_message)
        for version in versions
        if version.version == "1"
    ]


def test_a_damaged_version_shows_it_in_every_read_and_no_event(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.set_alias("best", 1)
    digest, before = registry.get_version(1).digest, registry.events()

    mark(registry, "The bytes of 'w' are damaged.", digest)

    assert shown(registry) == [("FAILED_REGISTRATION", "The bytes of 'w' are damaged.")] * 6
    assert registry.get_version(1).damage == "The bytes of 'w' are damaged."
    mark(registry, "")
    assert shown(registry) == [("READY", "")] * 6
    version = registry.get_version(1)  # answers to MLflow's clients name only what is set
    assert not version.HasField("damage")
    assert not version.HasField("status_message")
    assert registry.events() == before


def test_a_damaged_version_is_not_promoted_and_not_rolled_back_to(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production")
    mark(registry, "The bytes of 'w' are damaged.", registry.get_version(1).digest)

    why = "Version 1 of iris is damaged: The bytes of 'w' are damaged."
    for stage in ("Production", "Staging"):
        with refused(registry, FailedPrecondition, why):
            registry.move(1, stage)
    with refused(registry, FailedPrecondition, why):
        registry.set_alias("best", 1)
    with refused(registry, FailedPrecondition, "Nothing to roll back to"):
        registry.call("RollbackStage", pb.RollbackStageRequest(name="iris", stage="Production"))

    assert registry.move(1, "Archived").current_stage == "Archived"


def declared(tracking: Tracking, run_id: str) -> list[str]:
    request = artifacts.DeclareArtifactsRequest(run_id=run_id, files=[file_message("w", DATA)])
    return [upload.digest for upload in tracking.artifacts.DeclareArtifacts(request).uploads]


def inspected(tracking: Tracking) -> list[str]:
    request = artifacts.InspectObjectsRequest(digests=[DIGEST])
    return list(tracking.artifacts.InspectObjects(request).damaged)


def test_a_damaged_object_is_asked_for_again_until_it_is_whole(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"w": DATA}, run_id=run_id)
    assert (inspected(tracking), declared(tracking, run_id)) == ([], [])

    tracking.store.damage(DIGEST, b"weightz")
    assert declared(tracking, run_id) == [DIGEST]
    assert inspected(tracking) == [DIGEST]
    commit = artifacts.CommitArtifactsRequest(run_id=run_id, files=[file_message("w", DATA)])
    with pytest.raises(Exception, match="is damaged in the store"):
        tracking.artifacts.CommitArtifacts(commit)
    tracking.store.put(DIGEST, [DATA], len(DATA))
    tracking.artifacts.CommitArtifacts(commit)
    assert declared(tracking, run_id) == []
