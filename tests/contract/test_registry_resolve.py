from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.artifacts import Digest, Manifest
from modelyard_kit.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from modelyard_registry.servicer.manifests import Manifests


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        running.create_version()
        running.create_version(source=f"runs:/{OTHER_RUN}/model")
        yield running


def resolve(registry: Registry, uri: str, as_of_ms: int | None = None) -> pb.ResolveModelResponse:
    request = pb.ResolveModelRequest(uri=uri)
    if as_of_ms is not None:
        request.as_of.FromMilliseconds(as_of_ms)
    reply: pb.ResolveModelResponse = registry.call("ResolveModel", request)
    return reply


@pytest.mark.parametrize(
    ("uri", "version"),
    [
        ("models:/iris/1", "1"),
        ("models:/iris/Production", "1"),
        ("models:/iris/production", "1"),
        ("models:/iris/latest", "2"),
        ("models:/iris/LATEST", "2"),
        ("models:/iris@champion", "1"),
        ("models:/iris@latest", "2"),
        ("models:/iris/None", "2"),
    ],
)
def test_every_form_of_uri_finds_its_version(registry: Registry, uri: str, version: str) -> None:
    registry.move(1, "Production")
    registry.set_alias("champion", 1)
    reply = resolve(registry, uri)
    assert reply.model_version == registry.get_version(version)
    assert reply.digest == reply.model_version.digest
    assert reply.experiment_id == "7"
    assert reply.revision == registry.get_model().revision


@pytest.mark.parametrize("uri", [f"runs:/{RUN}/model", f"models:/{LOGGED_MODEL}"])
def test_runs_and_logged_models_are_sealed_by_tracking(registry: Registry, uri: str) -> None:
    reply = resolve(registry, uri)
    assert not reply.HasField("model_version")
    assert reply.run_id == RUN
    assert reply.model_id == (LOGGED_MODEL if LOGGED_MODEL in uri else "")
    assert Digest.of(reply.manifest) == reply.digest


def test_the_manifest_comes_with_a_url_for_each_object_and_part(registry: Registry) -> None:
    reply = resolve(registry, "models:/iris/1")
    assert hashlib.sha256(reply.manifest).hexdigest() == reply.digest
    whole, in_parts = Manifest.from_bytes(reply.manifest).files
    expected = {whole.digest: whole.size_bytes} | {
        part.digest: part.size_bytes for part in in_parts.parts
    }
    assert {item.digest: item.size_bytes for item in reply.downloads} == expected
    assert all(item.url.startswith("http://gateway.test/") for item in reply.downloads)


@pytest.mark.parametrize("uri", ["models:/iris/1", SOURCE])
def test_without_downloads_all_but_the_manifest_and_its_urls_is_answered(
    registry: Registry, uri: str
) -> None:
    whole = resolve(registry, uri)
    request = pb.ResolveModelRequest(uri=uri, include_downloads=False)
    reply = registry.call("ResolveModel", request)
    assert not reply.HasField("manifest")
    assert not reply.downloads
    whole.ClearField("manifest")
    whole.ClearField("downloads")
    assert reply == whole
    request.include_downloads = True
    asked, left_out = registry.call("ResolveModel", request), resolve(registry, uri)
    assert without_expiry(asked.downloads) == without_expiry(left_out.downloads)
    for answered in (asked, left_out):
        answered.ClearField("downloads")
    assert asked == left_out


def test_resolving_needs_no_tracking_once_registered(registry: Registry) -> None:
    registry.tracking_server.drain(grace_s=0)
    assert resolve(registry, "models:/iris/1").model_version.version == "1"
    with refused(registry, Unavailable, "tracking cannot be reached"):
        resolve(registry, SOURCE)


@BEFORE_SQL
@pytest.mark.parametrize(
    "uri",
    [
        "models:/@champion",
        f"runs:/{RUN}/../secret",
        "/etc/passwd",
    ],
)
def test_a_malformed_uri_is_refused(registry: Registry, uri: str) -> None:
    with refused(registry, InvalidArgument, "Invalid model|cannot be empty"):
        resolve(registry, uri)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/roses/1", "Model Version"),
        ("models:/roses/Production", "Registered Model with name=roses not found"),
        ("models:/iris/9", r"\(name=iris, version=9\) not found"),
        ("models:/iris/Staging", "No version of Registered Model iris is in stage Staging"),
        ("models:/iris@champion", "has no alias champion"),
        ("runs:/0000/model", "Run with id=0000 not found"),
    ],
)
def test_what_is_not_there_is_not_found(registry: Registry, uri: str, message: str) -> None:
    with refused(registry, NotFound, message):
        resolve(registry, uri)


def test_an_unverified_version_is_refused_with_its_source(registry: Registry) -> None:
    registry.create_version(source="s3://bucket/model")
    with refused(registry, FailedPrecondition, "not verified.*s3://bucket/model"):
        resolve(registry, "models:/iris/3")


