"""Rows as compressed lines of JSON, each a list of values.

Numbers, texts, booleans and NULL are written as JSON has them; what it does not have is an object
of one member: bytes `{"base64": …}`, and `{"float": "inf"}`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from modelyard_kit.errors import DataLoss


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> tuple[int, str]:
    """Write rows durably.

    Returns:
        How many they were, and the SHA-256 of the file.
    """
    count = 0
    with path.open("xb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
            for row in rows:
                line = json.dumps([_encoded(value) for value in row], ensure_ascii=False)
                packed.write(line.encode() + b"\n")
                count += 1
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        return count, hashlib.file_digest(file, "sha256").hexdigest()


def read_rows(path: Path, expected: int) -> Iterator[list[Any]]:
    """Yield rows as `write_rows` was given them.

    Args:
        path: The file; its hash was checked.
        expected: How many rows it must have.

    Raises:
        DataLoss: It has more or fewer.
    """
    count = 0
    with gzip.open(path, "rb") as file:
        for line in file:
            yield [_decoded(value) for value in json.loads(line)]
            count += 1
    if count != expected:
        raise DataLoss(f"{path.name} has {count} rows, its backup says {expected}.")


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _decoded(value: Any) -> Any:
    match value:
        case {"base64": text}:
            return base64.b64decode(text)
        case {"float": text}:
            return float(text)
    return value
