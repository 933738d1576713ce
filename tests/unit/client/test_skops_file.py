"""A skops file holds trusted types and is whole, or it is refused."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tests.support.forging import edit_schema, number, refusal, rewrite, saved

from modelyard.exceptions import InvalidParameter

X, y = load_iris(return_X_y=True)


class Untrusted(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    def fit(self) -> Untrusted:
        return self


def test_a_type_outside_the_table_is_refused_by_name_at_load(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(StandardScaler(), Untrusted()), path)
    assert "Untrusted" in refusal(path)


def test_a_type_outside_the_table_is_refused_by_name_at_save(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"Untrusted.*cloudpickle"):
        saved(Untrusted(), tmp_path)


def test_a_type_that_is_to_be_called_is_refused(tmp_path: Path) -> None:
    path = saved(StandardScaler().fit(X), tmp_path)

    def call(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["copy"] = {
            "__class__": "system",
            "__module__": "os",
            "__loader__": "FunctionNode",
        }

    edit_schema(path, call)
    assert "os.system" in refusal(path)


def test_a_refusal_quotes_no_more_of_a_file_than_a_line(tmp_path: Path) -> None:
    path = saved(StandardScaler().fit(X), tmp_path)
    forged = {"__module__": "evil\n" * 10**5, "__class__": "X", "__loader__": "ObjectNode"}
    edit_schema(path, lambda schema: schema["content"]["content"].update(copy=forged))
    assert len(refusal(path)) < 300


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(DecisionTreeClassifier().fit(X, y), tmp_path)
    whole = path.read_bytes()
    for kept in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert "not a readable skops file" in refusal(path)


@pytest.mark.parametrize("schema", [b"", b"[]", b"{}", b"[" * 10**5, b'{"protocol": 99}', b"\xff"])
def test_a_broken_schema_is_refused(tmp_path: Path, schema: bytes) -> None:
    path = saved(StandardScaler().fit(X), tmp_path)
    rewrite(path, lambda members: members.update({"schema.json": schema}))
    assert "not a readable skops file" in refusal(path)


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    path = saved(StandardScaler().fit(X), tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(300 * 2**20))
    assert "unpacks to" in refusal(path)


def test_an_array_mentioned_again_and_again_counts_each_time(tmp_path: Path) -> None:
    path = saved(StandardScaler().fit(np.zeros((2, 2**17))), tmp_path)

    def repeat(schema: dict[str, Any]) -> None:
        content = schema["content"]["content"]
        big = {k: v for k, v in content["mean_"].items() if k != "__id__"}
        content["copy"] = {
            "__class__": "list",
            "__module__": "builtins",
            "__loader__": "ListNode",
            "content": [big] * 400,
        }

    edit_schema(path, repeat)
    assert "unpacks to" in refusal(path)


def a_list(identity: int, parts: list[Any]) -> dict[str, Any]:
    kind = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    return {**kind, "__id__": identity, "content": parts}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("innermost", "told"),
    [([], "parts are shared too often"), ([a_list(1, [])], "a part of it contains itself")],
)
def test_lists_of_the_same_lists_are_refused_before_they_are_followed(
    tmp_path: Path, innermost: list[Any], told: str
) -> None:
    path = saved(StandardScaler(), tmp_path)
    node = a_list(1, innermost)
    for identity in range(2, 86):
        node = a_list(identity, [node, a_list(identity - 1, [])])
    edit_schema(path, lambda schema: schema["content"]["content"].update(copy=node))
    assert told in refusal(path)


def forged_member(folder: Path, content: bytes, compression: int) -> Path:
    path = saved(StandardScaler(), folder)
    with zipfile.ZipFile(path) as archive:
        schema = archive.read("schema.json")
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("schema.json", schema + content)
    return path


def test_a_member_is_unpacked_no_further_than_its_announced_size(tmp_path: Path) -> None:
    path = forged_member(tmp_path, b" " * 2**26, zipfile.ZIP_DEFLATED)
    announced = zipfile.ZipFile(path).getinfo("schema.json").file_size
    packed = path.read_bytes()
    path.write_bytes(packed.replace(announced.to_bytes(4, "little"), (9).to_bytes(4, "little")))
    tracemalloc.start()
    assert "not a readable skops file (BadZipFile)" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_compression_without_a_bound_is_refused(tmp_path: Path) -> None:
    path = forged_member(tmp_path, b"", zipfile.ZIP_BZIP2)
    assert "not a readable skops file (BadZipFile)" in refusal(path)


def test_a_schema_that_unpacks_to_far_more_than_the_file_is_refused(tmp_path: Path) -> None:
    path = forged_member(tmp_path, b" " * 2**25, zipfile.ZIP_DEFLATED)
    assert "allowed for a file of its size" in refusal(path)


def test_a_text_that_a_parameter_mentions_often_is_not_written_out(tmp_path: Path) -> None:
    path = saved(StandardScaler(), tmp_path)
    text = {**number(json.dumps("a" * 10**5)), "__id__": 1}
    mentions = [text, *[{**number("0"), "__id__": 1}] * 1000]
    edit_schema(path, lambda schema: schema["content"]["content"].update(copy=a_list(2, mentions)))
    tracemalloc.start()
    assert "The 'copy' parameter of StandardScaler must be" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