def test_a_stage_or_an_alias_can_be_resolved_as_of_a_time(registry: Registry) -> None:
    start = registry.time.ms
    registry.time.ms = start + 1000
    registry.move(1, "Production")
    registry.set_alias("champion", 1)
    registry.time.ms = start + 2000
    registry.move(2, "Production")
    registry.set_alias("champion", 2)
    registry.create_version()
    for uri in ("models:/iris/Production", "models:/iris@champion"):
        assert resolve(registry, uri, start + 1999).model_version.version == "1"
        assert resolve(registry, uri, start + 2000).model_version.version == "2"
        with refused(registry, NotFound, "No version of Registered Model iris was .* at that time"):
            resolve(registry, uri, start + 999)
    assert resolve(registry, "models:/iris/latest", start).model_version.version == "2"
    assert resolve(registry, "models:/iris/3", start).model_version.version == "3"
    assert resolve(registry, "models:/iris/none", start + 1999).model_version.version == "2"


def test_a_holder_that_was_deleted_since_is_not_found(registry: Registry) -> None:
    registry.move(1, "Production")
    held_ms = registry.time.ms
    registry.time.ms += 1
    registry.call("DeleteModelVersion", pb.DeleteModelVersionRequest(name="iris", version="1"))
    with refused(registry, NotFound, "version 1 of iris at that time; .* deleted since"):
        resolve(registry, "models:/iris/Production", held_ms)


@BEFORE_SQL
def test_a_time_outside_the_calendar_is_refused(registry: Registry) -> None:
    request: Any = pb.ResolveModelRequest(uri="models:/iris/latest")
    request.as_of.seconds = 2**62
    with refused(registry, InvalidArgument, "Invalid value for parameter 'as_of'"):
        registry.call("ResolveModel", request)


def test_bytes_that_were_lost_or_changed_are_data_loss(registry: Registry) -> None:
    digest = Digest(registry.get_version(1).digest)
    with registry.store.open(digest) as chunks:
        data = b"".join(chunks)
    registry.store._objects[digest] = (data + b" ", 0)  # noqa: SLF001 - as a failing disk would
    with refused(registry, DataLoss, "is corrupt in the store"):
        resolve(registry, "models:/iris/1")
    registry.store.delete(digest)
    with refused(registry, DataLoss, "is missing from the store"):
        resolve(registry, "models:/iris/1")


@pytest.mark.parametrize("rpc", ["ResolveModel", "GetPinnedManifest"])
def test_a_manifest_that_is_lost_after_it_was_read_is_data_loss_within_seconds(
    registry: Registry, rpc: str
) -> None:
    digest = Digest(registry.get_version(1).digest)
    request = {
        "ResolveModel": pb.ResolveModelRequest(uri="models:/iris/1"),
        "GetPinnedManifest": pb.GetPinnedManifestRequest(digest=digest),
    }[rpc]
    read = registry.call(rpc, request)
    registry.store.delete(digest)
    registry.time.ms += Manifests.fresh_ms - 1
    again = registry.call(rpc, request)
    assert (again.manifest, again.downloads) == (read.manifest, read.downloads)

    registry.time.ms += 1

    with refused(registry, DataLoss, "is missing from the store"):
        registry.call(rpc, request)
    with refused(registry, DataLoss, "is missing from the store"):
        registry.call(rpc, request)


def test_the_urls_of_a_manifest_that_was_read_before_are_valid_for_fifteen_minutes(
    registry: Registry,
) -> None:
    begun_s = int(time.time())
    first = resolve(registry, "models:/iris/1")
    registry.time.ms += Manifests.fresh_ms - 1
    again = resolve(registry, "models:/iris/1")
    assert again.downloads == first.downloads
    (expires,) = {parse_qs(urlsplit(one.url).query)["expires"][0] for one in again.downloads}
    assert int(expires) >= begun_s + 15 * 60 + Manifests.fresh_ms / 1000


def test_a_pinned_manifest_comes_with_a_url_for_each_object(registry: Registry) -> None:
    resolved = resolve(registry, "models:/iris/1")
    request = pb.GetPinnedManifestRequest(digest=resolved.digest)

    reply: pb.GetPinnedManifestResponse = registry.call("GetPinnedManifest", request)

    assert reply.manifest == resolved.manifest
    assert reply.downloads
    assert without_expiry(reply.downloads) == without_expiry(resolved.downloads)


def without_expiry(downloads: Iterable[pb.ObjectDownload]) -> list[tuple[str, int, str]]:
    """Return digest, size and URL up to its expiry, which differs a second later."""
    shown = [(one.digest, one.size_bytes, one.url.partition("&expires=")) for one in downloads]
    assert all(expiry for *_, (_, expiry, _) in shown)
    return [(digest, size_bytes, url) for digest, size_bytes, (url, *_) in shown]


def test_a_manifest_no_version_is_pinned_to_is_not_found(registry: Registry) -> None:
    sealed = resolve(registry, f"runs:/{RUN}/model").digest
    version = registry.create_version()
    assert version.digest == sealed
    registry.call("DeleteModelVersion", pb.DeleteModelVersionRequest(name="iris", version="3"))
    others = [v for v in ("1", "2") if registry.get_version(v).digest == sealed]
    for number in others:
        request = pb.DeleteModelVersionRequest(name="iris", version=number)
        registry.call("DeleteModelVersion", request)

    with pytest.raises(NotFound, match=f"No version has the manifest {sealed}"):
        registry.call("GetPinnedManifest", pb.GetPinnedManifestRequest(digest=sealed))


@pytest.mark.parametrize("digest", ["a" * 63, "A" * 64, "../" + "a" * 61])
def test_a_manifest_is_asked_for_by_a_digest_only(registry: Registry, digest: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid digest"):
        registry.call("GetPinnedManifest", pb.GetPinnedManifestRequest(digest=digest))
