"""Uploads of files: declare them, send the missing objects, commit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from modelyard._artifacts import local_files, progress
from modelyard._artifacts.objects import PART_BYTES, File, Gone, Source, describe_all
from modelyard._artifacts.transfer import Links, Transfer
from modelyard._transport import connections, rpc
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.exceptions import InvalidState, NotFound

_FILES_PER_CALL = 1000
_OBJECTS_PER_CALL = 10_000  # their URLs are in one reply
_DECLARE_DEADLINE_S = 60.0  # the store is queried for each object
_COMMIT_DEADLINE_S = 60.0
_HASHED_BYTES_PER_S = 50e6  # by a server that re-reads the uploads from its store


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner of an artifact tree: a run or a logged model, exactly one of them."""

    run_id: str | None = None
    model_id: str | None = None


def upload(
    uri: str | None, owner: Owner, local_path: str | Path, artifact_path: str | Path | None
) -> None:
    """Upload a file, or a folder under its own name, into a folder of a tree.

    A file that grows meanwhile is uploaded as it was at the beginning.

    Raises:
        NotFound: The local file does not exist.
        InvalidParameter: The path is neither a file nor a folder, or its name is not UTF-8.
        InvalidState: A file was changed, other than by growing, while it was uploaded.
    """
    source = Path(local_path)
    if source.is_dir():
        upload_content(uri, owner, source, _prefix(artifact_path) + source.absolute().name)
    elif source.exists():
        path = local_files.checked_name(_prefix(artifact_path) + source.name)
        _upload_files(uri, owner, [(path, Source.of(source))], local_files.refuse)
    else:
        raise NotFound(f"The local file '{local_path}' does not exist.")


def upload_content(
    uri: str | None, owner: Owner, local_dir: str | Path, artifact_path: str | Path | None
) -> None:
    """Upload the content of a folder into a folder of a tree.

    What is not a file, or vanishes meanwhile, is left out of a run with a warning, and refused in a
    logged model.

    Raises:
        NotFound: The local folder does not exist, or a file cannot be read.
        InvalidParameter: A name is not UTF-8, or a logged model would not be uploaded whole.
        InvalidState: A file was changed, other than by growing, while it was uploaded.
    """
    root = Path(local_dir)
    if not root.is_dir():
        raise NotFound(f"The local folder '{local_dir}' does not exist.")
    leave_out = local_files.warn if owner.run_id else local_files.refuse
    sources = local_files.sources_in(root, _prefix(artifact_path), leave_out)
    _upload_files(uri, owner, sources, leave_out)


def _prefix(artifact_path: str | PurePath | None) -> str:
    if not artifact_path:
        return ""
    if isinstance(artifact_path, PurePath):
        return f"{artifact_path.as_posix()}/"
    # Windows separates by backslashes, also in what `os.path.join` makes of an artifact path.
    return f"{artifact_path}/".replace(os.sep, "/")


def _upload_files(
    uri: str | None,
    owner: Owner,
    sources: Sequence[tuple[str, Source]],
    leave_out: local_files.LeaveOut,
) -> None:
    left = list(_batches(sources))
    with progress.shown("Uploading", sum(source.size_bytes for _, source in sources)) as advance:
        while left:
            try:
                with Transfer(connections.host(uri), advance) as transfer:
                    while left:
                        files = describe_all(left[0], transfer.each)
                        places = [source for _, source in left[0]]
                        _Batch(uri, owner, files, places).upload(transfer)
                        del left[0]
            except Gone:
                left[0] = local_files.still_there(left[0], leave_out)


def _batches(sources: Sequence[tuple[str, Source]]) -> Iterator[list[tuple[str, Source]]]:
    batch: list[tuple[str, Source]] = []
    objects = 0
    for path, source in sources:
        parts = 1 + source.size_bytes // PART_BYTES
        if batch and (len(batch) == _FILES_PER_CALL or objects + parts > _OBJECTS_PER_CALL):
            yield batch
            batch, objects = [], 0
        batch.append((path, source))
        objects += parts
    if batch:
        yield batch


class _Batch:
    """Files that are committed together: all or none."""

    def __init__(
        self, uri: str | None, owner: Owner, files: Sequence[File], sources: Sequence[Source]
    ) -> None:
        self._uri = uri
        self._owner = {"run_id": owner.run_id, "model_id": owner.model_id}
        self._messages = [_message(file) for file in files]
        self._where = {
            part: (source, index * PART_BYTES)
            for file, source in zip(files, sources, strict=True)
            for index, part in enumerate(file.objects)
        }
        self._size_bytes = sum(file.size_bytes for file in files)

    def upload(self, transfer: Transfer) -> None:
        self._send(transfer)
        try:
            self._commit()
        except InvalidState:
            # A caller outside this token's scope committed the same bytes meanwhile; sending ours
            # proves possession.
            self._send(transfer)
            self._commit()

    def _send(self, transfer: Transfer) -> None:
        missing = self._declare()
        links = Links(missing, self._declare)
        wanted = [item for item in self._where if item.digest in missing]
        there_bytes = self._size_bytes - sum(item.size_bytes for item in wanted)
        transfer.advance(there_bytes)
        transfer.each(lambda item: transfer.put(item, links, *self._where[item]), wanted)

    def _commit(self) -> None:
        commit = pb.CommitArtifactsRequest(**self._owner, files=self._messages)
        answer_s = _COMMIT_DEADLINE_S + self._size_bytes / _HASHED_BYTES_PER_S
        rpc.call(self._uri, commit, pb.CommitArtifactsResponse, answer_s=answer_s)

    def _declare(self) -> Mapping[str, pb.ObjectUpload]:
        request = pb.DeclareArtifactsRequest(**self._owner, files=self._messages)
        reply = rpc.call(
            self._uri, request, pb.DeclareArtifactsResponse, answer_s=_DECLARE_DEADLINE_S
        )
        return {item.digest: item for item in reply.uploads}


def _message(file: File) -> pb.ArtifactFile:
    message = pb.ArtifactFile(path=file.path, size_bytes=file.size_bytes, digest=file.digest)
    if len(file.objects) > 1:
        message.parts.extend(
            pb.ArtifactPart(digest=part.digest, size_bytes=part.size_bytes) for part in file.objects
        )
    return message
