"""What an attribute of an estimator may be: the vocabulary of the tables in this package.

A kind is a function of a value and its `Owner`; it returns if the value is of that kind and raises
`Contradiction` if not. Every kind tests exact types, because a subclass is another class, and none
calls anything of the value that a file could have replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

Dimension = int | str | None
"""A length: a number, the name of one that must agree within an estimator, or any."""

_LARGEST = 2**63
_LARGEST_ELEMENT = 8
# Compiled losses of scikit-learn 1.5 to 1.7 name their module without its package.
_FULL_NAMES = {"_loss": "sklearn._loss._loss"}


class Contradiction(ValueError):
    """A value that is not of its kind; the message completes "<Class>.<attribute> "."""


class Refused(Exception):
    """A contradiction with its class and attribute, which no other kind may accept instead."""


class Unchecked(Exception):
    """A class without an entry in the tables."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind.__name__)
        self.kind = kind


@dataclass(slots=True)
class Owner:
    """The estimator that is checked, while it is checked.

    Attributes:
        value: The estimator.
        attributes: Its instance attributes.
        descend: Checks another object by its own entry, once.
        lengths: Named lengths, as the first attribute that has each of them sets it.
    """

    value: Any
    attributes: Mapping[str, Any]
    descend: Callable[[Any], None]
    lengths: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return type(self.value).__name__

    def fits(self, dimension: Dimension, length: int) -> bool:
        """Return whether `length` agrees; the first length of a named dimension sets it."""
        if dimension is None:
            return True
        if isinstance(dimension, int):
            return dimension == length
        return self.lengths.setdefault(dimension, length) == length

    def length(self, dimension: str) -> int:
        """Return a named length that an attribute has set; raise `Contradiction` if none has."""
        if dimension not in self.lengths:
            raise Contradiction(f"cannot be checked, as nothing sets the number of {dimension}")
        return self.lengths[dimension]

    def require(self, *names: str) -> None:
        """Raise `Contradiction` unless all of `names` are attributes of the instance."""
        for name in names:
            if name not in self.attributes:
                raise Contradiction(f"lacks {name}")


Kind = Callable[[Any, Owner], None]


def name_of(thing: Any) -> str | None:
    """Return the name of a class or function in the tables.

    It is the module up to its first private part, and the name: `sklearn.linear_model.Ridge`. None
    if the module does not have that very object under that name.
    """
    return _name_of(thing)


@lru_cache(maxsize=4096)
def _name_of(thing: Any) -> str | None:
    import sys

    name = thing.__qualname__
    module = _FULL_NAMES.get(thing.__module__, thing.__module__)
    if getattr(sys.modules.get(module), name, None) is not thing:
        return None
    parts = module.split(".")
    private = next((i for i, part in enumerate(parts) if part.startswith("_")), len(parts))
    return ".".join([*parts[:private], name])


def none(value: Any, _: Owner) -> None:
    if value is not None:
        raise Contradiction(f"is a {type(value).__name__}, not None")


def boolean(value: Any, _: Owner) -> None:
    if not isinstance(value, bool | np.bool_):
        raise Contradiction(f"is a {type(value).__name__}, not a bool")


def text(value: Any, _: Owner) -> None:
    if type(value) not in {str, np.str_}:
        raise Contradiction(f"is a {type(value).__name__}, not a text")


def number(value: Any, _: Owner) -> None:
    """Accept a whole or real number of at most 64 bits, or a bool."""
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "biuf":
        return
    if isinstance(value, bool | np.bool_ | np.floating) or type(value) is float:
        return
    if not _is_whole(value):
        raise Contradiction(f"is a {type(value).__name__}, not a number")


def _is_whole(value: Any) -> bool:
    if isinstance(value, np.integer):
        return True
    return type(value) is int and -_LARGEST <= value < 2 * _LARGEST


