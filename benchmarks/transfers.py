"""Time transfers of the SDK beside their floors, in one run.

The platform keeps its bytes in a folder and runs in its own process, on the same cores. The floor
of many small files is a copy of them; of a large file it is the indispensable hashing, and the same
objects by plain PUTs and GETs, sequentially over one connection. They alternate, so that a drift of
the machine affects all. Quote the ratios.

    python -m benchmarks.transfers [rounds]
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measuring import timed
from benchmarks.platforms import start_platform

from modelyard import MlflowClient
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.internal import rpc

SMALL_FILES = 1000
SMALL_BYTES = 4096
LARGE_BYTES = 512 << 20
PART_BYTES = 64 << 20


def make_small(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(SMALL_FILES):
        (folder / str(number)).write_bytes(os.urandom(SMALL_BYTES))


def make_large(file: Path) -> None:
    with file.open("wb") as sink:
        for _ in range(LARGE_BYTES >> 20):
            sink.write(os.urandom(1 << 20))


def hash_file(file: Path) -> None:
    with file.open("rb") as source:
        hashlib.file_digest(source, "sha256")


class PlainHttp:
    """Plain transfers of a file's objects by the server's URLs."""

    def __init__(self, client: MlflowClient, run_id: str, file: Path) -> None:
        parts = []
        with file.open("rb") as source:
            while block := source.read(PART_BYTES):
                digest = hashlib.sha256(block).hexdigest()
                parts.append(pb.ArtifactPart(digest=digest, size_bytes=len(block)))
        message = pb.ArtifactFile(path="plain", size_bytes=LARGE_BYTES, parts=parts)
        message.digest = hashlib.sha256(file.read_bytes()).hexdigest()
        self._uri = client.tracking_uri
        self._run_id = run_id
        self._files = [message]
        self._file = file
        address = urlsplit(str(self._uri))
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port)

    def put(self) -> None:
        declare = pb.DeclareArtifactsRequest(run_id=self._run_id, files=self._files)
        uploads = rpc.call(self._uri, declare, pb.DeclareArtifactsResponse).uploads
        with self._file.open("rb") as source:
            for upload in uploads:
                block = source.read(upload.size_bytes)
                self._connection.request("PUT", _path(upload.url), block, dict(upload.headers))
                self._connection.getresponse().read()
        commit = pb.CommitArtifactsRequest(run_id=self._run_id, files=self._files)
        rpc.call(self._uri, commit, pb.CommitArtifactsResponse, timeout_s=60)

    def get(self, target: Path) -> None:
        request = pb.GetArtifactsRequest(run_id=self._run_id, path="plain")
        downloads = rpc.call(self._uri, request, pb.GetArtifactsResponse).downloads
        with target.open("wb") as sink:
            for download in downloads:
                self._connection.request("GET", _path(download.url))
                shutil.copyfileobj(self._connection.getresponse(), sink, 1 << 20)


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def many(client: MlflowClient, run_id: str, folder: Path) -> dict[str, tuple[float, float]]:
    small = folder / "small"
    make_small(small)
    copying = timed(lambda: shutil.copytree(small, folder / "copy"))
    upload = timed(lambda: client.log_artifacts(run_id, small, "small"))
    again = timed(lambda: client.log_artifacts(run_id, small, "again"))
    download = timed(lambda: client.download_artifacts(run_id, "small", folder / "back"))
    shutil.rmtree(folder / "copy")
    shutil.rmtree(folder / "back")
    return {
        "upload 1,000 x 4 KiB / copy": (upload, copying),
        "upload them again / copy": (again, copying),
        "download them / copy": (download, copying),
    }


def one(client: MlflowClient, run_id: str, folder: Path) -> dict[str, tuple[float, float]]:
    large = folder / "large"
    make_large(large)
    hashing = timed(lambda: hash_file(large))
    upload = timed(lambda: client.log_artifact(run_id, large))
    again = timed(lambda: client.log_artifact(run_id, large, "again"))
    download = timed(lambda: client.download_artifacts(run_id, "large", folder / "back"))
    make_large(large)
    plain = PlainHttp(client, run_id, large)
    putting = timed(plain.put)
    getting = timed(lambda: plain.get(folder / "got"))
    shutil.rmtree(folder / "back")
    return {
        "upload 512 MiB / plain PUTs": (upload, putting),
        "upload it again / hashing": (again, hashing),
        "download it / plain GETs": (download, getting),
    }


def main(rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MODELYARD_HOME"] = str(folder / "home")
        platform, addresses = start_platform(folder / "home")
        client = MlflowClient(addresses["http"])
        run_id = client.create_run("0").info.run_id
        try:
            found = [
                many(client, run_id, folder) | one(client, run_id, folder) for _ in range(rounds)
            ]
        finally:
            platform.send_signal(signal.SIGTERM)
            platform.wait()
    print(f"{'median of ' + str(rounds):<32}{'s':>8}{'floor':>8}{'ratio':>8}")
    for row in found[0]:
        ours, floor = (
            statistics.median(times) for times in zip(*(f[row] for f in found), strict=True)
        )
        ratio = statistics.median(f[row][0] / f[row][1] for f in found)
        print(f"{row:<32}{ours:>8.2f}{floor:>8.2f}{ratio:>8.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
