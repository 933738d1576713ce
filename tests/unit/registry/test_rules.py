from __future__ import annotations

from typing import Any

import pytest

from modelyard_kit.references.names import check_alias
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias, parse_reference
from modelyard_registry.rules.history import apply, canonical, put, put_first
from modelyard_registry.rules.tokens import RESERVED_NAMES, is_reserved


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [  # the cases of RFC 7396, appendix A, that have an object on both sides
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "b"}, {"a": {"c": 1}}, {"a": {"c": 1}}),
    ],
)
def test_a_merge_patch_is_applied_as_the_rfc_says(
    document: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert apply(document, patch) == expected


def test_nothing_is_written_below_an_absent_path() -> None:
    patch: dict[str, Any] = {}
    put(patch, ("versions", "1"), None)
    put(patch, ("versions", "1", "stage"), "None")
    assert patch == {"versions": {"1": None}}


def test_the_first_value_written_is_kept() -> None:
    patch: dict[str, Any] = {}
    put_first(patch, ("model", "description"), "old")
    put_first(patch, ("model", "description"), "in between")
    assert patch == {"model": {"description": "old"}}


def test_canonical_json_is_sorted_and_has_no_white_space() -> None:
    assert canonical({"b": "ü", "a": {"d": 1, "c": True}}) == '{"a":{"c":true,"d":1},"b":"ü"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3),
        ("003", 3),
        ("production", Stage.PRODUCTION),
        ("NONE", Stage.NONE),
        ("Latest", Alias("latest")),
        ("champion", Alias("champion")),
        ("v3", Alias("v3")),
    ],
)
def test_a_reference_is_a_number_then_a_stage_then_an_alias(text: str, expected: object) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "alias", ["champion", "production", "None", "a-b_c", "v", "v1a", "prod", "ünï", "-"]
)
def test_an_alias_may_be_any_word_that_is_not_reserved(alias: str) -> None:
    check_alias(alias)


@pytest.mark.parametrize(
    "name", [*RESERVED_NAMES, "TOKEN", "T0ken", "to-ken", "token.", "Anonym0us", "reg1stry", "G.C"]
)
def test_a_name_that_reads_like_another_of_the_history_is_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["rosa", "ci", "token-of-rosa", "tokens", "admin", "serving"])
def test_other_names_are_free(name: str) -> None:
    assert not is_reserved(name)
