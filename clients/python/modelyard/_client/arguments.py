"""Says which argument of a call is of a wrong type; protobuf's own errors name neither."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from modelyard.exceptions import InvalidParameter

P = ParamSpec("P")
R = TypeVar("R")

_TEXT_TOO = "] | str"  # one item may be given for a list of one
_INT64 = range(-(2**63), 2**63)


def naming_wrong_types(method: Callable[P, R]) -> Callable[P, R]:
    """Turn errors about the type of an argument into `InvalidParameter`; pass others on.

    Text where a list is expected is refused before the call, which would read it letter by letter.
    """
    lists = [n for n, a in method.__annotations__.items() if _is_list(a) and _TEXT_TOO not in a]
    bind = inspect.signature(method).bind_partial if lists else None

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if bind is not None:
                _refuse_text(method.__name__, bind(*args, **kwargs).arguments, lists)
            return method(*args, **kwargs)
        except (TypeError, ValueError, AttributeError):
            fault = _first_fault(method, args, kwargs)
            if fault is None:
                raise
            raise InvalidParameter(fault) from None

    return call


def _is_list(annotation: Any) -> bool:
    return str(annotation).startswith("Sequence[")


def _refuse_text(method: str, given: Mapping[str, Any], lists: list[str]) -> None:
    for name in lists:
        value = given.get(name)
        if isinstance(value, str | bytes):
            raise InvalidParameter(
                f"Invalid value {reprlib.repr(value)} for argument '{name}' of {method}: "
                f"expected a list, such as [{reprlib.repr(value)}]."
            )


def _first_fault(
    method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str | None:
    try:
        given = inspect.signature(method).bind(*args, **kwargs).arguments
    except TypeError:
        return None  # it was not called with its arguments, and Python has said so
    for name, value in given.items():
        for place, found, annotation in _parts(name, value, method.__annotations__.get(name)):
            wanted = _expected(found, annotation)
            if wanted:
                kind = type(found).__name__
                return (
                    f"Invalid value {reprlib.repr(found)} for {place} of {method.__name__}: "
                    f"expected {wanted}, got {kind}."
                )
    return None


def _parts(name: str, value: Any, annotation: Any) -> Iterable[tuple[str, Any, Any]]:
    """Yield an argument and what is inside of it, each with its place and annotation."""
    kind = str(annotation).removesuffix(" | None").removesuffix(" | str")
    yield f"argument '{name}'", value, annotation
    if isinstance(value, Mapping):
        yield from ((f"a key of argument '{name}'", key, "str") for key in value)
    elif kind.startswith("Sequence[") and isinstance(value, list | tuple):
        for item in value:
            if dataclasses.is_dataclass(item):
                for field in dataclasses.fields(item):
                    place = f"{field.name} in argument '{name}'"
                    yield place, getattr(item, field.name), field.type
            else:
                yield f"an item of argument '{name}'", item, kind[len("Sequence[") : -1]


def _expected(value: Any, annotation: Any) -> str | None:
    """Return what would be right; None if the value is, or nothing is known about it."""
    kind = str(annotation).removesuffix(" | None")
    if value is None and kind != annotation:
        return None
    if kind == "str":
        return None if isinstance(value, str) and is_unicode(value) else "text of valid Unicode"
    if kind == "int":
        return None if _is_int64(value) else "a whole number of 64 bits"
    if kind.startswith("Mapping["):
        return None if isinstance(value, Mapping) else "a dict"
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
