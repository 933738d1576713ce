"""Patterns of names, which Python and the database must interpret alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import String, literal, select
from tests.support.databases.dialects import Dialect, empty_url

from modelyard_kit.auth.scope import Scope
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.db.statements import matches

LETTERS = st.text(st.sampled_from("aAé%_\\*?[].\n+"), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, dialect: Dialect) -> Iterator[Database]:
    database = open_database(empty_url(dialect, tmp_path_factory.mktemp("scope")))
    yield database
    database.close()


@given(name=LETTERS, patterns=st.lists(LETTERS, min_size=1, max_size=3))
def test_python_and_the_database_read_patterns_alike(
    database: Database, name: str, patterns: list[str]
) -> None:
    with database.read() as session:
        found = session.scalar(select(matches(literal(name, String()), patterns)))
    assert bool(found) == Scope(models=tuple(patterns)).has_model(name)


@pytest.mark.parametrize(
    ("pattern", "name", "is_in"),
    [
        ("fraud-*", "fraud-", True),
        ("fraud-*", "Fraud-1", False),
        ("fraud-*", "a fraud-1", False),
        ("?", "é", True),
        ("?", "ab", False),
        ("*", "", True),
        ("100%_", "100%_", True),
        ("100%_", "1000x", False),
        ("[ab]", "a", False),
    ],
)
def test_a_pattern_is_for_whole_names(pattern: str, name: str, is_in: bool) -> None:  # noqa: FBT001 - a column of the table
    assert Scope(models=(pattern,)).has_model(name) is is_in


def test_a_scope_without_patterns_has_everything() -> None:
    assert not Scope()
    assert Scope().has_model("x")
    assert Scope(models=("a",)).has_experiment("x")
    assert str(Scope(("a*", "b"), ("c",))) == "models named a* or b and experiments named c"
