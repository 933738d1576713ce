"""YAML of other writers.

PyYAML's composer in Python, on the events of libyaml where it is installed: nodes are counted while
they are composed, so before any value is made.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from modelyard._documents.limits import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_NUMBER_LENGTH,
    Unreadable,
    too_deep,
    too_long_a_number,
    too_many,
)

# Each of these directives is compared with all before it.
_TAG_DIRECTIVE = re.compile(r"^%TAG", re.MULTILINE)
_YAML = "tag:yaml.org,2002:"
_NUMBERS = {f"{_YAML}int", f"{_YAML}float"}
# Text is hashed with a secret of the process; numbers can be chosen so that all of them collide.
_MAX_KEYS_OTHER_THAN_TEXT = 1_000


def read(text: str) -> Any:
    """Return the value of a document; `read_yaml` says what is refused."""
    if _TAG_DIRECTIVE.search(text):
        raise Unreadable("a %TAG directive is not read")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as malformed:
        raise Unreadable(f"it is not YAML{_place(malformed)}") from None
    except Unreadable:
        raise
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as invalid:
        # PyYAML lets such errors of `int`, `datetime` and others through.
        raise Unreadable("a value does not fit its tag, or is not a number or a time") from invalid


def _place(malformed: yaml.YAMLError) -> str:
    mark = getattr(malformed, "problem_mark", None)
    return f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""


class _PythonEvents(Reader, Scanner, Parser):
    """Yields the events of a text, without libyaml."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    _Events: Any = CParser
else:
    _Events = _PythonEvents


class _Loader(Composer, SafeConstructor, Resolver, _Events):  # type: ignore[misc]  # one of two
    """Composes nodes within the limits."""

    def __init__(self, text: str) -> None:
        _Events.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._nodes = 0
        self._depth = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self._sizes:
                raise Unreadable("a reference names the node that it is in")
            self._count(self._sizes.get(str(event.anchor), 0))
            return super().compose_node(parent, index)
        before = self._nodes
        self._count(1)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep()
        node = super().compose_node(parent, index)
        self._depth -= 1
        _check(node)
        if event.anchor is not None:
            self._sizes[event.anchor] = self._nodes - before
        return node

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise too_many(MAX_NODES)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - overrides
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise Unreadable("a mapping has a key twice")
        return mapping


def _check(node: Any) -> None:
    if node.tag == f"{_YAML}merge":
        raise Unreadable("a merge key '<<' is not read")
    if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_LENGTH:
        raise too_long_a_number()
    if isinstance(node, yaml.MappingNode):
        others = sum(key.tag != f"{_YAML}str" for key, _ in node.value)
        if others > _MAX_KEYS_OTHER_THAN_TEXT:
            raise Unreadable(
                f"a mapping has {others} keys that are not text, at most "
                f"{_MAX_KEYS_OTHER_THAN_TEXT} are read"
            )
