"""Rows as compressed lines of JSON, each a list of values.

Numbers, texts, booleans and NULL are JSON values; types that JSON lacks are objects of one member:
bytes `{"base64": …}`, and `{"float": "inf"}`.
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
        Number of rows, and SHA-256 of the file.
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
    """Yield the rows that `write_rows` wrote.

    Args:
        path: The file; its hash must have been checked.
        expected: Number of rows it must have.

    Raises:
        DataLoss: The file has another number of rows.
    """
    count = 0
    with gzip.open(path, "rb") as file:
        for line in file:
            yield [_decoded(value) for value in json.loads(line)]
            count += 1
    if count != expected:
        raise DataLoss(f"{path.name} has {count} rows; the backup expects {expected}.")


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
