from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard_kit.errors import InvalidArgument
from modelyard_registry.rules.endpoints import (
    check_spec,
    leaves,
    masked,
    models_of,
)
from modelyard_registry.rules.history import Document, apply, difference

STABLE = {"model_uri": "models:/fraud/Production", "role": "STABLE", "weight": 100}
CANARY = {"model_uri": "models:/fraud@next", "role": "CANARY", "weight": 5}
SHADOW = {"model_uri": "models:/fraud/3", "role": "SHADOW", "sample": 0.5}


@pytest.mark.parametrize(
    "spec",
    [
        {"targets": [STABLE]},
        {"targets": [STABLE | {"weight": 95}, CANARY, SHADOW]},
        {"targets": [STABLE | {"weight": 0}, CANARY | {"weight": 100}]},
        {"targets": [STABLE, SHADOW | {"model_uri": "runs:/abc/model"}]},
        {"targets": [STABLE], "guardrails": {"max_error_rate": 0.0, "promote": True}},
        {"targets": [STABLE], "guardrails": {"window_s": 60, "promote": False}},
    ],
)
def test_a_valid_spec_is_accepted(spec: Document) -> None:
    check_spec(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "required parameter 'spec.targets'"),
        (
            {"targets": [CANARY | {"weight": 100}]},
            "0 targets have the role STABLE, expected exactly one",
        ),
        (
            {"targets": [STABLE | {"weight": 50}, CANARY | {"role": "STABLE", "weight": 50}]},
            "2 targets have the role STABLE, expected exactly one",
        ),
        ({"targets": [STABLE, CANARY]}, "the weights add up to 105, expected 100"),
        ({"targets": [STABLE | {"weight": 99}]}, "the weights add up to 99, expected 100"),
        (
            {"targets": [STABLE, STABLE]},
            r"targets\[1\].model_uri': expected each model URI at most once",
        ),
        ({"targets": [{**STABLE, "model_uri": "s3://b"}]}, "Invalid model URI 's3://b': expected"),
        ({"targets": [{**STABLE, "model_uri": "models:/a/b"}]}, "'b' is neither a version"),
        (
            {"targets": [{"model_uri": "models:/a/1", "role": "STABLE"}]},
            r"required parameter 'spec.targets\[0\].weight'",
        ),
        (
            {"targets": [STABLE, {"model_uri": "models:/a/1", "role": "SHADOW"}]},
            r"required parameter 'spec.targets\[1\].sample'",
        ),
        ({"targets": [STABLE, SHADOW | {"weight": 0}]}, r"SHADOW has no weight; set sample"),
        ({"targets": [STABLE | {"sample": 0.5}]}, r"STABLE has no sample; set weight"),
        (
            {"targets": [STABLE], "guardrails": {"roll_back": True, "window_s": 60}},
            "'spec.guardrails.roll_back': it needs at least one limit; set one of max_d",
        ),
    ],
)
def test_an_invalid_spec_is_refused_with_the_field(spec: Document, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        check_spec(spec)


def test_the_models_of_an_endpoint_are_those_that_are_registered() -> None:
    targets = [STABLE, SHADOW, {"model_uri": "runs:/abc/m"}, {"model_uri": "models:/m-" + "0" * 32}]
    assert models_of({"targets": targets}) == {"fraud", ""}


PRESENT = {"targets": [1], "limits": {"timeout_ms": 1, "max_body_bytes": 2}}


@pytest.mark.parametrize(
    ("given_spec", "paths", "expected"),
    [
        ({"a": 1}, [()], {"a": 1}),
        ({}, [()], {}),
        ({}, [], PRESENT),
        ({"targets": [2]}, [("targets",)], PRESENT | {"targets": [2]}),
        ({}, [("limits",)], {"targets": [1]}),
        (
            {"limits": {"timeout_ms": 5}},
            [("limits", "timeout_ms")],
            {"targets": [1], "limits": {"timeout_ms": 5, "max_body_bytes": 2}},
        ),
        ({}, [("limits", "timeout_ms")], {"targets": [1], "limits": {"max_body_bytes": 2}}),
        ({}, [("limits", "timeout_ms"), ("limits", "max_body_bytes")], {"targets": [1]}),
        ({}, [("batching", "max_rows")], PRESENT),
        (
            {"batching": {"max_rows": 3}},
            [("batching", "max_rows")],
            PRESENT | {"batching": {"max_rows": 3}},
        ),
    ],
)
def test_a_mask_sets_the_named_fields_and_leaves_the_others(
    given_spec: Document, paths: list[tuple[str, ...]], expected: Document
) -> None:
    assert masked(PRESENT, given_spec, paths) == expected


def test_the_leaves_of_a_document_are_its_values() -> None:
    assert list(leaves(PRESENT)) == [
        ("targets",),
        ("limits", "timeout_ms"),
        ("limits", "max_body_bytes"),
    ]


VALUES: st.SearchStrategy[Any] = st.integers(0, 2) | st.lists(st.integers(0, 1), max_size=2)
DOCUMENTS: st.SearchStrategy[Document] = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        VALUES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=6
    ),
)


@given(before=DOCUMENTS, after=DOCUMENTS)
def test_a_difference_turns_one_document_into_the_other(before: Document, after: Document) -> None:
    assert apply(before, difference(before, after)) == after
