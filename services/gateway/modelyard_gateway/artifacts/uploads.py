"""Uploads of files whose digest is not known beforehand: spooled, hashed and stored."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_gateway.artifacts.belonging import Belonging
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.paths import Owned
from modelyard_gateway.artifacts.transfers import body_of, spans
from modelyard_gateway.metrics import uploads_pending
from modelyard_kit.artifacts import ArtifactStore, Digest, ManifestFile, PartHasher, UrlSigner
from modelyard_kit.artifacts.store import refuse_when_full
from modelyard_kit.artifacts.verifying import Verifier
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.http.budget import Budget
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request
from modelyard_kit.observability.metrics import digest_mismatches

_CHUNK_BYTES = 1 << 20
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Limits of uploads of files whose digest is not known beforehand.

    Attributes:
        folder: Folder to spool to, in unnamed files; None for the system's temporary folder.
        max_bytes: Largest request body.
        max_concurrent: Uploads that are spooled at the same time; others wait.
        max_of_one: Uploads of one caller that are spooled at the same time.
        patience_s: Longest wait for a slot, in seconds.
    """

    folder: Path | None = None
    max_bytes: int = 5 << 30
    max_concurrent: int = 16
    max_of_one: int = 12
    patience_s: float = 5.0


class Uploads:
    """Stores request bodies as files of artifact trees.

    Args:
        store: Receives the bytes.
        signer: Writes receipts.
        clients: Calls tracking to authorize an upload before it is read, and to record it after.
        belonging: Refuses a store that is not the one of tracking.
        limits: Limits of space and time.
    """

    def __init__(
        self,
        store: ArtifactStore,
        signer: UrlSigner,
        clients: ServiceClients,
        belonging: Belonging,
        limits: UploadLimits,
    ) -> None:
        self._store = store
        self._verifier = Verifier(store, digest_mismatches.labels("join").inc)
        self._signer = signer
        self._clients = clients
        self._belonging = belonging
        self._limits = limits
        self._slots = Budget(limits.max_concurrent, limits.max_of_one, limits.patience_s, "uploads")
        self._threads = ThreadPoolExecutor(limits.max_concurrent, thread_name_prefix="uploads")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def put(
        self, digest: Digest, chunks: Iterable[bytes], size_bytes: int, sender: str = ""
    ) -> None:
        """Store an object, and a receipt for its sender if there is one; blocks."""
        self._store.put(digest, chunks, size_bytes)
        if sender:
            receipt = self._signer.receipt(digest, sender)
            self._store.put(Digest.of(receipt), [receipt], len(receipt))

    def check_writable(self, artifact: Owned, identity: Identity) -> None:
        """Check with tracking that the caller may write to the artifact's owner now.

        Raises:
            Error: Tracking refused.
        """
        request = pb.CheckArtifactsWritableRequest(**artifact.owner)
        self._clients.artifacts("CheckArtifactsWritable", request, identity)

    async def receive(
        self, request: Request, artifact: Owned, identity: Identity, *, is_part: bool = False
    ) -> ManifestFile:
        """Store the body of a request as a file, replacing an existing one.

        Args:
            request: Request whose body is the file.
            artifact: Path of the file.
            identity: Identity of the caller.
            is_part: Whether to store the bytes only, to be joined to a file by `join`.

        Raises:
            HttpError: The body is too large.
            ResourceExhausted: No slot became free, or the disk is full.
            ConnectionError: The client disconnected; nothing is left behind.
            TimeoutError: The client stalled; nothing is left behind.
        """
        self._refuse_large(int(request.headers.get("content-length", "0")))
        chunks = body_of(request, asyncio.get_running_loop())
        return await self.store(request, chunks, artifact, identity, is_part=is_part)

    async def store(
        self,
        request: Request,
        chunks: Iterator[bytes],
        artifact: Owned,
        identity: Identity,
        *,
        is_part: bool = False,
    ) -> ManifestFile:
        """Store bytes as `receive` does."""

        def work() -> ManifestFile:
            with self._spooled(chunks, artifact.path) as (spool, file):
                finish = self._store_missing if is_part else self._store_and_commit
                finish(file, artifact, identity, lambda start, end: _span(spool, start, end))
            return file

        return await self.run(request, work)

    async def join(
        self, request: Request, artifact: Owned, objects: Sequence[Digest], identity: Identity
    ) -> None:
        """Join objects into one file, replacing an existing one.

        Raises:
            FailedPrecondition: An object is missing.
            DataLoss: An object is damaged.
        """

        def work() -> None:
            sized = [(digest, self._size_bytes(digest, artifact)) for digest in objects]
            hasher = PartHasher()
            for chunk in self._joined(sized, 0, sum(size for _, size in sized)):
                hasher.update(chunk)
            file = hasher.file(artifact.path)
            self._store_and_commit(
                file, artifact, identity, lambda start, end: self._joined(sized, start, end)
            )

        await self.run(request, work)

    async def run(self, request: Request, work: Callable[[], Result]) -> Result:
        """Return the result of work that blocks while a client sends, run in a thread.

        Raises:
            ResourceExhausted: No slot became free.
            Unavailable: The store is not the one of tracking.
        """

        def checked() -> Result:
            self._belonging.require()
            return work()

        with uploads_pending.track_inprogress():
            async with self._slots.hold(request.exchange, 1):
                return await asyncio.get_running_loop().run_in_executor(self._threads, checked)

    @contextmanager
    def _spooled(
        self, chunks: Iterable[bytes], path: str
    ) -> Iterator[tuple[IO[bytes], ManifestFile]]:
        with (
            refuse_when_full("that uploads are spooled to"),
            tempfile.TemporaryFile(dir=self._limits.folder) as spool,
        ):
            hasher = PartHasher()
            for chunk in chunks:
                hasher.update(chunk)
                self._refuse_large(hasher.size_bytes)
                spool.write(chunk)
            spool.flush()
            yield spool, hasher.file(path)

    def _store_and_commit(
        self,
        file: ManifestFile,
        artifact: Owned,
        identity: Identity,
        read: Callable[[int, int], Iterator[bytes]],
    ) -> None:
        self._store_missing(file, artifact, identity, read)
        try:
            self._commit(file, artifact, identity)
        except FailedPrecondition:
            # Another caller, outside this one's scope, committed the same bytes meanwhile, so
            # tracking now demands that this one sends them as proof of possession.
            self._store_missing(file, artifact, identity, read)
            self._commit(file, artifact, identity)

    def _store_missing(
        self,
        file: ManifestFile,
        artifact: Owned,
        identity: Identity,
        read: Callable[[int, int], Iterator[bytes]],
    ) -> None:
        """Store the missing objects of a file; `read` yields a range of the file's bytes."""
        request = pb.DeclareArtifactsRequest(**artifact.owner, files=[_message(file)])
        reply: pb.DeclareArtifactsResponse = self._clients.artifacts(
            "DeclareArtifacts", request, identity
        )
        missing = {upload.digest: upload.url for upload in reply.uploads}
        at = 0
        for item in file.parts or (file,):
            end = at + item.size_bytes
            if item.digest in missing:
                sender = self._signer.sender_in(missing[item.digest])
                self.put(item.digest, read(at, end), item.size_bytes, sender)
            at = end

    def _commit(self, file: ManifestFile, artifact: Owned, identity: Identity) -> None:
        owner = {key: value for key, value in artifact.owner.items() if key != "experiment_id"}
        request = pb.CommitArtifactsRequest(**owner, files=[_message(file)])
        self._clients.artifacts("CommitArtifacts", request, identity)

    def _size_bytes(self, digest: Digest, artifact: Owned) -> int:
        size_bytes = self._store.size_bytes(digest)
        if size_bytes is None:
            raise FailedPrecondition(
                f"A part of '{artifact}' is missing: its object {digest} was swept after its lease "
                "ended. Start the upload again.",
                digest=digest,
            )
        return size_bytes

    def _joined(
        self, objects: Sequence[tuple[Digest, int]], start: int, end: int
    ) -> Iterator[bytes]:
        for digest, first, last, size_bytes in spans(objects, start, end):
            with self._verifier.open(digest, first, last, size_bytes) as chunks:
                yield from chunks

    def _refuse_large(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_bytes:
            raise HttpError(
                413,
                "INVALID_PARAMETER_VALUE",
                f"The file is larger than the {self._limits.max_bytes} bytes that one request may "
                "have. Upload it in parts (MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=true), or with the "
                "SDK.",
            )


def _message(file: ManifestFile) -> pb.ArtifactFile:
    parts = [pb.ArtifactPart(digest=part.digest, size_bytes=part.size_bytes) for part in file.parts]
    return pb.ArtifactFile(
        path=file.path, size_bytes=file.size_bytes, digest=file.digest, parts=parts
    )


def _span(spool: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    spool.seek(start)
    while start < end:
        chunk = spool.read(min(_CHUNK_BYTES, end - start))
        start += len(chunk)
        yield chunk
