"""Names of files to download, checked against what the local system can hold."""

from __future__ import annotations

import os
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelyard.exceptions import InvalidState

_MAX_UNITS = 255
_NOT_ON_WINDOWS = frozenset('\\:*?"<>|') | {chr(code) for code in range(32)}
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}


def check(folder: Path, paths: Iterable[str]) -> None:
    """Refuse files that cannot be written below a folder under their names.

    Args:
        folder: Target folder, which need not exist.
        paths: Paths of the files, joined by `/`.

    Raises:
        InvalidState: The system cannot hold a name, or takes two names for one; the message names
            the file. Nothing has been written.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    max_units = _max_units(there)
    prefixes: dict[str, str] = {}
    for path in paths:
        for prefix in _prefixes(path):
            if prefix not in prefixes:
                problem = _problem(prefix.rpartition("/")[2], max_units)
                if problem:
                    raise _unwritable(path, problem)
                prefixes[prefix] = path
    for first, second in _alike(prefixes):
        if _is_one_file(there, first.rpartition("/")[2], second.rpartition("/")[2]):
            raise _unwritable(prefixes[second], f"this system takes it for {first!r}")


def problem_in(folder: Path, name: str) -> str:
    """Return the reason why a folder cannot hold a file name; empty if it can."""
    return _problem(name, _max_units(folder))


def windows_problem(name: str) -> str:
    """Return the reason why Windows cannot hold a file name; empty if it can."""
    found = sorted(_NOT_ON_WINDOWS.intersection(name))
    if found:
        return f"a name on Windows must not contain {found[0]!r}"
    if name.endswith((" ", ".")):
        return "a name on Windows must not end with a space or a dot"
    if name.partition(".")[0].rstrip(" ").upper() in _DEVICES:
        return f"{name!r} is the name of a device on Windows"
    return ""


def _prefixes(path: str) -> Iterator[str]:
    """Yield the folders of a path, outermost first, and the path."""
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)
    yield path


def _max_units(folder: Path) -> int:
    """Return the longest name in a folder: bytes, or UTF-16 units on macOS and Windows."""
    if sys.platform in {"darwin", "win32"}:
        return _MAX_UNITS
    return os.pathconf(folder, "PC_NAME_MAX")


def _problem(name: str, max_units: int) -> str:
    if sys.platform == "win32" and (problem := windows_problem(name)):
        return problem
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return f"its name cannot be encoded in {sys.getfilesystemencoding()}"
    wide = sys.platform in {"darwin", "win32"}
    units = len(name.encode("utf-16-le")) // 2 if wide else len(encoded)
    if units > max_units:
        what = "UTF-16 units" if wide else "bytes"
        return f"a name has {units} {what}, at most {max_units} are possible here"
    return ""


def _alike(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of paths that differ only in case or Unicode normalization of their last name."""
    seen: dict[tuple[str, str], str] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        first = seen.setdefault((folder, unicodedata.normalize("NFC", name).casefold()), path)
        if first != path:
            yield first, path


def _is_one_file(folder: Path, first: str, second: str) -> bool:
    """Whether the file system of a folder takes two names for one file."""
    with tempfile.TemporaryDirectory(prefix=".modelyard-", dir=folder) as probe:
        (Path(probe) / first).touch()
        return (Path(probe) / second).exists()


def _unwritable(path: str, problem: str) -> InvalidState:
    return InvalidState(
        f"{path!r} cannot be written here: {problem}. Nothing was written; download other files by "
        "their path, or use another system."
    )
