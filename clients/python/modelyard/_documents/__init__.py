"""Reads YAML and JSON of other writers, within limits of size, nesting and numbers.

A document of a few hundred bytes can cost minutes and gigabytes: by references that multiply, by
nesting, by digits, or by keys that collide. It is refused before it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard._documents.json_text import read_json
from modelyard._documents.limits import MAX_NODES, Unreadable, text_of

__all__ = ["MAX_NODES", "Unreadable", "read_file", "read_json", "read_yaml"]


def read_file(file: Path, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        Unreadable: The file is larger than `max_bytes`.
        OSError: The file cannot be read.
    """
    with file.open("rb") as opened:
        content = opened.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise Unreadable(f"it has {file.stat().st_size} bytes, at most {max_bytes} are read")
    return content


def read_yaml(document: str | bytes) -> Any:
    """Return the value of a YAML document, as `yaml.safe_load` does.

    A reference to an anchor is read, and counts as often as it is repeated. Merge keys, and
    references from inside to the node around them, are refused.

    Args:
        document: Text, or its UTF-8.

    Raises:
        Unreadable: The document is malformed, exceeds a limit, has a key twice in a mapping, or has
            a tag that is not one of YAML's own.
    """
    from modelyard._documents import yaml_text  # PyYAML is not in the thin client

    return yaml_text.read(text_of(document))
