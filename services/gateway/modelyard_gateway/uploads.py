"""Files whose digest is not known beforehand: spooled and hashed, then kept."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_gateway.artifact_paths import Owned
from modelyard_gateway.asking import Identity, Neighbours
from modelyard_gateway.errors import HttpError
from modelyard_gateway.http import Request
from modelyard_gateway.transfers import STALLED_AFTER_S, body_of
from modelyard_kit.artifacts import ArtifactStore, Digest, ManifestFile, PartHasher
from modelyard_kit.errors import ResourceExhausted

_CHUNK_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What uploads of files of unknown digest may take.

    Attributes:
        folder: Where they are spooled, in files without a name; None for the system's own.
        max_bytes: Of one body.
        at_once: How many are spooled at the same time; more wait.
        patience_s: How long one waits for its turn.
        stalled_after_s: How long a client may send nothing.
    """

    folder: Path | None = None
    max_bytes: int = 5 << 30
    at_once: int = 16
    patience_s: float = 30.0
    stalled_after_s: float = STALLED_AFTER_S


class Uploads:
    """Keeps the bodies of requests as files of trees.

    Args:
        store: Where their bytes go.
        neighbours: Tracking is asked before a byte is read, and told when all of them are kept.
        limits: Of space and time.
    """

    def __init__(self, store: ArtifactStore, neighbours: Neighbours, limits: UploadLimits) -> None:
        self._store = store
        self._neighbours = neighbours
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.at_once)
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="uploads")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def ask(self, place: Owned, who: Identity) -> None:
        """Ask tracking whether `who` may write there now.

        Raises:
            Error: Tracking's refusal.
        """
        request = pb.DeclareArtifactsRequest(**place.owner)
        self._neighbours.artifacts("DeclareArtifacts", request, who)

    async def receive(self, request: Request, place: Owned, who: Identity) -> ManifestFile:
        """Keep the body of a request as the file at a place, which it replaces.

        Raises:
            HttpError: The body is too large.
            ResourceExhausted: No turn came, or there is no room.
            ConnectionError: The client went away; nothing is left behind.
            TimeoutError: It stalled; nothing is left behind.
        """
        self._refuse_large(int(request.headers.get("content-length", "0")))
        chunks = body_of(request, asyncio.get_running_loop(), self._limits.stalled_after_s)

        def work() -> ManifestFile:
            with self._spooled(chunks, place.path) as (spool, file):
                self._keep(spool, file, place, who)
            return file

        async with self._turn():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.patience_s):
                await self._turns.acquire()
        except TimeoutError:
            raise ResourceExhausted(
                f"{self._limits.at_once} uploads are running; nothing was kept. Try again."
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def _spooled(
        self, chunks: Iterable[bytes], path: str
    ) -> Iterator[tuple[IO[bytes], ManifestFile]]:
        try:
            with tempfile.TemporaryFile(dir=self._limits.folder) as spool:
                hasher = PartHasher()
                for chunk in chunks:
                    hasher.update(chunk)
                    self._refuse_large(hasher.size_bytes)
                    spool.write(chunk)
                spool.flush()
                yield spool, hasher.file(path)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise ResourceExhausted(
                "The disk that uploads are spooled to is full; nothing was kept. Free some space, "
                "then try again."
            ) from error

    def _keep(self, spool: IO[bytes], file: ManifestFile, place: Owned, who: Identity) -> None:
        missing = self.declare(file, place, who)
        at = 0
        for item in file.parts or (file,):
            if item.digest in missing:
                self._store.put(item.digest, _span(spool, at, item.size_bytes), item.size_bytes)
            at += item.size_bytes
        self.commit(file, place, who)

    def declare(self, file: ManifestFile, place: Owned, who: Identity) -> set[Digest]:
        """Announce a file and return the digests of its objects that are missing."""
        request = pb.DeclareArtifactsRequest(**place.owner, files=[_message(file)])
        reply: pb.DeclareArtifactsResponse = self._neighbours.artifacts(
            "DeclareArtifacts", request, who
        )
        return {Digest(upload.digest) for upload in reply.uploads}

    def commit(self, file: ManifestFile, place: Owned, who: Identity) -> None:
        """Put a file, whose objects are in the store, into its tree."""
        owner = {key: value for key, value in place.owner.items() if key != "experiment_id"}
        request = pb.CommitArtifactsRequest(**owner, files=[_message(file)])
        self._neighbours.artifacts("CommitArtifacts", request, who)

    def _refuse_large(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_bytes:
            raise HttpError(
                413,
                "INVALID_PARAMETER_VALUE",
                f"The file is too large: one request may bring {self._limits.max_bytes} bytes. "
                "Upload it in parts (MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=true), or by the SDK.",
            )


def _message(file: ManifestFile) -> pb.ArtifactFile:
    parts = [pb.ArtifactPart(digest=part.digest, size_bytes=part.size_bytes) for part in file.parts]
    return pb.ArtifactFile(
        path=file.path, size_bytes=file.size_bytes, digest=file.digest, parts=parts
    )


def _span(spool: IO[bytes], start: int, size_bytes: int) -> Iterator[bytes]:
    spool.seek(start)
    while size_bytes:
        chunk = spool.read(min(_CHUNK_BYTES, size_bytes))
        size_bytes -= len(chunk)
        yield chunk