def whole(low: int = 0, below: Dimension = None, *, sets: str | None = None) -> Kind:
    """Accept a whole number from `low` up to, without, `below`.

    Args:
        low: Smallest number.
        below: First number that is too large: a number or a length's name.
        sets: Name of the length that this number is.
    """

    def check(value: Any, owner: Owner) -> None:
        if not _is_whole(value):
            raise Contradiction(f"is a {type(value).__name__}, not a whole number")
        limit = owner.length(below) if isinstance(below, str) else below
        if value < low or (limit is not None and value >= limit):
            beyond = "" if limit is None else f" and below {limit}"
            raise Contradiction(f"is {value}; it must be at least {low}{beyond}")
        if not owner.fits(sets, int(value)):
            raise Contradiction(
                f"is {value} where other attributes have {owner.lengths[str(sets)]}"
            )

    return check


def one_of(*allowed: str | bool | None) -> Kind:
    """Accept one of some texts, bools or None."""

    def check(value: Any, _: Owner) -> None:
        if not any(type(value) is type(known) and value == known for known in allowed):
            raise Contradiction(f"is none of {', '.join(map(repr, allowed))}")

    return check


def _array(value: Any, kinds: str, shape: tuple[Dimension, ...], owner: Owner) -> None:
    if type(value) is not np.ndarray:
        raise Contradiction(f"is a {type(value).__name__}, not an array")
    kind, size = value.dtype.kind, value.dtype.itemsize
    too_wide = kind in "iuf" and size > _LARGEST_ELEMENT
    if kind not in kinds or not value.dtype.isnative or too_wide:
        raise Contradiction(f"has elements of type {value.dtype}")
    if value.ndim != len(shape):
        raise Contradiction(f"has {value.ndim} dimensions where {len(shape)} are right")
    for axis, (wanted, length) in enumerate(zip(shape, value.shape, strict=True)):
        if not owner.fits(wanted, length):
            right = owner.lengths[wanted] if isinstance(wanted, str) else wanted
            called = f" ({wanted})" if isinstance(wanted, str) else ""
            raise Contradiction(f"has the length {length} in axis {axis}, not {right}{called}")


def floats(*shape: Dimension) -> Kind:
    """Accept an array of real numbers of `shape`."""
    return lambda value, owner: _array(value, "f", shape, owner)


def numbers(*shape: Dimension) -> Kind:
    """Accept an array of real or whole numbers or bools of `shape`."""
    return lambda value, owner: _array(value, "biuf", shape, owner)


def finite(*shape: Dimension) -> Kind:
    """Accept an array of real numbers of `shape`, none of which is infinite or NaN."""

    def check(value: Any, owner: Owner) -> None:
        _array(value, "f", shape, owner)
        if not np.isfinite(value).all():
            raise Contradiction("has a value that is not finite")

    return check


def booleans(*shape: Dimension) -> Kind:
    """Accept an array of bools of `shape`."""
    return lambda value, owner: _array(value, "b", shape, owner)


def wholes(*shape: Dimension, low: int | None = None, below: Dimension = None) -> Kind:
    """Accept an array of whole numbers of `shape`, from `low` up to, without, `below`."""

    def check(value: Any, owner: Owner) -> None:
        _array(value, "iu", shape, owner)
        limit = owner.length(below) if isinstance(below, str) else below
        if value.size == 0:
            return
        if low is not None and value.min() < low:
            raise Contradiction(f"has {value.min()}, less than {low}")
        if limit is not None and value.max() >= limit:
            raise Contradiction(f"has {value.max()}, not less than {limit}")

    return check


def labels(*shape: Dimension) -> Kind:
    """Accept an array of texts, numbers, bools, or None, as classes and names of columns are."""

    def check(value: Any, owner: Owner) -> None:
        _array(value, "biufUO", shape, owner)
        if value.dtype.kind == "O":
            for element in value.flat:
                if element is not None and type(element) not in {str, np.str_}:
                    number(element, owner)

    return check


def either(*kinds: Kind) -> Kind:
    """Accept what one of `kinds` accepts; the error is that of the first.

    Lengths that a kind set before it failed are forgotten.
    """

    def check(value: Any, owner: Owner) -> None:
        first: Contradiction | None = None
        for kind in kinds:
            before = dict(owner.lengths)
            try:
                return kind(value, owner)
            except Contradiction as wrong:
                owner.lengths = before
                first = first or wrong
        raise first or Contradiction("is of no kind")

    return check


