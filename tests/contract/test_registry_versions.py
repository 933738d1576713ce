from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.registry_service import (
    LOGGED_MODEL,
    OTHER_RUN,
    RUN,
    SOURCE,
    Registry,
    refused,
    running_registry,
)

import modelyard
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import Aborted, Error, InvalidArgument, NotFound, Unavailable


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        yield running


def download_uri(registry: Registry, version: str) -> str:
    request = pb.GetModelVersionDownloadUriRequest(name="iris", version=version)
    reply: pb.GetModelVersionDownloadUriResponse = registry.call(
        "GetModelVersionDownloadUri", request
    )
    return reply.artifact_uri


def test_a_version_carries_where_it_is_from_and_what_its_bytes_are(registry: Registry) -> None:
    tags = [pb.ModelVersionTag(key="team", value="ds")]
    made = registry.create_version(
        run_id=RUN, description="A forest", run_link="http://ci/7", tags=tags
    )
    assert made == registry.get_version(1)
    assert (made.name, made.version, made.current_stage) == ("iris", "1", "None")
    assert (made.source, made.run_id, made.experiment_id) == (SOURCE, RUN, "7")
    assert (made.description, made.run_link, made.user_id) == ("A forest", "http://ci/7", "ada")
    assert made.status == pb.READY
    assert made.verified
    assert len(made.digest) == 64
    assert (made.tags[0].key, made.tags[0].value) == ("team", "ds")
    assert made.creation_timestamp == made.last_updated_timestamp == registry.time.ms
    assert registry.get_model().last_updated_timestamp == registry.time.ms


def test_numbers_are_counted_by_name_and_never_reused(registry: Registry) -> None:
    registry.create_model("other")
    assert [registry.create_version().version for _ in range(3)] == ["1", "2", "3"]
    assert registry.create_version("other").version == "1"
    registry.call("DeleteModelVersion", pb.DeleteModelVersionRequest(name="iris", version="3"))
    assert registry.create_version().version == "4"


def test_one_model_can_be_registered_under_two_names(registry: Registry) -> None:
    registry.create_model("other")
    assert registry.create_version().digest == registry.create_version("other").digest


@pytest.mark.parametrize(
    ("source", "path", "model_id"),
    [
        (f"runs:/{RUN}/model", "model", ""),
        (f"runs:/{RUN}/deep/model/", "deep/model", ""),
        (f"mlflow-artifacts:/7/{RUN}/artifacts/model", "model", ""),
        (f"mlflow-artifacts:/7/{RUN}/artifacts", "", ""),
        (f"models:/{LOGGED_MODEL}", "", LOGGED_MODEL),
        (f"mlflow-artifacts:/7/models/{LOGGED_MODEL}/artifacts", "", LOGGED_MODEL),
        (f"mlflow-artifacts:/7/models/{LOGGED_MODEL}/artifacts/", "", LOGGED_MODEL),
    ],
)
def test_every_source_of_this_server_is_sealed(
    registry: Registry, source: str, path: str, model_id: str
) -> None:
    made = registry.create_version(source=source)
    [asked] = registry.tracking.sealed
    assert (asked.run_id, asked.model_id) == (("" if model_id else RUN), model_id)
    assert asked.path == path
    assert (made.source, made.verified, made.model_id) == (source, True, model_id)


def test_a_version_creates_its_model_on_request(registry: Registry) -> None:
    made = registry.create_version("roses", create_registered_model=True)
    assert (made.name, made.version) == ("roses", "1")
    assert registry.create_version("roses", create_registered_model=True).version == "2"
    actions = [pb.ModelEvent.Action.Name(event.action) for event in registry.events("roses")]
    assert actions == ["MODEL_CREATED", "VERSION_CREATED", "VERSION_CREATED"]
    assert registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="roses")).revision == 3


@pytest.mark.parametrize(
    ("name", "source", "error", "message"),
    [
        ("roses", f"runs:/{'0' * 32}/model", NotFound, "Run with id=0+ not found"),
        ("roses", "models:/iris/7", NotFound, "name=iris, version=7"),
        ("roses", "models:/iris", InvalidArgument, "Invalid model URI 'models:/iris'"),
        ("no/name", SOURCE, InvalidArgument, "no/name"),
    ],
)
def test_a_version_that_is_refused_creates_no_model(
    registry: Registry, name: str, source: str, error: type[Error], message: str
) -> None:
    with refused(registry, error, message):
        registry.create_version(name, source, create_registered_model=True)


