"""Tags that record the origin of a run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def context_tags() -> dict[str, str]:
    """Return user, source and, inside a git repository, the commit."""
    from modelyard._transport import rpc

    tags = {
        "mlflow.user": rpc.user(),
        "mlflow.source.name": sys.argv[0] if sys.argv and sys.argv[0] else "<console>",
        "mlflow.source.type": "LOCAL",
    }
    commit = git_commit(Path.cwd())
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return tags


def git_commit(folder: Path) -> str | None:
    """Return the commit of the git repository around a folder; None outside of a repository.

    Reads git's files, because starting git takes longer than starting the run.
    """
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.is_dir():
            return _head(git)
    return None


def _head(git: Path) -> str | None:
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head if _COMMIT.fullmatch(head) else None
        ref = head.removeprefix("ref: ")
        if (git / ref).is_file():
            return (git / ref).read_text(encoding="utf-8").strip()
        for line in (git / "packed-refs").read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {ref}"):
                return line.split()[0]
    except (OSError, UnicodeDecodeError):
        pass  # no commit yet, or unreadable files: the tag is left out
    return None
