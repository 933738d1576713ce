"""Listing one level of a tree, compared with a listing made from all files of the tree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session
from tests.support.databases.dialects import Dialect, with_tables
from tests.support.soak import examples

from modelyard_kit.db.base import Database
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_tracking.models import ArtifactFile, Base, Experiment, LoggedModel, Run
from modelyard_tracking.operations import levels, trees
from modelyard_tracking.operations.levels import Entry
from modelyard_tracking.rules.artifacts import Owner, OwnerKind, ancestors
from modelyard_tracking.rules.states import ModelStatus

_NUMBERS = itertools.count(1)
NAMES = st.text("ab.-/0\x01é", min_size=1, max_size=3).map(lambda text: text.replace("/", "~"))
PATHS = st.lists(st.one_of(st.just("m"), NAMES), min_size=1, max_size=3).map("/".join)
FILES = st.sets(PATHS, max_size=8).map(
    lambda paths: sorted(path for path in paths if not {*ancestors(path)} & paths)
)
"""Paths of files, none of which is in the place of a folder."""


@pytest.fixture
def database(tmp_path: Path, dialect: Dialect) -> Iterator[Database]:
    with with_tables(dialect, tmp_path, Base.metadata) as database:
        with database.write() as session:
            session.add(Experiment(experiment_id=1, name="e", created_ms=1, updated_ms=1))
        yield database


def listed_from_all_files(session: Session, owner: Owner, folder: str) -> list[Entry]:
    prefix = f"{folder}/" if folder else ""
    found: dict[str, Entry] = {}
    for file in trees.files_at(session, owner, folder):
        if file.path.startswith(prefix):
            name, _, below = file.path[len(prefix) :].partition("/")
            found[prefix + name] = Entry(prefix + name, None if below else file.size_bytes)
    return [found[path] for path in sorted(found)]


def paged(session: Session, owner: Owner, folder: str, size: int) -> list[Entry]:
    found: list[Entry] = []
    while page := levels.entries(session, owner, folder, found[-1].path if found else "", size):
        assert len(page) <= size
        found += page
    return found


def with_files(session: Session, of_run: list[str], of_model: list[str]) -> list[Owner]:
    """Add a run and its model `m` with files; return both."""
    number = next(_NUMBERS)
    run = Owner(OwnerKind.RUN, f"{number:032}")
    model = Owner(OwnerKind.MODEL, f"m-{number:032}")
    session.add(
        Run(
            run_id=run.owner_id,
            experiment_id=1,
            name="r",
            user_id="u",
            status="RUNNING",
            start_ms=1,
        )
    )
    session.flush()
    session.add(
        LoggedModel(
            model_id=model.owner_id,
            experiment_id=1,
            name="m",
            model_type="",
            source_run_id=run.owner_id,
            status=ModelStatus.READY,
            created_ms=1,
            updated_ms=1,
        )
    )
    session.add_all(
        ArtifactFile(
            owner_kind=owner.kind,
            owner_id=owner.owner_id,
            path=path,
            size_bytes=size,
            digest="d" * 64,
        )
        for owner, paths in ((run, of_run), (model, of_model))
        for size, path in enumerate(paths, 1)
    )
    session.flush()
    return [run, model]


def test_a_level_is_that_of_all_files(database: Database) -> None:
    @settings(max_examples=examples(3), deadline=None)
    @example(["a", "a-b/x", "a.b"], [], 1)
    @example(["a-b/x", "a/x", "a.b/x", "a0", "a~"], [], 1)
    @example(["m/x", "m/y/z", "m.x"], ["x/below", "y"], 2)
    @example(["m"], ["x"], 1)
    @given(FILES, FILES, st.integers(1, 4))
    def check(of_run: list[str], of_model: list[str], size: int) -> None:
        with database.write() as session:
            owners = with_files(session, of_run, of_model)
            folders = {folder for path in (*of_run, *of_model) for folder in ancestors(path)}
            for owner in owners:
                for folder in sorted({"", "m", *folders}):
                    expected = listed_from_all_files(session, owner, folder)
                    assert paged(session, owner, folder, size) == expected
                    assert levels.entries(session, owner, folder, "", 100) == expected

    check()


def test_a_folder_is_refused_as_a_file_without_reading_its_files(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        run, model = with_files(session, ["m/y", "z"], ["x/below"])
        assert levels.file_at(session, run, "m/y").path == "m/y"
        assert levels.file_at(session, model, "x/below").size_bytes == 1
        with pytest.raises(NotFound):
            levels.file_at(session, run, "m/x/nothing")
        monkeypatch.delattr(levels, "files_at")
        for owner, path in ((run, ""), (run, "m"), (run, "m/x"), (model, ""), (model, "x")):
            with pytest.raises(InvalidArgument, match="is a folder; list it"):
                levels.file_at(session, owner, path)
