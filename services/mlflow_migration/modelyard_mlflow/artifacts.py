"""Moves the files of a run, a logged model or a version from an origin to a target."""

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
from modelyard_mlflow.source import OriginFile, Reader, Tree, Unreadable

REFUSALS = (AlreadyExists, InvalidParameter, InvalidState, NotFound, ResourceExhausted)
"""What a server raises about one resource, so that the others can be moved."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Copies trees; a file that has the same path and size at the target is taken as the same."""

    reader: Reader
    target: Destination
    report: Report

    def copy(self, tree: Tree, owner: Owner, subject: str, open_owner: Callable[[], None]) -> bool:
        """Copy what the target lacks.

        Args:
            tree: At the origin.
            owner: At the target.
            subject: For the report.
            open_owner: Called before anything is written.

        Returns:
            Whether anything was written.
        """
        try:
            files = self._files(tree, subject)
        except Unreadable as unreadable:
            self.report.note("artifacts-unreadable", subject, str(unreadable))
            return False
        there = self.target.sizes_bytes(owner) if files else {}
        missing = [file for file in files if there.get(file.path) != file.size_bytes]
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
            self.target.put(owner, missing, fetch)
        except REFUSALS as refusal:
            self.report.note("artifacts-refused", subject, refusal.message)
            return True
        moved = [file for file in missing if file.path not in unread]
        self.report.count("files", len(moved), created=True)
        self.report.count("bytes", sum(file.size_bytes for file in moved), created=True)
        return True

    def _files(self, tree: Tree, subject: str) -> list[OriginFile]:
        """Return the files that can be kept: each once, and none where there is a folder."""
        found = {file.path: file for file in self.reader.files(tree) if self._fits(file, subject)}
        folders = {str(folder) for path in found for folder in PurePosixPath(path).parents}
        for path in sorted(folders & found.keys()):
            detail = f"file {shown(path)} is not moved: there is a folder of that name."
            self.report.note("artifacts-refused", subject, detail)
        return [file for file in found.values() if file.path not in folders]

    def _fits(self, file: OriginFile, subject: str) -> bool:
        try:
            logical_path(file.path)
        except InvalidArgument as refusal:
            detail = f"file {shown(file.path)} is not moved: {refusal.message}"
            self.report.note("artifacts-refused", subject, detail)
            return False
        return True
