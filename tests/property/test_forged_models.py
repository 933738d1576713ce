"""Forged model files are refused or stay inside their arrays, whatever is changed in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.models.trials import run_program
from tests.support.soak import SOAK

_PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_FILES_IN_A_SOAK = 10
_EACH_NTH_MODEL = "3"
"""The short form forges files of each third model, the long form of all."""


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What one process found: a file of each third model, or many of each that loads."""
    if SOAK:
        return run_program("--files", str(_FILES_IN_A_SOAK * SOAK), "--compare")
    return run_program("--every", _EACH_NTH_MODEL)


@pytest.mark.timeout(7200)
def test_no_forged_file_kills_or_hangs_a_process_or_answers_with_foreign_memory(
    report: dict[str, Any],
) -> None:
    kinds = ("files", "estimators", "refused", "raised", "predicted", "crashed", "hung")
    print("forged models:", {kind: report.get(kind, 0) for kind in kinds})  # noqa: T201 - of soaks
    assert report["wrong"] == []
    assert report["refused"] > report["predicted"] > 0


def test_files_of_the_fuzzer_kill_a_process_that_does_not_check_them(
    report: dict[str, Any],
) -> None:
    assert report["killed_without_checks"] > 0


def test_parameters_that_reach_outside_the_arrays_are_refused(report: dict[str, Any]) -> None:
    assert report["accepted_parameters"] == []
    assert report["hostile_parameters"] > 300


def test_estimators_answer_the_same_once_they_are_loaded(report: dict[str, Any]) -> None:
    assert report["changed_answers"] == {}
    assert len(report["loaded"]) > 200


def test_the_page_names_the_estimators_that_need_allow_pickle(report: dict[str, Any]) -> None:
    loaded = [name for name in report["loaded"] if name.isidentifier() and name[0].isupper()]
    refused = report["refused_unchanged"].keys()
    page = _PAGE.read_text()
    number = f"**{len(loaded)} of {len(loaded) + len(refused)} estimators**"
    assert number in page
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(refused)
