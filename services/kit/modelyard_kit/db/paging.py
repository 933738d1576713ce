"""Keyset paging: a page begins strictly after the last row of the previous one.

Rows inserted or deleted between two pages neither repeat nor hide others, and a late page costs as
much as the first. Within one key, numbers and texts come first, then NaN, then missing values, in
either direction; the direction applies to the numbers and texts only.

A search builds its keys (the requested ones, then the default ones, the last of them unique)::

    query = paging.fingerprint("runs", experiment_ids, text, order_by)
    cursor = paging.decode(page_token, query)
    rows = select(..., *paging.key_columns(keys)).order_by(*paging.order_clauses(keys))
    if cursor is not None:
        rows = rows.where(paging.after(keys, cursor))
    page, next_page_token = paging.cut(
        connection.execute(rows.limit(page_size + 1)).all(), page_size, keys, query
    )
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Label,
    Row,
    UnaryExpression,
    and_,
    case,
    false,
    literal,
    literal_column,
    null,
    or_,
    type_coerce,
)

from modelyard_kit.errors import InvalidArgument

MAX_TOKEN_CHARACTERS = 256 * 1024

_FINGERPRINT_CHARACTERS = 16
_INT64 = range(-(2**63), 2**63)
_NUMBER, _NAN, _MISSING = 0, 1, 2

CursorValue: TypeAlias = int | float | str | None
Cursor: TypeAlias = tuple[CursorValue, ...]
RowT = TypeVar("RowT", bound=Row[Any])


@dataclass(frozen=True)
class SortKey:
    """An expression that rows are sorted by.

    Attributes:
        expression: Integer, float or text expression, typed as such.
        ascending: Direction of the numbers or texts; NaN and missing values always come last.
        nullable: Whether the value may be missing. A key that is never missing can use an index.
        nan: Flag column that marks a value as NaN, NULL counting as false; None without such a
            column.
    """

    expression: ColumnElement[Any]
    ascending: bool = True
    nullable: bool = True
    nan: ColumnElement[bool] | None = None


@dataclass(frozen=True)
class _Column:
    """One column of the combined key: the value of a sort key, or before it the value's class."""

    expression: ColumnElement[Any]
    ascending: bool


def order_clauses(keys: Sequence[SortKey]) -> list[UnaryExpression[Any]]:
    """Return the ORDER BY clauses."""
    return [
        column.expression.asc() if column.ascending else column.expression.desc()
        for column in _columns(keys)
    ]


def key_columns(keys: Sequence[SortKey]) -> list[Label[Any]]:
    """Return the columns to select in addition, from which `cut` reads the key of the last row."""
    return [
        column.expression.label(_label(position)) for position, column in enumerate(_columns(keys))
    ]


def after(keys: Sequence[SortKey], cursor: Cursor) -> ColumnElement[bool]:
    """Return the condition that a row comes strictly after the one whose key is `cursor`.

    Raises:
        InvalidArgument: The cursor is not a key of these columns: its token was forged.
    """
    columns = _columns(keys)
    if len(columns) != len(cursor) or not all(map(_fits, columns, cursor)):
        raise _invalid_token()
    equal_so_far: list[ColumnElement[bool]] = []
    later: list[ColumnElement[bool]] = []
    for column, value in zip(columns, cursor, strict=True):
        if value is None:
            continue  # all values of this class are equal; the previous column compared the class
        bound = literal(value, column.expression.type)
        follows = column.expression > bound if column.ascending else column.expression < bound
        later.append(and_(*equal_so_far, follows))
        equal_so_far.append(column.expression == bound)
    return and_(_leading_range(columns[0], cursor[0]), or_(false(), *later))


def cut(
    rows: Sequence[RowT], page_size: int, keys: Sequence[SortKey], query: str
) -> tuple[Sequence[RowT], str]:
    """Make a page of up to `page_size` + 1 rows that were selected with `key_columns`.

    Returns:
        The rows of the page, and the token of the next one, empty for the last page.
    """
    page = rows[:page_size]
    if len(rows) <= page_size:
        return page, ""
    last = page[-1]._mapping  # noqa: SLF001 # public, underscored to keep column names free
    return page, encode(tuple(last[_label(i)] for i in range(len(_columns(keys)))), query)


def fingerprint(*parts: object) -> str:
    """Return a digest of a query, by which a token of another query is detected.

    Args:
        *parts: Everything that determines the rows and their order, as JSON values.
    """
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return digest[:_FINGERPRINT_CHARACTERS]


def encode(cursor: Cursor, query: str) -> str:
    """Return an opaque token for the key of a row and the `fingerprint` of its query."""
    document = json.dumps([query, *cursor], separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode(token: str, query: str) -> Cursor | None:
    """Return the key in a token.

    Args:
        token: Token returned by `encode`; empty for the first page.
        query: Fingerprint of the query that the token was sent with.

    Returns:
        The key of the last row of the previous page, or None for the first page.

    Raises:
        InvalidArgument: The token is malformed, or belongs to another query.
    """
    if not token:
        return None
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _invalid_token()
    try:
        document = json.loads(
            base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        )
        json.dumps(document, ensure_ascii=False).encode()  # no database takes half a surrogate pair
    except (ValueError, RecursionError):
        raise _invalid_token() from None
    if not isinstance(document, list) or not document or not all(map(_is_value, document)):
        raise _invalid_token()
    if document[0] != query:
        raise InvalidArgument(
            "Invalid page_token: it belongs to another search; repeat the search it came from "
            "with the same filter and order, or leave it empty to start over."
        )
    return tuple(document[1:])


def _columns(keys: Sequence[SortKey]) -> list[_Column]:
    columns = []
    for key in keys:
        value = key.expression
        classes: list[tuple[ColumnElement[bool], int]] = []
        if key.nan is not None:
            # All NaN are equal, whatever value is stored beside the flag.
            value = type_coerce(case((key.nan, null()), else_=value), value.type)
            classes.append((key.nan, _NAN))
        if key.nullable:
            classes.append((key.expression.is_(None), _MISSING))
        if classes:
            columns.append(_Column(_class_of(classes), ascending=True))
        columns.append(_Column(value, key.ascending))
    return columns


def _class_of(classes: list[tuple[ColumnElement[bool], int]]) -> ColumnElement[int]:
    # Literals instead of parameters: PostgreSQL recognizes an expression by its text.
    return case(
        *((condition, literal_column(str(number), BigInteger())) for condition, number in classes),
        else_=literal_column(str(_NUMBER), BigInteger()),
    )


def _leading_range(column: _Column, value: CursorValue) -> ColumnElement[bool]:
    # Redundant, but as a separate condition it lets an index on the first key start here.
    bound = literal(value, column.expression.type)
    return column.expression >= bound if column.ascending else column.expression <= bound


def _fits(column: _Column, value: CursorValue) -> bool:
    expected: type[Any] = column.expression.type.python_type
    if value is None:
        return True
    return isinstance(value, (int, float) if expected is float else expected)


def _is_value(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value in _INT64
    if isinstance(value, float):
        return not math.isnan(value)
    return value is None or (isinstance(value, str) and "\0" not in value)


def _label(position: int) -> str:
    return f"page_key_{position}"


def _invalid_token() -> InvalidArgument:
    return InvalidArgument(
        "Invalid page_token: expected the next_page_token of an earlier reply, unchanged, "
        "or an empty one for the first page."
    )
