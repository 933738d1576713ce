"""Limits of an input, checked before a table or an array is made of it.

A table has a cell for each row and each name that occurs in any row, so that a body of a few
megabytes, of rows with different names, can ask for gigabytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from modelyard_kit.errors import InvalidArgument

MAX_CELLS = 10_000_000
"""Cells of a table, rows times columns; a cell of text takes about 50 bytes."""
MAX_COLUMNS = 100_000
"""Columns of a table. Each costs a few kilobytes, also in a table of one row."""
MAX_DEPTH = 32
"""Levels of lists in lists: an array has at most 64 dimensions."""

_CHARACTER_BYTES = 4
_MAX_TEXT_BYTES = 1 << 30


def check_table(rows: int, columns: int) -> None:
    """Refuse a table that is too large.

    Raises:
        InvalidArgument: It has too many columns or cells.
    """
    if columns > MAX_COLUMNS:
        raise InvalidArgument(f"The input has {columns} columns, at most {MAX_COLUMNS} are read.")
    if rows * columns > MAX_CELLS:
        raise InvalidArgument(
            f"The input has {rows} rows of {columns} columns, which are {rows * columns} cells; at "
            f"most {MAX_CELLS} are read at a time. Send fewer rows, each with the same columns."
        )


def check_records(records: Sequence[Mapping[Any, Any]]) -> None:
    """Refuse records whose table would be too large; raises as `check_table`."""
    names: set[Any] = set()
    for record in records:
        names.update(record)
        if len(names) > MAX_COLUMNS:
            break
    check_table(len(records), len(names))


def check_csv(text: str) -> None:
    """Refuse a CSV table that is too large, by its names and lines; raises as `check_table`."""
    rows = max(text.count("\n"), text.count("\r"))
    commas = text.count(",")
    if commas < MAX_COLUMNS and rows * (commas + 1) <= MAX_CELLS:
        return  # the usual input, even if all commas were in one line
    lines = csv.reader(io.StringIO(text, newline=None))
    try:
        names = next((line for line in lines if line), [])
    except csv.Error:
        raise InvalidArgument("The first line of the CSV input does not name columns.") from None
    check_table(rows, len(names))


def check_tensor(value: list[Any]) -> None:
    """Refuse nested lists whose array would be too large.

    An array of text has the width of the longest one in every element, 4 bytes a character.

    Raises:
        InvalidArgument: There are more than 32 levels, or the array would need over 1 GiB.
    """
    level = [value]
    leaves = longest = 0
    for _ in range(MAX_DEPTH):
        items = list(chain.from_iterable(level))
        level = [item for item in items if type(item) is list]
        leaves += len(items) - len(level)
        longest = max((len(item) for item in items if type(item) is str), default=longest)
        if not level:
            break
    else:
        raise InvalidArgument(f"The input is nested more than {MAX_DEPTH} levels deep.")
    size_bytes = leaves * longest * _CHARACTER_BYTES
    if size_bytes > _MAX_TEXT_BYTES:
        raise InvalidArgument(
            f"The input has {leaves} values, the longest of {longest} characters: an array of them "
            f"needs {size_bytes} bytes, at most {_MAX_TEXT_BYTES} are possible. Send fewer rows."
        )