def optional(kind: Kind) -> Kind:
    """Accept None too."""
    return either(kind, none)


def sequence(kind: Kind, length: Dimension = None) -> Kind:
    """Accept a list or tuple of `length` whose elements are of `kind`."""

    def check(value: Any, owner: Owner) -> None:
        if type(value) not in {list, tuple}:
            raise Contradiction(f"is a {type(value).__name__}, not a list")
        if not owner.fits(length, len(value)):
            right = owner.lengths[length] if isinstance(length, str) else length
            raise Contradiction(f"has {len(value)} elements where {right} are right")
        for element in value:
            kind(element, owner)

    return check


def row(*kinds: Kind) -> Kind:
    """Accept a list or tuple with one element of each of `kinds`, in their order."""

    def check(value: Any, owner: Owner) -> None:
        if type(value) not in {list, tuple} or len(value) != len(kinds):
            raise Contradiction(f"is not a tuple of {len(kinds)}")
        for kind, element in zip(kinds, value, strict=True):
            kind(element, owner)

    return check


def mapping(key: Kind, content: Kind) -> Kind:
    """Accept a dict (or Bunch) with keys and values of these kinds."""

    def check(value: Any, owner: Owner) -> None:
        if type(value) is not dict and name_of(type(value)) != "sklearn.utils.Bunch":
            raise Contradiction(f"is a {type(value).__name__}, not a dict")
        for known, found in value.items():
            key(known, owner)
            content(found, owner)

    return check


def plain(value: Any, owner: Owner) -> None:
    """Accept data without objects: None, texts, numbers, slices, arrays and collections of them."""
    if value is None or type(value) in {str, bytes, np.str_, complex}:
        return
    if type(value) in {list, tuple, set, frozenset}:
        for element in value:
            plain(element, owner)
    elif type(value) is dict:
        for key, content in value.items():
            plain(key, owner)
            plain(content, owner)
    elif type(value) is slice:
        plain((value.start, value.stop, value.step), owner)
    elif type(value) in {np.ndarray, np.ma.MaskedArray}:
        _plain_array(value, owner)
    else:
        number(value, owner)


def _plain_array(value: Any, owner: Owner) -> None:
    data = np.ma.getdata(value)
    if data.dtype.kind not in "biufcUSO":
        raise Contradiction(f"has elements of type {data.dtype}")
    if data.dtype.kind == "O":
        for element in data.flat:
            plain(element, owner)


def part(*names: str) -> Kind:
    """Accept an object of one of these classes, checked by its own entry; none: any estimator."""

    def check(value: Any, owner: Owner) -> None:
        if names:
            found = name_of(type(value))
            if found not in names:
                expected = " or ".join(name.rpartition(".")[2] for name in names)
                raise Contradiction(f"is a {type(value).__name__}, not a {expected}")
        elif not _is_estimator(value):
            raise Contradiction(f"is a {type(value).__name__}, not an estimator")
        owner.descend(value)

    return check


def _is_estimator(value: Any) -> bool:
    from sklearn.base import BaseEstimator

    return issubclass(type(value), BaseEstimator)


estimator = part()


def function(*names: str) -> Kind:
    """Accept one of the functions named, by its place in scikit-learn or numpy."""

    def check(value: Any, _: Owner) -> None:
        known = isinstance(value, FunctionType | BuiltinFunctionType | np.ufunc | type(np.mean))
        if not known or name_of(value) not in names:
            raise Contradiction("is not a function that is known to be harmless")

    return check


def dtype(value: Any, _: Owner) -> None:
    """Accept the description of numbers, texts or objects, as a parameter `dtype` holds it."""
    if isinstance(value, type) and value in {float, int, bool, str, object}:
        return
    if isinstance(value, np.dtype | str) or (
        isinstance(value, type) and issubclass(value, np.generic)
    ):
        try:
            if np.dtype(value).kind in "biufUO":
                return
        except TypeError as unknown:
            raise Contradiction("is not a type of elements") from unknown
    raise Contradiction("is not a type of elements")
