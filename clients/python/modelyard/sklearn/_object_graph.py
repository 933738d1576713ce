"""Traversal of all objects of a loaded model.

Python's containers, object arrays, bound methods, partials and instances with a `__dict__` are
followed, which is everything that skops can build out of the types the loader trusts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_CODE = (type, FunctionType, BuiltinFunctionType, ModuleType)
_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), slice, range)


def objects_in(model: Any) -> Iterator[Any]:
    """Yield each object once, at any depth and however often it is shared."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        found = waiting.pop()
        if isinstance(found, _CODE + _PLAIN) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting.extend(_parts(found))


def _parts(whole: Any) -> Iterator[Any]:
    import numpy as np

    if isinstance(whole, np.ndarray):
        if whole.dtype.hasobject:
            yield from whole.flat
        return
    if isinstance(whole, Mapping):
        yield from whole.keys()
        yield from whole.values()
    elif isinstance(whole, list | tuple | set | frozenset):
        yield from whole
    elif isinstance(whole, MethodType):
        yield whole.__self__
    elif isinstance(whole, partial):
        yield from (whole.func, whole.args, whole.keywords)
    yield from attributes(whole).values()


def attributes(owner: Any) -> dict[str, Any]:
    """Return the instance attributes of `owner` (empty for types without a `__dict__`)."""
    found = getattr(owner, "__dict__", None)
    return found if isinstance(found, dict) else {}