def test_registering_under_a_new_name_seals_once(registry: Registry) -> None:
    modelyard.set_tracking_uri(f"grpc://{registry.target}")
    try:
        made = modelyard.register_model(SOURCE, "roses")
    finally:
        modelyard.set_tracking_uri(None)
    assert (made.name, made.version) == ("roses", "1")
    assert len(registry.tracking.sealed) == 1


def test_a_version_can_be_made_from_another(registry: Registry) -> None:
    original = registry.create_version()
    registry.create_model("copy")
    copied = registry.create_version("copy", "models:/iris/1")
    assert (copied.digest, copied.run_id, copied.verified) == (original.digest, RUN, True)
    assert copied.experiment_id == "7"
    assert copied.source == "models:/iris/1"
    registry.move(1, "Production")
    assert registry.create_version("copy", "models:/iris/Production").digest == original.digest
    assert len(registry.tracking.sealed) == 1


def test_a_copy_of_a_foreign_version_has_its_source(registry: Registry) -> None:
    registry.create_version(source="s3://bucket/model")
    copied = registry.create_version(source="models:/iris/1")
    assert (copied.source, copied.verified) == ("s3://bucket/model", False)


def test_a_manifest_can_be_registered_only_if_a_version_has_it(registry: Registry) -> None:
    original = registry.create_version()
    made = registry.create_version(source=download_uri(registry, "1"))
    assert (made.digest, made.run_id) == (original.digest, RUN)
    with refused(registry, NotFound, "No version has the manifest"):
        registry.create_version(source="mlflow-artifacts:/manifests/" + "0" * 64)


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/model",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../model",
        "models://profile/iris/1",
        "mlflow-artifacts://elsewhere/7/run/artifacts/model",
        "anything at all",
    ],
)
def test_a_foreign_source_is_kept_as_text_and_shown_unverified(
    registry: Registry, source: str
) -> None:
    made = registry.create_version(source=source, run_id="some-run")
    assert (made.source, made.digest, made.verified) == (source, "", False)
    assert (made.run_id, made.status) == ("some-run", pb.READY)
    assert not registry.tracking.sealed
    assert download_uri(registry, "1") == source


@BEFORE_SQL
@pytest.mark.parametrize(
    "source",
    [
        f"runs:/{RUN}/../other",
        "models:/iris/1/2",
        "mlflow-artifacts:/manifests/xyz",
    ],
)
def test_a_malformed_source_of_this_server_is_refused(registry: Registry, source: str) -> None:
    with refused(registry, InvalidArgument, "Invalid model URI"):
        registry.create_version(source=source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("runs:/0000/model", "Run with id=0000 not found"),
        ("models:/iris/9", r"\(name=iris, version=9\) not found"),
        ("models:/roses/Production", "Registered Model with name=roses not found"),
        ("models:/iris@champion", "no alias champion"),
    ],
)
def test_a_missing_source_is_not_found(registry: Registry, source: str, message: str) -> None:
    with refused(registry, NotFound, message):
        registry.create_version(source=source)


def test_ids_that_contradict_the_source_are_refused(registry: Registry) -> None:
    with refused(
        registry, InvalidArgument, f"parameter 'run_id': the source .* has run_id '{RUN}'"
    ):
        registry.create_version(run_id=OTHER_RUN)
    with refused(registry, InvalidArgument, "parameter 'model_id': the source .* has no model_id"):
        registry.create_version(model_id=LOGGED_MODEL)
    made = registry.create_version(
        source=f"models:/{LOGGED_MODEL}", run_id=RUN, model_id=LOGGED_MODEL
    )
    assert made.model_id == LOGGED_MODEL


def test_nothing_is_written_while_tracking_cannot_be_reached(registry: Registry) -> None:
    registry.tracking_server.drain(grace_s=0)
    with refused(registry, Unavailable, "tracking cannot be reached"):
        registry.create_version()
    assert registry.create_version(source="s3://bucket/model").version == "1"


