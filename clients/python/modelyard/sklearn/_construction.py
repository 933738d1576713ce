"""Builds a model from a skops file, after checking what compiled types take over unseen.

skops gives the state in a file to `__setstate__` of scikit-learn's compiled types. Some of them use
it without looking at its type or length, so that a forged state kills the process before there is
an object to check. What they hold is checked in `_checked`, when it is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.sklearn._archive import Archive

_SEED_WORDS = 4
"""Size of the pool of a numpy `SeedSequence`; a large one takes hours to fill."""
_MAX_SHARING = 40
_ALWAYS_ALLOWED_VISITS = 1_000_000
"""skops visits shared nodes once for each way to them, so that 30 lists of two can be 2**30 visits.

Estimators visit a node up to 6 times on average, nested ensembles more than 20 times.
"""


class BrokenState(ValueError):
    """A state that a compiled type cannot take over."""


def build(path: Path, trusted: list[str]) -> Any:
    """Load a file as `skops.io.load` does.

    Args:
        path: A skops file.
        trusted: Names of the types that it may hold, beyond those that skops trusts.

    Raises:
        BrokenState: A compiled type cannot take over its state, or parts are shared too often.
        ValueError: The file has a protocol that skops does not know.
        UntrustedTypesFoundException: It holds another type.
    """
    from skops.io._audit import audit_tree, get_tree
    from skops.io._protocol import PROTOCOL
    from skops.io._utils import LoadContext

    with Archive(path) as archive:
        schema = json.loads(archive.read("schema.json"))
        protocol = schema["protocol"]  # it selects the classes of nodes
        if type(protocol) is not int or not 0 <= protocol <= PROTOCOL:
            raise ValueError(f"Protocol {protocol!r}, expected 0 to {PROTOCOL}.")
        context = LoadContext(src=archive, protocol=protocol)
        tree = get_tree(schema, context, trusted=trusted)
        _refuse_sharing(tree)
        audit_tree(tree, trusted=trusted)
        for node in _children_first(tree, set()):
            _check(node)
        return tree.construct()


def _children_first(node: Any, seen: set[int]) -> Iterator[Any]:
    """Yield each node after those that it is made of: they are constructed to check it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for part in _parts(node):
        yield from _children_first(part, seen)
    yield node


def _parts(node: Any) -> list[Any]:
    """Return the nodes that a node is made of, each as often as it is mentioned."""
    from skops.io._audit import CachedNode, Node

    found: list[Any] = []
    for part in [node.cached] if isinstance(node, CachedNode) else node.children.values():
        if isinstance(part, dict):
            found += part.values()
        else:
            found += part if isinstance(part, list) else [part]
    return [part for part in found if isinstance(part, Node)]


def _refuse_sharing(tree: Any) -> None:
    """Refuse a tree that contains itself, or in which shared parts make many of few nodes."""
    visits: dict[int, int] = {}
    for node in _children_first(tree, set()):
        parts = [visits.get(id(part)) for part in _parts(node)]
        if None in parts:
            raise BrokenState("a part of it contains itself")
        visits[id(node)] = 1 + sum(filter(None, parts))
    if visits[id(tree)] > max(_ALWAYS_ALLOWED_VISITS, _MAX_SHARING * len(visits)):
        raise BrokenState(f"its {len(visits)} parts are shared too often")


def _check(node: Any) -> None:
    from sklearn.metrics import DistanceMetric
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.tree._tree import Tree
    from skops.io._numpy import RandomGeneratorNode
    from skops.io._sklearn import TreeNode
    from skops.io._utils import gettype

    if isinstance(node, RandomGeneratorNode):
        _check_seeds(node.children["seed_seq_state"].construct())
    state = node.children.get("attrs")
    if state is None:
        return
    kind = Tree if isinstance(node, TreeNode) else gettype(node.module_name, node.class_name)
    if not isinstance(kind, type):
        return
    if issubclass(kind, Tree):
        _check_tree(state.construct())
    elif issubclass(kind, KDTree | BallTree):
        _check_search_tree(state.construct())
    elif issubclass(kind, DistanceMetric):
        _check_distance(state.construct())


def _check_seeds(state: Any) -> None:
    if type(state) is not dict or state.get("pool_size", _SEED_WORDS) != _SEED_WORDS:
        raise BrokenState("a random number generator has another pool of seeds than numpy's")


def _check_tree(state: Any) -> None:
    nodes, values = (
        (state.get("nodes"), state.get("values")) if type(state) is dict else (None, None)
    )
    if not _is_array(nodes, 1) or not _is_array(values, 3):
        raise BrokenState("a decision tree has no table of nodes")


def _check_search_tree(state: Any) -> None:
    """Check the types of the 13 parts; the arrays are data, points, nodes and bounds."""
    from sklearn.metrics import DistanceMetric

    dimensions = (2, 1, 1, 3)
    if (
        type(state) is not tuple
        or len(state) != 13  # noqa: PLR2004 - as __getstate__ returns them
        or not all(map(_is_array, state, dimensions))
        or not all(type(count) is int and 0 <= count < 2**62 for count in state[4:7])
        or state[5] > 62  # noqa: PLR2004 - levels of a binary tree whose nodes can be counted
        or not isinstance(state[11], DistanceMetric)
        or not (state[12] is None or _is_array(state[12], 1))
    ):
        raise BrokenState("a search tree has no data, points, nodes and bounds")


def _check_distance(state: Any) -> None:
    if (
        type(state) is not tuple
        or len(state) < 3  # noqa: PLR2004 - the power, a vector and a matrix
        or not _is_array(state[1], 1)
        or not _is_array(state[2], 2)
    ):
        raise BrokenState("a distance has no vector and matrix")


def _is_array(value: Any, dimensions: int) -> bool:
    import numpy as np

    return type(value) is np.ndarray and value.ndim == dimensions
