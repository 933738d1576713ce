"""Copies the files of a run, a logged model or a version from the source to the destination.

A file that is left out, for whatever reason, is recorded at the destination, which pins no version
to a folder that lacks it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from modelyard.exceptions import (
    AlreadyExists,
    InvalidParameter,
    InvalidState,
    NotFound,
    ResourceExhausted,
)
from modelyard.internal import Owner
from modelyard_kit.artifacts import logical_path
from modelyard_kit.errors import InvalidArgument
from modelyard_mlflow.destination import Destination
from modelyard_mlflow.limits import shown
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import Reader, SourceFile, Tree, Unreadable

REFUSALS = (AlreadyExists, InvalidParameter, InvalidState, NotFound, ResourceExhausted)
"""Errors about a single resource, after which the others can still be migrated."""

_NOT_YET = "the import was interrupted before it was copied"
_MAX_SHOWN = 10
_MAX_SHOWN_CHARACTERS = 300


@dataclass(slots=True)
class Missing:
    """The files that trees at the destination lack after this import.

    Attributes:
        files: Reasons by path, by owner; the path is empty if the tree could not be listed.
    """

    files: dict[Owner, dict[str, str]] = field(default_factory=dict)

    def below(self, owner: Owner, folder: str = "") -> dict[str, str]:
        """Return the reasons of the files that a folder lacks, by path."""
        prefix = f"{folder}/" if folder else ""
        return {
            path: reason
            for path, reason in self.files.get(owner, {}).items()
            if not path or f"{path}/".startswith(prefix) or folder.startswith(f"{path}/")
        }


def described(missing: Mapping[str, str]) -> str:
    """Describe missing files for a message."""
    items = list(missing.items())
    texts = [f"{shown(path)} ({reason})" if path else reason for path, reason in items[:_MAX_SHOWN]]
    text = ", ".join(text[:_MAX_SHOWN_CHARACTERS] for text in texts)
    more = f" and {len(items) - _MAX_SHOWN} more" if len(items) > _MAX_SHOWN else ""
    return f"{'files are missing: ' if items[0][0] else ''}{text}{more}"


@dataclass(frozen=True, slots=True)
class ArtifactCopier:
    """Copies artifact trees; files of the same path and size are taken as equal."""

    reader: Reader
    destination: Destination
    report: Report
    missing: Missing

    def copy(self, tree: Tree, owner: Owner, subject: str, open_owner: Callable[[], None]) -> bool:
        """Copy the files that are missing at the destination.

        Args:
            tree: Files at the source.
            owner: Run or logged model at the destination.
            subject: Name of the resource in the report.
            open_owner: Called before anything is written, to make the owner writable.

        Returns:
            Whether anything was written.
        """
        left_out: dict[str, str] = {}
        try:
            files = self._files(tree, subject, left_out)
        except Unreadable as unreadable:
            self._unlisted(owner, subject, str(unreadable))
            return False
        if not files and not left_out:
            return False
        stored = self.destination.stored(owner)
        missing = [file for file in files if stored.sizes_bytes.get(file.path) != file.size_bytes]
        self.report.count("files", len(files) - len(missing), created=False)
        # Recorded before anything is copied, so that no interruption leaves a part as a whole.
        pending = left_out | {file.path: _NOT_YET for file in missing}
        if pending != stored.missing:
            self.destination.set_missing(owner, pending)
        if missing:
            open_owner()
            self._put(tree, owner, subject, missing, left_out)
            self.destination.set_missing(owner, left_out)
        if left_out:
            self.missing.files[owner] = left_out
        return bool(missing)

    def _put(
        self,
        tree: Tree,
        owner: Owner,
        subject: str,
        files: list[SourceFile],
        left_out: dict[str, str],
    ) -> None:
        """Copy files, and add those that cannot be copied to `left_out`."""

        def fetch(path: str, target: Path) -> None:
            try:
                self._fetch(tree, path, target)
            except Unreadable as unreadable:
                target.unlink(missing_ok=True)
                left_out[path] = str(unreadable)
                self.report.leave_out("artifacts-unreadable", subject, str(unreadable))

        try:
            self.destination.put(owner, files, fetch)
        except REFUSALS as refusal:
            self.report.leave_out("artifacts-refused", subject, refusal.message)
            stored = self.destination.stored(owner).sizes_bytes
            left_out.update(
                {
                    file.path: refusal.message
                    for file in files
                    if file.path not in left_out and stored.get(file.path) != file.size_bytes
                }
            )
            return
        copied = [file for file in files if file.path not in left_out]
        self.report.count("files", len(copied), created=True)
        self.report.count("bytes", sum(file.size_bytes for file in copied), created=True)

    def _fetch(self, tree: Tree, path: str, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.reader.fetch(tree, path, target)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise Unreadable(f"the name of {shown(path)} is too long for this machine") from None

    def _unlisted(self, owner: Owner, subject: str, reason: str) -> None:
        self.report.leave_out("artifacts-unreadable", subject, reason)
        self.missing.files[owner] = {"": reason}
        # Files that are there were copied by an import that could list the tree.
        if not self.destination.stored(owner).sizes_bytes:
            self.destination.set_missing(owner, {"": reason})

    def _files(self, tree: Tree, subject: str, left_out: dict[str, str]) -> list[SourceFile]:
        """Return the files that can be stored: each path once, and none that is also a folder.

        Args:
            tree: Files at the source.
            subject: Name of the resource in the report.
            left_out: Reasons of the others by path, filled in.
        """
        found = {}
        for file in self.reader.files(tree):
            misfit = _misfit(file.path)
            if reason := file.unreadable or misfit:
                # A path that cannot be stored is recorded for the folder that it is in.
                left_out[_storable_folder(file.path) if misfit else file.path] = reason
                kind = "artifacts-unreadable" if file.unreadable else "artifacts-refused"
                detail = f"file {shown(file.path)} is not copied: {reason}"
                self.report.leave_out(kind, subject, detail)
            else:
                found[file.path] = file
        folders = {str(folder) for path in found for folder in PurePosixPath(path).parents}
        for path in sorted(folders & found.keys()):
            left_out[path] = "a folder has the same name"
            detail = f"file {shown(path)} is not copied: a folder has the same name."
            self.report.leave_out("artifacts-refused", subject, detail)
        return [file for file in found.values() if file.path not in folders]


def _misfit(path: str) -> str:
    """Return the reason why a path cannot be stored; empty if it can."""
    try:
        logical_path(path)
    except InvalidArgument as refusal:
        return refusal.message
    return ""


def _storable_folder(path: str) -> str:
    """Return the innermost folder of a path that can be stored; empty for the root."""
    folders = [str(folder) for folder in PurePosixPath(path).parents]
    return next((folder for folder in folders if folder != "." and not _misfit(folder)), "")
