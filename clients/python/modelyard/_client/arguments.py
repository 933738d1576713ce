"""Checks arguments against their declared types; protobuf's errors name neither of the two."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import (
    Any,
    NamedTuple,
    ParamSpec,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from modelyard.entities.entity import AS_TEXT
from modelyard.exceptions import InvalidParameter

P = ParamSpec("P")
R = TypeVar("R")

_INT64 = range(-(2**63), 2**63)


class _Fault(NamedTuple):
    """A value of a wrong type: its place, the value, and what was expected."""

    place: str
    value: Any
    expected: str


_Check: TypeAlias = Callable[[str, Any], _Fault | None]
"""Takes the place of a value, for the message, and the value; returns its fault or None."""


def naming_wrong_types(method: Callable[P, R]) -> Callable[P, R]:
    """Raise `InvalidParameter` before the call for arguments of other types than declared.

    Checked are text, whole numbers, dicts, and lists of text or of entities. Unions such as
    `str | Path` are not checked.
    """
    names = tuple(inspect.signature(method).parameters)
    checks = _checks(get_type_hints(method))

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            check = checks.get(name)
            fault = None if check is None else check(f"argument '{name}'", value)
            if fault is not None:
                raise InvalidParameter(
                    f"Invalid value {reprlib.repr(fault.value)} for {fault.place} of "
                    f"{method.__name__}: expected {fault.expected}."
                )
        return method(*args, **kwargs)

    return call


def _checks(hints: Mapping[str, Any]) -> dict[str, _Check]:
    found = {name: _check_of(hint) for name, hint in hints.items()}
    return {name: check for name, check in found.items() if check is not None}


@functools.cache
def _field_checks(entity: type[Any]) -> dict[str, _Check]:
    as_text = {field.name for field in dataclasses.fields(entity) if AS_TEXT in field.metadata}
    hints = get_type_hints(entity)
    return _checks({name: hint for name, hint in hints.items() if name not in as_text})


def _check_of(hint: Any) -> _Check | None:
    """Return the check for a type; None if values of the type are not checked."""
    kinds = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
    check = _check_of_one(kinds - {NoneType})
    if check is None or NoneType not in kinds:
        return check
    return lambda place, value: None if value is None else check(place, value)


def _check_of_one(kinds: set[Any]) -> _Check | None:
    if kinds == {str}:
        return _text
    if kinds == {str, int}:
        return lambda place, value: _text(place, value) if isinstance(value, str) else None
    if kinds == {int}:
        return _whole_number
    others = kinds - {str}
    kind = others.pop() if len(others) == 1 else None
    if get_origin(kind) is Mapping and kinds == {kind}:
        return _dict_of_text if get_args(kind)[0] is str else _dict
    if get_origin(kind) is Sequence:
        return _list(get_args(kind)[0], text_too=str in kinds)
    return None


def _text(place: str, value: Any) -> _Fault | None:
    if isinstance(value, str) and is_unicode(value):
        return None
    got = "a lone surrogate in it" if isinstance(value, str) else type(value).__name__
    return _Fault(place, value, f"text of valid Unicode, got {got}")


def _whole_number(place: str, value: Any) -> _Fault | None:
    if _is_int64(value):
        return None
    return _Fault(place, value, f"a whole number of 64 bits, got {type(value).__name__}")


def _dict(place: str, value: Any) -> _Fault | None:
    # A pandas Series has items, too.
    return (
        None
        if hasattr(value, "items")
        else _Fault(place, value, f"a dict, got {type(value).__name__}")
    )


def _dict_of_text(place: str, value: Any) -> _Fault | None:
    if not isinstance(value, Mapping):
        return _dict(place, value)
    return next(filter(None, (_text(f"a key of {place}", key) for key in value)), None)


def _list(item: Any, *, text_too: bool) -> _Check:
    """Return the check of a list of `item`; with `text_too` a single text is accepted as well."""
    check_item = _check_of(item) if item is str or isinstance(item, UnionType) else None
    is_entity = dataclasses.is_dataclass(item)

    def check(place: str, value: Any) -> _Fault | None:
        if isinstance(value, str | bytes) and not text_too:
            return _Fault(place, value, f"a list, such as [{reprlib.repr(value)}]")
        if not isinstance(value, list | tuple):
            return None  # a generator must not be consumed here
        if is_entity and _are_right(value, item):
            return None
        faults = (
            check_item(f"an item of {place}", one) if check_item else _entity(place, one, item)
            for one in value
        )
        return next(filter(None, faults), None)

    return check


def _are_right(items: Sequence[Any], kind: Any) -> bool:
    """Whether entities are of one type and right, found by whole columns, which is fast."""
    if set(map(type, items)) != {kind}:
        return False
    return all(
        check("", value) is None
        for name, check in _field_checks(kind).items()
        for value in _telling(list(map(operator.attrgetter(name), items)))
    )


def _telling(column: list[Any]) -> Iterable[Any]:
    """Return the values of a column of which one is wrong if any is."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return min(column), max(column)
    return set(column) if kinds <= {str, NoneType} else column


def _entity(place: str, value: Any, kind: Any) -> _Fault | None:
    if not (dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, kind)):
        return None  # MLflow's own entities are accepted, too
    for name, check in _field_checks(kind).items():
        fault = check(f"{name} in {place}", getattr(value, name))
        if fault is not None:
            return fault
    return None


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_int64(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and operator.index(value) in _INT64
    except TypeError:
        return False
