from __future__ import annotations

import json
from pathlib import Path

from modelyard_mlflow.report import Report


def test_a_difference_counts_once_and_the_document_has_all_of_them(tmp_path: Path) -> None:
    report = Report("http://there", "http://here")
    report.count("runs", created=True)
    report.count("files", 3, created=False)
    report.count("bytes", 0, created=True)
    for _ in range(2):
        report.note("id-changed", "run 1", "its id is 2 here")
    report.write(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {
        "source": "http://there",
        "target": "http://here",
        "dry_run": False,
        "written": {"runs": 1},
        "already_there": {"files": 3},
        "differences": [
            {"kind": "id-changed", "subject": "run 1", "detail": "its id is 2 here"},
        ],
    }


def test_the_summary_says_how_many_more_there_are() -> None:
    report = Report("there", "here", dry_run=True)
    for number in range(12):
        report.note("value-cut", f"run {number}", "cut")
    lines = report.summary().splitlines()
    assert lines[1] == "Would write: nothing"
    assert lines[-1].strip() == "… and 2 more; --report FILE writes them all"
    assert Report("there", "here").summary().endswith("No differences.")
