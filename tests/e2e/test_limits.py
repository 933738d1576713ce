"""What is too large, too many or does not fit any more, sent to a running instance."""

from __future__ import annotations

import errno
import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.processes.up_process import Up, up

from modelyard.api.registry.v1 import registry_pb2 as pb

GET_MODEL = "/modelyard.api.registry.v1.RegistryService/GetRegisteredModel"
CREATE = "/api/2.0/mlflow/experiments/create"
LIMIT_BYTES = 8 << 20
MAX_GROWTH_BYTES = 64 << 20
"""What one request may take at most, some copies of the largest message."""
REQUEST = pb.GetRegisteredModelRequest(name="iris").SerializeToString()
LARGEST = pb.GetRegisteredModelRequest(name="x" * (LIMIT_BYTES - 5)).SerializeToString()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("up") / "home") as running:
        yield running


@contextmanager
def bounded_growth(running: Up) -> Iterator[None]:
    """Check that the instance's memory does not grow much at any moment of the block."""
    folder = Path(f"/proc/{running.process.pid}")
    (folder / "clear_refs").write_text("5")  # the peak is the present size from now on
    before_bytes = peak_bytes(folder)
    yield
    assert peak_bytes(folder) - before_bytes < MAX_GROWTH_BYTES


def peak_bytes(folder: Path) -> int:
    lines = (folder / "status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) << 10


def refusal(running: Up, data: bytes, **options: Any) -> tuple[grpc.StatusCode, str]:
    with grpc.insecure_channel(running.instance["grpc"]) as channel:
        call: Any = channel.unary_unary(GET_MODEL)  # of bytes
        with pytest.raises(grpc.RpcError) as refused:
            call(data, timeout=60, **options)
        return refused.value.code(), str(refused.value.details())


def test_a_message_at_the_limit_is_read_and_one_over_it_is_not(instance: Up) -> None:
    assert len(LARGEST) == LIMIT_BYTES
    with bounded_growth(instance):
        code, message = refusal(instance, LARGEST)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "'name': it has 8,388,603 characters, at most 256 are allowed" in message
    with bounded_growth(instance):
        code, message = refusal(instance, LARGEST + b"\0")
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max (8388609 vs. 8388608)" in message


def test_a_message_that_is_large_only_when_unpacked_is_not_unpacked(instance: Up) -> None:
    with bounded_growth(instance):
        refused = refusal(instance, bytes(64 << 20), compression=grpc.Compression.Gzip)
    assert refused == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Decompressed message larger than max")


@pytest.mark.parametrize(
    "metadata",
    [
        [("x", "y" * 20_000)],
        [("authorization", "Bearer " + "y" * 20_000)],
        [(f"h{number}", "y") for number in range(10_000)],
    ],
    ids=["20 kB", "a token of 20 kB", "10,000 headers"],
)
def test_too_much_metadata_is_refused(instance: Up, metadata: list[tuple[str, str]]) -> None:
    with bounded_growth(instance):
        code, _ = refusal(instance, REQUEST, metadata=metadata)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal(instance, REQUEST)[0] is grpc.StatusCode.NOT_FOUND  # others are answered


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer " + "y" * 20_000},
        {"x": "y" * 100_000},
        {f"header-{number}": "y" for number in range(10_000)},
    ],
    ids=["a token of 20 kB", "100 kB", "10,000 headers"],
)
def test_too_much_of_a_head_is_refused_over_http(instance: Up, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection(*instance.address, timeout=60)
    with bounded_growth(instance):
        connection.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", None, headers)
        reply = connection.getresponse()
        document = json.loads(reply.read())
    connection.close()
    assert (reply.status, document["error_code"]) == (431, "INVALID_PARAMETER_VALUE")


def test_a_packed_body_is_not_unpacked(instance: Up) -> None:
    status, document = post(instance, {}, "gzip")
    assert (status, document["error_code"]) == (415, "INVALID_PARAMETER_VALUE")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Leave not a byte."""
    with ballast.open("ab", buffering=0) as file:
        for size_bytes in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size_bytes))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - what ends the loop


def test_on_a_full_disk_nothing_is_half_written_and_all_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with small_disk(home), up(home) as running:
        assert post(running, {"name": "before"})[0] == 200
        run = post(running, {"experiment_id": "0"}, path="/api/2.0/mlflow/runs/create")[1]["run"]
        upload = f"/api/2.0/mlflow-artifacts/artifacts/0/{run['info']['run_id']}/artifacts/a.bin"
        ballast = home / "ballast"
        fill(ballast)

        for number in range(20):  # what the log file of the database still had room for is written
            status, document = post(running, {"name": f"n{number}", "tags": TAGS})
            if status != 200:
                break
        assert (status, document["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        assert document["message"].startswith("The disk of the database is full; nothing was")
        status, body = running.put(upload, bytes(100_000))
        assert (status, json.loads(body)["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        assert running.get("/api/2.0/mlflow/experiments/get?experiment_id=0")[0] == 200
        status, body = running.get("/health")
        assert status == 503
        assert json.loads(body)["message"] == "Not ready: tracking, registry."

        ballast.unlink()
        assert post(running, {"name": f"n{number}", "tags": TAGS})[0] == 200
        assert running.put(upload, bytes(100_000))[0] == 200
        assert running.get("/health")[0] == 200
        assert running.stop() == 0


TAGS = [{"key": f"k{number}", "value": "x" * 5_000} for number in range(20)]


def post(
    running: Up, document: object, coding: str = "identity", path: str = CREATE
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*running.address, timeout=60)
    headers = {"content-type": "application/json", "content-encoding": coding}
    connection.request("POST", path, json.dumps(document), headers)
    reply = connection.getresponse()
    answered = reply.status, json.loads(reply.read())
    connection.close()
    return answered
