"""A version that is READY has all its bytes, and only those that were registered are ever read.

Uploads of the real SDK are killed at any moment, and so are the services that take part, with
objects in a folder; `make soak` does it with an S3 server too.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.faults.deployment import Deployment, deployed
from tests.faults.doors import connect, registry_stub
from tests.support.processes.up_process import environment
from tests.support.soak import SOAK
from tests.support.stores.s3_servers import S3Server

import modelyard
from modelyard.api.registry.v1 import registry_pb2
from modelyard.exceptions import ModelyardException
from modelyard_kit.artifacts import Digest, Manifest

KILLS = 10 * SOAK or 1
SEED = int(os.environ.get("MODELYARD_SEED", "0")) or random.SystemRandom().randrange(1, 10_000)
_UPLOADER = Path(__file__).with_name("uploader.py")
_NAME = "uploaded"
_TIMEOUT_S = 60
_MOST_WAIT_S = 0.2


@pytest.fixture(params=["folder", "s3"] if SOAK else ["folder"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    variables: dict[str, str] = {}
    if request.param == "s3":
        store: S3Server = request.getfixturevalue("seaweedfs")
        variables = {
            "MODELYARD_ARTIFACTS": f"s3://{store.make_bucket()}",
            "MODELYARD_S3_ENDPOINT": store.endpoint,
            **store.environ,
        }
    with deployed(tmp_path, variables=variables) as running:
        yield running


def test_what_is_ready_is_whole_though_uploads_are_killed_at_any_moment(
    deployment: Deployment,
) -> None:
    print(f"seed {SEED}")  # noqa: T201 - shown when it fails
    chance = random.Random(SEED)  # noqa: S311 - when to kill
    with connect(deployment.targets["registry"]) as channel:
        registry_stub(channel).CreateRegisteredModel(
            registry_pb2.CreateRegisteredModelRequest(name=_NAME)
        )
    output: list[str] = []
    for kill in range(KILLS):
        for victim in ("uploader", "tracking", "registry", "gateway"):
            with uploading(deployment, chance.randrange(10_000)) as uploader:
                output += until(uploader, "uploading")
                pause(chance)
                if victim == "uploader":
                    uploader.send_signal(signal.SIGKILL)
                else:
                    deployment.services[victim].kill()
                    deployment.services[victim].start()
                    output += until(uploader, "registered" if kill % 2 else "uploading")
    with uploading(deployment, chance.randrange(10_000), "2") as uploader:
        output += until(uploader, "registered")

    versions = ready_versions(deployment)
    registered = {line.split()[1] for line in output if line.startswith("registered")}
    assert registered <= set(versions)
    assert [wrong for version in versions for wrong in missing_bytes(deployment, version)] == []


@pytest.mark.parametrize("deployment", ["folder"], indirect=True)
def test_a_flipped_byte_in_the_store_is_never_read_as_the_version(
    deployment: Deployment, tmp_path: Path
) -> None:
    with uploading(deployment, SEED, "1") as uploader:
        version = until(uploader, "registered")[-1].split()[1]
    manifest = resolved(deployment, version)[1]
    damaged = next(file for file in manifest.files if file.path == "weights-0.bin")
    path = deployment.store / Digest(damaged.digest).key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    assert len(missing_bytes(deployment, version)) == 1, "what is missing must be seen"

    modelyard.set_tracking_uri(f"http://{deployment.targets['gateway']}")
    with pytest.raises(ModelyardException, match=damaged.digest) as caught:
        modelyard.artifacts.download_artifacts(
            f"models:/{_NAME}/{version}", dst_path=str(tmp_path / "copy")
        )
    assert caught.value.error_code == "DATA_LOSS"
    copies = [file for file in (tmp_path / "copy").rglob("*") if file.is_file()]
    assert bytes(data) not in [file.read_bytes() for file in copies]


@contextmanager
def uploading(deployment: Deployment, seed: int, most: str = "") -> Iterator[subprocess.Popen[str]]:
    gateway = f"http://{deployment.targets['gateway']}"
    arguments = [
        sys.executable,
        str(_UPLOADER),
        gateway,
        _NAME,
        str(seed),
        *([most] if most else []),
    ]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, env=environment(GRPC_VERBOSITY="NONE")
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], word: str) -> list[str]:
    """Lines that a process says, up to the first one that begins with a word."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(word):
            return lines
    raise AssertionError(f"it ended with code {process.wait()} before it printed {word}: {lines}")


def pause(chance: random.Random) -> None:
    """Wait for a random time, to hit any moment."""
    threading.Event().wait(chance.uniform(0, _MOST_WAIT_S))


def ready_versions(deployment: Deployment) -> list[str]:
    request = registry_pb2.SearchModelVersionsRequest(filter=f"name='{_NAME}'")
    with connect(deployment.targets["registry"]) as channel:
        found = registry_stub(channel).SearchModelVersions(request, timeout=_TIMEOUT_S)
    assert all(version.verified for version in found.model_versions)
    return [v.version for v in found.model_versions if v.status == registry_pb2.READY]


def resolved(
    deployment: Deployment, version: str
) -> tuple[registry_pb2.ResolveModelResponse, Manifest]:
    request = registry_pb2.ResolveModelRequest(uri=f"models:/{_NAME}/{version}")
    with connect(deployment.targets["registry"]) as channel:
        reply = registry_stub(channel).ResolveModel(request, timeout=_TIMEOUT_S)
    assert hashlib.sha256(reply.manifest).hexdigest() == reply.digest
    return reply, Manifest.from_bytes(reply.manifest)


def missing_bytes(deployment: Deployment, version: str) -> list[str]:
    """Say which objects of a version are not what they should be, as a client gets them."""
    reply, manifest = resolved(deployment, version)
    wrong = []
    for download in reply.downloads:
        try:
            with urlopen(download.url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - our own URL
                data = answer.read()
        except (HTTPError, IncompleteRead) as refused:  # of the gateway, which verifies them too
            wrong.append(f"version {version}: object {download.digest} is refused: {refused}")
            continue
        if hashlib.sha256(data).hexdigest() != download.digest:
            wrong.append(f"version {version}: object {download.digest} is {len(data)} other bytes")
    there = {download.digest for download in reply.downloads}
    return wrong + [
        f"version {version}: {file.path} has no object"
        for file in manifest.files
        if file.digest not in there
    ]