@BEFORE_SQL
def test_a_bad_tag_or_a_long_field_is_refused(registry: Registry) -> None:
    for fields in (
        {"tags": [pb.ModelVersionTag(key="/", value="v")]},
        {"tags": [pb.ModelVersionTag(key="", value="v")]},
        {"tags": [pb.ModelVersionTag(key="a", value="1")] * 2},
        {"description": "d" * 5001},
        {"run_link": "l" * 501},
        {"source": "s3://" + "s" * 2048},
        {"source": ""},
    ):
        with refused(registry, InvalidArgument, "key|at most|twice|required"):
            registry.create_version(**fields)


def test_only_the_description_can_be_updated_and_it_counts_as_a_change(registry: Registry) -> None:
    made = registry.create_version()
    registry.time.ms += 1
    request = pb.UpdateModelVersionRequest(
        name="iris", version="1", description="96 %", etag=made.etag
    )
    updated = registry.call("UpdateModelVersion", request).model_version
    assert updated == registry.get_version(1)
    assert (updated.description, updated.last_updated_timestamp) == ("96 %", registry.time.ms)
    with refused(registry, Aborted, "Etag mismatch: the current etag is"):
        registry.call("UpdateModelVersion", request)


def test_an_update_of_nothing_is_no_change(registry: Registry) -> None:
    made = registry.create_version(description="kept")
    before = registry.rows()
    request = pb.UpdateModelVersionRequest(name="iris", version="1")
    assert registry.call("UpdateModelVersion", request).model_version == made
    assert registry.rows() == before


def test_a_tag_of_a_version_changes_its_etag_but_not_last_updated(registry: Registry) -> None:
    made = registry.create_version()
    registry.time.ms += 1
    for value in ("one", "two"):
        request = pb.SetModelVersionTagRequest(name="iris", version="1", key="k", value=value)
        registry.call("SetModelVersionTag", request)
    found = registry.get_version(1)
    assert [(tag.key, tag.value) for tag in found.tags] == [("k", "two")]
    assert found.last_updated_timestamp == made.last_updated_timestamp
    assert found.etag != made.etag
    deletion = pb.DeleteModelVersionTagRequest(name="iris", version="1", key="k")
    registry.call("DeleteModelVersionTag", deletion)
    assert not registry.get_version(1).tags


def test_deleting_a_version_takes_its_tags_and_aliases(registry: Registry) -> None:
    registry.create_version(tags=[pb.ModelVersionTag(key="k", value="v")])
    registry.create_version()
    registry.set_alias("champion", 1)
    registry.set_alias("challenger", 2)
    registry.time.ms += 1
    request = pb.DeleteModelVersionRequest(name="iris", version="1", comment="leaked data")
    registry.call("DeleteModelVersion", request)
    assert [alias.alias for alias in registry.get_model().aliases] == ["challenger"]
    assert registry.get_model().last_updated_timestamp == registry.time.ms
    assert registry.events()[-1].comment == "leaked data"
    with refused(registry, NotFound, r"\(name=iris, version=1\) not found"):
        registry.call("DeleteModelVersion", request)


def test_the_download_uri_names_the_pinned_bytes(registry: Registry) -> None:
    made = registry.create_version()
    registry.move(1, "Production")
    for version in ("1", "production", "latest"):
        assert download_uri(registry, version) == f"mlflow-artifacts:/manifests/{made.digest}"


def test_an_enormous_version_is_not_found_or_not_a_number(registry: Registry) -> None:
    with refused(registry, NotFound, "not found"):
        registry.get_version(2**63 - 1)
    with refused(registry, InvalidArgument, "must be an integer"):
        registry.get_version(2**63)


def test_pinned_manifests_are_listed_once_and_paged(registry: Registry) -> None:
    sources = [SOURCE, SOURCE, f"runs:/{RUN}/b", f"runs:/{RUN}/c", "s3://bucket/model"]
    expected = {registry.create_version(source=source).digest for source in sources} - {""}
    found: list[str] = []
    token = ""
    for _ in range(3):
        request = pb.ListPinnedManifestsRequest(page_size=1, page_token=token)
        reply = registry.call("ListPinnedManifests", request)
        assert len(reply.digests) == 1
        found += reply.digests
        token = reply.next_page_token
    assert not token
    assert found == sorted(expected)
    with refused(registry, InvalidArgument, "page_token"):
        registry.call("ListPinnedManifests", pb.ListPinnedManifestsRequest(page_token="x"))
    with refused(registry, InvalidArgument, "at most 10000"):
        registry.call("ListPinnedManifests", pb.ListPinnedManifestsRequest(page_size=10_001))
