"""Compiled types get no state that they would use without looking at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from tests.support.forging import (
    edit_arrays,
    edit_schema,
    is_tree,
    nodes_in,
    number,
    refusal,
    saved,
)

from modelyard.sklearn import _skops_file

X, y = load_iris(return_X_y=True)
Parts = list[dict[str, Any]]


def fitted(kind: str) -> BaseEstimator:
    return KNeighborsClassifier(algorithm=kind).fit(X, y)


STATES: dict[str, Callable[[Parts], Parts]] = {
    "nothing": lambda parts: parts[:0],
    "a part less": lambda parts: parts[:-1],
    "no data": lambda parts: [number("null"), *parts[1:]],
    "no distance": lambda parts: [*parts[:11], number("null"), parts[12]],
    "parts in another order": lambda parts: parts[::-1],
    "more levels than can be counted": lambda parts: [*parts[:5], number("63"), *parts[6:]],
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", ["kd_tree", "ball_tree"])
def test_a_search_tree_gets_a_complete_state_or_none(tmp_path: Path, kind: str, state: str) -> None:
    path = saved(fitted(kind), tmp_path)

    def edit(schema: dict[str, Any]) -> None:
        for name in ("KDTree", "BallTree"):
            for tree in nodes_in(schema, "__class__", name):
                tree["content"]["content"] = STATES[state](tree["content"]["content"])

    edit_schema(path, edit)
    assert "a search tree has no data, points, nodes and bounds" in refusal(path)


def test_a_state_that_another_part_of_the_file_names_again_is_checked_too(tmp_path: Path) -> None:
    path = saved(fitted("kd_tree"), tmp_path)

    def edit(schema: dict[str, Any]) -> None:
        tree = nodes_in(schema, "__class__", "KDTree")[0]
        first = {**tree["content"], "content": [], "__id__": 7}
        schema["content"]["content"] = {"leaf_size": first, **schema["content"]["content"]}
        schema["content"]["content"]["leaf_size"] = first
        tree["content"]["__id__"] = 7

    edit_schema(path, edit)
    assert "a search tree has no data, points, nodes and bounds" in refusal(path)


@pytest.mark.parametrize("edit", [lambda nodes: nodes[0], lambda nodes: nodes.reshape(1, -1)])
def test_a_decision_tree_gets_a_table_of_nodes(tmp_path: Path, edit: Callable[[Any], Any]) -> None:
    path = saved(DecisionTreeClassifier(max_depth=2).fit(X, y), tmp_path)
    edit_arrays(path, is_tree, edit)
    assert "a decision tree has no table of nodes" in refusal(path)


def test_a_distance_gets_a_vector_and_a_matrix(tmp_path: Path) -> None:
    path = saved(fitted("kd_tree"), tmp_path)

    def edit(schema: dict[str, Any]) -> None:
        distance = nodes_in(schema, "__class__", "EuclideanDistance64")[0]
        distance["content"]["content"] = distance["content"]["content"][:1]

    edit_schema(path, edit)
    assert "a distance has no vector and matrix" in refusal(path)


def test_a_generator_gets_the_pool_of_seeds_of_numpy(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=1, max_depth=1, random_state=0).fit(X, y)
    path = saved(model, tmp_path)

    def edit(schema: dict[str, Any]) -> None:
        for generator in nodes_in(schema, "__loader__", "RandomGeneratorNode"):
            generator["content"]["seed_seq"]["content"]["pool_size"] = number(str(2**40))

    edit_schema(path, edit)
    assert "another pool of seeds than numpy's" in refusal(path)


def test_models_with_compiled_parts_load(tmp_path: Path) -> None:
    for model in (fitted("kd_tree"), fitted("ball_tree"), DecisionTreeClassifier().fit(X, y)):
        loaded = _skops_file.load(saved(model, tmp_path))
        assert np.array_equal(loaded.predict(X), model.predict(X))
