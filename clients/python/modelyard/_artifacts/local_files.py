"""Local files to upload, found in a folder, and what is left out of it.

Sockets, pipes, devices, links to folders, and files that vanish meanwhile are left out of a run,
with a warning. A logged model is uploaded whole, or refused.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from modelyard._artifacts.objects import Source, unreadable
from modelyard.exceptions import InvalidParameter, NotFound

_logger = logging.getLogger("modelyard")
_GONE = "it was removed meanwhile"
_MODEL_FILE = "MLmodel"

LeaveOut = Callable[[Path, str], None]
"""Called with a path that cannot be uploaded, and the reason."""


def warn(path: Path, reason: str) -> None:
    """Log that a path is left out of an upload."""
    _logger.warning("%s is left out of the upload: %s.", path, reason)


def refuse(path: Path, reason: str) -> None:
    """Refuse a folder that cannot be uploaded whole.

    Raises:
        InvalidParameter: Always; the message names the path.
    """
    raise InvalidParameter(
        f"{path} cannot be uploaded: {reason}. Nothing was uploaded; a logged model is uploaded "
        "whole, so remove the path from its folder."
    )


def sources_in(root: Path, prefix: str, leave_out: LeaveOut) -> list[tuple[str, Source]]:
    """Return the files below a folder, by their path in an artifact tree.

    Args:
        root: The local folder.
        prefix: Start of the paths in the tree: empty, or a folder with a slash at the end.
        leave_out: Called with each path that is not a file.

    Raises:
        NotFound: A file or folder cannot be read.
        InvalidParameter: A name is not UTF-8.
    """

    def unlisted(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        if not isinstance(error, FileNotFoundError):
            raise unreadable(path, error) from None
        leave_out(path, _GONE)

    found = []
    for folder, folders, names in os.walk(root, onerror=unlisted):
        for name in folders:
            if Path(folder, name).is_symlink():
                leave_out(Path(folder, name), "it is a link to a folder")
        for name in names:
            path = Path(folder, name)
            source = _source(path, leave_out)
            if source is not None:
                found.append((checked_name(prefix + path.relative_to(root).as_posix()), source))
    # MLmodel last: an interrupted upload of many files is not taken for a model.
    return sorted(found, key=lambda item: (item[1].path.name == _MODEL_FILE, item[0]))


def still_there(sources: list[tuple[str, Source]], leave_out: LeaveOut) -> list[tuple[str, Source]]:
    """Return the files that still exist."""
    there = []
    for path, source in sources:
        if source.path.exists():
            there.append((path, source))
        else:
            leave_out(source.path, _GONE)
    return there


def checked_name(path: str) -> str:
    """Return a path in an artifact tree if it is valid UTF-8.

    Raises:
        InvalidParameter: It is not; the message shows its bytes.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidParameter(
            f"The file name {os.fsencode(path)!r} is not UTF-8; rename the file. "
            "Nothing was uploaded."
        ) from None
    return path


def _source(path: Path, leave_out: LeaveOut) -> Source | None:
    try:
        return Source.of(path)
    except InvalidParameter:
        leave_out(path, "it is not a regular file")
    except NotFound:
        if os.path.lexists(path):
            raise
        leave_out(path, _GONE)
    return None
