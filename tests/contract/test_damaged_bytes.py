"""Bytes that changed in the store: no door hands them out whole, and everything shows it."""

import http.client
import json
import os
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY
from tests.support.http.artifact_edge import API, FILES, Edge, running_edge

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2
from modelyard_kit.artifacts import Digest

SMALL = b"weights of a model" * 100
LARGE = os.urandom(3 << 20)  # three chunks of the store


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


def damage(edge: Edge, data: bytes) -> Digest:
    """Flip one bit of an object, and put the times of its file back."""
    digest = Digest.of(data)
    path = edge.folder / "objects" / digest.key
    status = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(len(data) // 2)
        file.write(bytes([data[len(data) // 2] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return digest


def logged(edge: Edge, data: bytes) -> str:
    """Log a file of a run as `model/weights`; return the id of the run."""
    run_id = edge.create_run()
    assert edge.ask("PUT", f"{FILES}/0/{run_id}/artifacts/model/weights", data)[0] == 200
    return run_id


def registered(edge: Edge, run_id: str, name: str) -> registry_pb2.ModelVersion:
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=name))
    source = f"runs:/{run_id}/model"
    request = registry_pb2.CreateModelVersionRequest(name=name, source=source)
    version: registry_pb2.ModelVersion = edge.registry.CreateModelVersion(request).model_version
    return version


def doors(edge: Edge, run_id: str, name: str) -> list[str]:
    presigned = f"{API}/presigned/0/{run_id}/artifacts/model/weights"
    _, _, signed = edge.json("GET", presigned)["url"].partition(f":{edge.port}")
    return [
        f"/get-artifact?run_id={run_id}&path=model/weights",
        f"/model-versions/get-artifact?name={name}&version=1&path=weights",
        f"{FILES}/0/{run_id}/artifacts/model/weights",
        signed,
    ]


def mismatches(door: str) -> float:
    return REGISTRY.get_sample_value("modelyard_digest_mismatch_total", {"door": door}) or 0


def versions(edge: Edge, name: str) -> list[Any]:
    path = f"/api/2.0/mlflow/model-versions/search?filter=name%3D'{name}'"
    found: dict[str, list[Any]] = edge.json("GET", path)
    return found.get("model_versions", [])


def test_a_small_damaged_file_is_an_error_at_every_door(edge: Edge) -> None:
    data = SMALL + b"every door"
    run_id = logged(edge, data)
    registered(edge, run_id, "small")
    ways = doors(edge, run_id, "small")
    digest = damage(edge, data)
    before = mismatches("download")

    for door in ways:
        for headers in ({}, {"Range": "bytes=0-9"}):
            status, _, body = edge.ask("GET", door, None, headers)
            assert status == 422, door
            assert json.loads(body)["error_code"] == "DATA_LOSS"
            assert digest in json.loads(body)["message"]

        assert edge.ask("HEAD", door)[0] == 422
    assert mismatches("download") == before + 1  # known to be damaged for a minute
    presigned = f"{API}/presigned/0/{run_id}/artifacts/model/weights"
    assert edge.refusal("GET", presigned)[1] == "DATA_LOSS"
    signed = artifacts_pb2.CreatePresignedDownloadUrlRequest(run_id=run_id, path="model/weights")
    with pytest.raises(grpc.RpcError, match="is damaged in the store"):
        edge.artifacts.CreatePresignedDownloadUrl(signed)


def test_a_large_damaged_file_breaks_off_before_its_last_byte(edge: Edge) -> None:
    run_id = logged(edge, LARGE)
    registered(edge, run_id, "large")
    ways = doors(edge, run_id, "large")
    assert edge.ask("GET", ways[0], None, {"Range": "bytes=5-9"})[::2] == (206, LARGE[5:10])
    damage(edge, LARGE)

    with pytest.raises(http.client.IncompleteRead) as broken:
        edge.ask("GET", ways[0])
    assert 0 < len(broken.value.partial) < len(LARGE)
    for door in ways:  # known to be damaged from now on, also in a part that is right itself
        for headers in ({}, {"Range": "bytes=0-9"}):
            assert edge.ask("GET", door, None, headers)[0] == 422


def test_damaged_bytes_are_not_registered_again(edge: Edge) -> None:
    data = SMALL + b"not registered"
    run_id = logged(edge, data)
    registered(edge, run_id, "sealed")
    damage(edge, data)

    for source in (f"runs:/{run_id}/model", "models:/sealed/1"):
        document = {"name": "sealed", "source": source}
        answer = edge.refusal(
            "POST",
            "/api/2.0/mlflow/model-versions/create",
            json.dumps(document).encode(),
            {"Content-Type": "application/json"},
        )
        assert answer[:2] == (422, "DATA_LOSS")

    assert [found["version"] for found in versions(edge, "sealed")] == ["1"]


def verified(edge: Edge) -> list[artifacts_pb2.DamagedObject]:
    found: list[artifacts_pb2.DamagedObject] = []
    request = artifacts_pb2.ScrubObjectsRequest()
    while True:
        page = edge.artifacts.ScrubObjects(request)
        found += page.objects
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


@pytest.mark.parametrize("state", ["damaged", "missing"])
def test_a_version_shows_its_damage_everywhere_until_the_bytes_are_back(
    edge: Edge, state: str
) -> None:
    name = f"shown-{state}"
    data = SMALL + name.encode()
    run_id = logged(edge, data)
    registered(edge, run_id, name)
    edge.registry.SetRegisteredModelAlias(
        registry_pb2.SetRegisteredModelAliasRequest(name=name, alias="best", version="1")
    )
    digest = damage(edge, data)
    if state == "missing":
        edge.store.delete(digest)

    (found,) = [found for found in verified(edge) if found.digest == digest]

    assert found.missing == (state == "missing")
    assert [(file.run_id, file.path) for file in found.files] == [(run_id, "model/weights")]
    assert [(version.name, version.version) for version in found.versions] == [(name, "1")]
    get = registry_pb2.GetModelVersionRequest(name=name, version="1")
    by_alias = registry_pb2.GetModelVersionByAliasRequest(name=name, alias="best")
    resolve = registry_pb2.ResolveModelRequest(uri=f"models:/{name}/1")
    for version in (
        edge.registry.GetModelVersion(get).model_version,
        edge.registry.GetModelVersionByAlias(by_alias).model_version,
        edge.registry.ResolveModel(resolve).model_version,
    ):
        assert version.status == registry_pb2.FAILED_REGISTRATION
        assert "'weights'" in version.damage
        assert version.status_message == version.damage
    (shown,) = versions(edge, name)
    assert (shown["status"], digest in shown["status_message"]) == ("FAILED_REGISTRATION", True)
    promote = {"name": name, "version": "1", "stage": "Production"}
    transition = "/api/2.0/mlflow/model-versions/transition-stage"
    body = json.dumps(promote).encode()
    refusal = edge.refusal("POST", transition, body, {"Content-Type": "application/json"})
    assert refusal[1] == "INVALID_STATE"
    assert "is damaged" in refusal[2]

    edge.ask("PUT", f"{FILES}/0/{run_id}/artifacts/model/weights", data)

    (shown,) = versions(edge, name)
    assert (shown["status"], shown.get("status_message", "")) == ("READY", "")
    assert edge.json("POST", transition, promote)["model_version"]["current_stage"] == "Production"
    assert digest not in [found.digest for found in verified(edge)]


def test_damaged_bytes_are_replaced_when_their_file_is_logged_again(edge: Edge) -> None:
    run_id, other = logged(edge, LARGE + b"again"), edge.create_run()
    damage(edge, LARGE + b"again")

    assert edge.ask("PUT", f"{FILES}/0/{other}/artifacts/copy", LARGE + b"again")[0] == 200

    path = f"{FILES}/0/{run_id}/artifacts/model/weights"
    assert edge.ask("GET", path)[::2] == (200, LARGE + b"again")


def test_a_version_is_marked_when_a_download_finds_the_damage(edge: Edge) -> None:
    data = SMALL + b"found by a download"
    run_id = logged(edge, data)
    registered(edge, run_id, "found")
    damage(edge, data)

    edge.ask("GET", f"/get-artifact?run_id={run_id}&path=model/weights")
    while not (found := versions(edge, "found")[0].get("status_message")):
        pass

    assert "'weights' are damaged" in found


def test_a_damaged_manifest_is_shown_until_the_same_files_are_registered_again(edge: Edge) -> None:
    run_id = logged(edge, SMALL + b"of a damaged manifest")
    digest = registered(edge, run_id, "manifest").digest
    edge.store.delete(Digest(digest))
    resolve = registry_pb2.ResolveModelRequest(uri="models:/manifest/1")

    with pytest.raises(grpc.RpcError, match="is missing from the store"):
        edge.registry.ResolveModel(resolve)
    assert "The manifest is missing" in versions(edge, "manifest")[0]["status_message"]

    edge.register(run_id, name="manifest")
    assert [found["status"] for found in versions(edge, "manifest")] == ["READY", "READY"]
    assert edge.registry.ResolveModel(resolve).manifest


def test_parts_that_were_damaged_are_not_joined_to_a_file(edge: Edge) -> None:
    run_id = edge.create_run()
    folder, data = f"mpu/create/0/{run_id}/artifacts", SMALL + b"a part"
    document = {"path": "joined", "num_parts": 1}
    created = edge.json("POST", f"{API}/{folder}", document)
    _, _, url = created["credentials"][0]["url"].partition(f":{edge.port}")
    _, headers, _ = edge.ask("PUT", url, data)
    damage(edge, data)

    complete = {
        **document,
        "upload_id": created["upload_id"],
        "parts": [{"part_number": 1, "etag": headers["etag"]}],
    }
    answer = edge.refusal(
        "POST",
        f"{API}/mpu/complete/0/{run_id}/artifacts",
        json.dumps(complete).encode(),
        {"Content-Type": "application/json"},
    )

    assert answer[:2] == (422, "DATA_LOSS")
    assert edge.listed(f"0/{run_id}/artifacts") == {}
