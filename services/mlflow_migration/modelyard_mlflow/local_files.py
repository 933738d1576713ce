"""Files of the source on this machine.

Paths reported by the source are not trusted: a path is opened only below the folder the caller
names, or inside the own folder of a run or logged model.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard_mlflow.mlflow_http import proxied_path
from modelyard_mlflow.source import SourceFile, Tree, Unreadable

# Layout of every artifact root: a folder, a bucket or behind the proxy.
_TAIL = re.compile(r"(?:^|/)([0-9]+/(?:[0-9a-f]{32}|models/m-[0-9a-f]{32})/artifacts(?:/.*)?)$")


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Reads files of this machine, within the permitted folders.

    Args:
        root: Artifact root of the source, or a copy of it; None if the caller named none.
        trusts_paths: Whether paths of runs and logged models reported by the source are paths of
            this machine.
    """

    root: Path | None
    trusts_paths: bool

    def has(self, tree: Tree) -> bool:
        """Whether a tree can be read on this machine."""
        return self._folder(tree) is not None

    def why_not(self, tree: Tree) -> str:
        """Return the reason why a tree is not read, and the remedy."""
        if self.root is None:
            return f"{tree.uri} is out of reach; name a folder with a copy: --artifact-root DIR"
        return f"{tree.uri} is out of reach: it is not below {self.root}"

    def files(self, tree: Tree) -> Iterator[SourceFile]:
        """Yield the files of a tree.

        Raises:
            Unreadable: The tree is not permitted on this machine, or a folder cannot be read.
        """
        folder = self._folder(tree)
        if folder is None:
            raise Unreadable(self.why_not(tree))

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise Unreadable(f"{error.filename} cannot be read: {error.strerror}") from None

        if folder.is_file():
            yield SourceFile(folder.name, folder.stat().st_size)
        for parent, folders, names in os.walk(folder, onerror=refuse):
            links = [name for name in folders if Path(parent, name).is_symlink()]
            for name in sorted(names + links):
                path = Path(parent, name)
                size_bytes = path.stat().st_size if path.is_file() else 0
                yield SourceFile(path.relative_to(folder).as_posix(), size_bytes, _unreadable(path))

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        """Link a file of a tree to another path.

        Raises:
            Unreadable: The file is not permitted: it is a link that leaves the tree.
        """
        folder = self._folder(tree)
        if folder is None:
            raise Unreadable(self.why_not(tree))
        source = (folder / path if folder.is_dir() else folder).resolve()
        inside = folder if folder.is_dir() else folder.parent
        if not source.is_relative_to(inside.resolve()):
            raise Unreadable(f"'{path}' is a link that leaves {inside}")
        target.symlink_to(source)

    def _folder(self, tree: Tree) -> Path | None:
        path = _path(tree.uri)
        if self.root is not None:
            tail = _TAIL.search(tree.uri if path is None else path.as_posix())
            candidates = [path] if path is not None else []
            candidates += [self.root / tail[1]] if tail else []
            candidates += [self.root / proxied_path(tree.uri)] if proxied_path(tree.uri) else []
            root = self.root.resolve()
            inside = [path for path in candidates if path.resolve().is_relative_to(root)]
            # A run without files has no folder; if its experiment has none either, the root is
            # probably the wrong one.
            found = [path for path in inside if path.exists()] or [
                path for path in inside if tail and (self.root / tail[1].split("/")[0]).is_dir()
            ]
            return found[0] if found else None
        owner = tree.run_id or tree.model_id
        # An experiment's location is set by clients; a run's folder in it is set by the server.
        if self.trusts_paths and path is not None and owner:
            is_own = path.parts[-2:] == (owner, "artifacts")
            return path if is_own and _experiment_folder(path).is_dir() else None
        return None


def _unreadable(path: Path) -> str:
    if path.is_file():
        return ""
    if path.is_dir():
        return "it is a link to a folder"
    return "it is a link to nothing" if path.is_symlink() else "it is not a regular file"


def _experiment_folder(artifacts: Path) -> Path:
    """Return the experiment's folder, from the folder of its run or logged model."""
    above = artifacts.parents[1]
    return above.parent if above.name == "models" else above


def _path(uri: str) -> Path | None:
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(urllib.parse.unquote(parts.path))
    return Path(uri) if uri.startswith("/") else None
