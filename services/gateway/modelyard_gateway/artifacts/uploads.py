"""Files whose digest is not known beforehand: spooled and hashed, then kept."""

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
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.paths import Owned
from modelyard_gateway.artifacts.transfers import STALLED_AFTER_S, body_of, spans
from modelyard_gateway.concurrency import ConcurrencyLimiter
from modelyard_gateway.metrics import uploads_pending
from modelyard_kit.artifacts import ArtifactStore, Digest, ManifestFile, PartHasher, UrlSigner
from modelyard_kit.artifacts.store import refuse_when_full
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request

_CHUNK_BYTES = 1 << 20
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What uploads of files of unknown digest may take.

    Attributes:
        folder: Where they are spooled, in files without a name; None for the system's own.
        max_bytes: Of one body.
        at_once: How many are spooled at the same time; more wait.
        patience_s: How long one waits for its turn.
        stalled_after_s: How long a client may take to send the next 64 KiB.
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
        signer: Writes receipts.
        neighbours: Tracking is asked before a byte is read, and told when all of them are kept.
        limits: Of space and time.
    """

    def __init__(
        self,
        store: ArtifactStore,
        signer: UrlSigner,
        neighbours: ServiceClients,
        limits: UploadLimits,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clients = neighbours
        self._limits = limits
        self._turns = ConcurrencyLimiter(limits.at_once, limits.patience_s, "uploads")
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="uploads")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def put(
        self, digest: Digest, chunks: Iterable[bytes], size_bytes: int, sender: str = ""
    ) -> None:
        """Store an object, and a receipt for whoever sent it, if one is asked for; blocks."""
        self._store.put(digest, chunks, size_bytes)
        if sender:
            receipt = self._signer.receipt(digest, sender)
            self._store.put(Digest.of(receipt), [receipt], len(receipt))

    def ask(self, place: Owned, who: Identity) -> None:
        """Ask tracking whether `who` may write there now.

        Raises:
            Error: Tracking's refusal.
        """
        request = pb.CheckArtifactsWritableRequest(**place.owner)
        self._clients.artifacts("CheckArtifactsWritable", request, who)

    async def receive(
        self, request: Request, place: Owned, who: Identity, *, is_part: bool = False
    ) -> ManifestFile:
        """Keep the body of a request as the file at a place, which it replaces.

        Args:
            request: Its body is the file.
            place: Where to.
            who: Asks.
            is_part: Keep the bytes only: `join` makes a file of them.

        Raises:
            HttpError: The body is too large.
            ResourceExhausted: No turn came, or there is no room.
            ConnectionError: The client went away; nothing is left behind.
            TimeoutError: It stalled; nothing is left behind.
        """
        self._refuse_large(int(request.headers.get("content-length", "0")))
        chunks = body_of(request, asyncio.get_running_loop(), self._limits.stalled_after_s)
        return await self.keep(chunks, place, who, is_part=is_part)

    async def keep(
        self, chunks: Iterator[bytes], place: Owned, who: Identity, *, is_part: bool = False
    ) -> ManifestFile:
        """Keep bytes as `receive` does."""

        def work() -> ManifestFile:
            with self._spooled(chunks, place.path) as (spool, file):
                store = self._store_missing if is_part else self._store_and_commit
                store(file, place, who, lambda start, end: _span(spool, start, end))
            return file

        return await self.in_turn(work)

    async def join(self, place: Owned, objects: Sequence[Digest], who: Identity) -> None:
        """Make a file of objects one after the other; it replaces the one at its place.

        Raises:
            FailedPrecondition: An object is missing.
        """

        def work() -> None:
            sized = [(digest, self._size_bytes(digest, place)) for digest in objects]
            hasher = PartHasher()
            for chunk in self._joined(sized, 0, sum(size for _, size in sized)):
                hasher.update(chunk)
            file = hasher.file(place.path)
            self._store_and_commit(
                file, place, who, lambda start, end: self._joined(sized, start, end)
            )

        await self.in_turn(work)

    async def in_turn(self, work: Callable[[], Result]) -> Result:
        """Return the result of work that blocks for as long as a client sends.

        Raises:
            ResourceExhausted: No turn came.
        """
        with uploads_pending.track_inprogress():
            async with self._turns.one():
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)

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
        place: Owned,
        who: Identity,
        read: Callable[[int, int], Iterator[bytes]],
    ) -> None:
        self._store_missing(file, place, who, read)
        try:
            self._commit(file, place, who)
        except FailedPrecondition:
            # Somebody out of their sight committed the same bytes meanwhile: these prove theirs.
            self._store_missing(file, place, who, read)
            self._commit(file, place, who)

    def _store_missing(
        self,
        file: ManifestFile,
        place: Owned,
        who: Identity,
        read: Callable[[int, int], Iterator[bytes]],
    ) -> None:
        """Put what is missing of a file into the store; `read` yields a range of its bytes."""
        request = pb.DeclareArtifactsRequest(**place.owner, files=[_message(file)])
        reply: pb.DeclareArtifactsResponse = self._clients.artifacts(
            "DeclareArtifacts", request, who
        )
        missing = {upload.digest: upload.url for upload in reply.uploads}
        at = 0
        for item in file.parts or (file,):
            end = at + item.size_bytes
            if item.digest in missing:
                sender = self._signer.sender_in(missing[item.digest])
                self.put(item.digest, read(at, end), item.size_bytes, sender)
            at = end

    def _commit(self, file: ManifestFile, place: Owned, who: Identity) -> None:
        owner = {key: value for key, value in place.owner.items() if key != "experiment_id"}
        request = pb.CommitArtifactsRequest(**owner, files=[_message(file)])
        self._clients.artifacts("CommitArtifacts", request, who)

    def _size_bytes(self, digest: Digest, place: Owned) -> int:
        size_bytes = self._store.size_bytes(digest)
        if size_bytes is None:
            raise FailedPrecondition(
                f"A part of '{place}' is missing: its bytes, {digest}, were swept because "
                "they came too long ago. Start the upload again.",
                digest=digest,
            )
        return size_bytes

    def _joined(
        self, objects: Sequence[tuple[Digest, int]], start: int, end: int
    ) -> Iterator[bytes]:
        for digest, first, last in spans(objects, start, end):
            with self._store.open(digest, first, last) as chunks:
                yield from chunks

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


def _span(spool: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    spool.seek(start)
    while start < end:
        chunk = spool.read(min(_CHUNK_BYTES, end - start))
        start += len(chunk)
        yield chunk
