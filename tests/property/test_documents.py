"""A harmless document is read as PyYAML and Python's `json` read it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.soak import examples

from modelyard._documents import read_json, read_yaml

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT, st.just("<<")
)
TIMES = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)) | st.dates()  # noqa: DTZ001 - YAML without a zone


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=8,
    )


@settings(max_examples=examples(15), deadline=None)
@given(nested(SCALARS | TIMES | st.binary(max_size=4)), st.booleans(), st.booleans())
def test_yaml_is_read_as_safe_load_reads_it(
    value: Any,
    is_flow: bool,  # noqa: FBT001 - drawn
    is_repeated: bool,  # noqa: FBT001 - drawn
) -> None:
    value = {"first": value, "second": value} if is_repeated else value
    written = yaml.safe_dump(value, allow_unicode=True, default_flow_style=is_flow)
    assert read_yaml(written) == yaml.safe_load(written)


@settings(max_examples=examples(15), deadline=None)
@given(nested(SCALARS))
def test_json_is_read_as_loads_reads_it(value: Any) -> None:
    written = json.dumps(value)
    assert read_json(written.encode()) == json.loads(written)
