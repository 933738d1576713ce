"""Copies the files of a run, a logged model or a version from the source to the destination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ArtifactCopier:
    """Copies artifact trees; files of the same path and size are taken as equal."""

    reader: Reader
    destination: Destination
    report: Report

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
        try:
            files = self._files(tree, subject)
        except Unreadable as unreadable:
            self.report.note("artifacts-unreadable", subject, str(unreadable))
            return False
        known = self.destination.sizes_bytes(owner) if files else {}
        missing = [file for file in files if known.get(file.path) != file.size_bytes]
        self.report.count("files", len(files) - len(missing), created=False)
        if not missing:
            return False
        open_owner()
        unread = set()

        def fetch(path: str, target: Path) -> None:
            try:
                self.reader.fetch(tree, path, target)
            except Unreadable as unreadable:
                target.unlink(missing_ok=True)
                unread.add(path)
                self.report.note("artifacts-unreadable", subject, str(unreadable))

        try:
            self.destination.put(owner, missing, fetch)
        except REFUSALS as refusal:
            self.report.note("artifacts-refused", subject, refusal.message)
            return True
        copied = [file for file in missing if file.path not in unread]
        self.report.count("files", len(copied), created=True)
        self.report.count("bytes", sum(file.size_bytes for file in copied), created=True)
        return True

    def _files(self, tree: Tree, subject: str) -> list[SourceFile]:
        """Return the files that can be stored: each path once, and none that is also a folder."""
        found = {file.path: file for file in self.reader.files(tree) if self._fits(file, subject)}
        folders = {str(folder) for path in found for folder in PurePosixPath(path).parents}
        for path in sorted(folders & found.keys()):
            detail = f"file {shown(path)} is not copied: a folder has the same name."
            self.report.note("artifacts-refused", subject, detail)
        return [file for file in found.values() if file.path not in folders]

    def _fits(self, file: SourceFile, subject: str) -> bool:
        try:
            logical_path(file.path)
        except InvalidArgument as refusal:
            detail = f"file {shown(file.path)} is not copied: {refusal.message}"
            self.report.note("artifacts-refused", subject, detail)
            return False
        return True
