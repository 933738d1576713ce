"""What the documents refer to exists: other documents, files, tests."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKS = re.compile(r"\]\((?!https?://)([^)\s]*)\)")
TESTS = re.compile(r"`(?:tests/[\w/]*/)?(test_\w+)(?:\.py)?`")
CODE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


@cache
def tracked() -> list[Path]:
    """Return the files of the repository, without third-party text, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return [path for path in paths if (ROOT / path).exists() and path.name != "tutorial.md"]


def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


DOCUMENTS = [path for path in tracked() if path.suffix == ".md"]
documents = pytest.mark.parametrize("document", DOCUMENTS, ids=str)


@documents
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    broken = []
    for link in LINKS.findall(CODE.sub("", text_of(document))):
        name, _, anchor = link.partition("#")
        target = ROOT / document.parent / name if name else ROOT / document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_test_that_a_document_names_exists() -> None:
    tests = [path for path in tracked() if path.parts[0] == "tests" and path.suffix == ".py"]
    known = {path.stem for path in tests}
    for path in tests:
        known.update(re.findall(r"^ *(?:async )?def (test_\w+)", text_of(path), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in TESTS.findall(text_of(document))}
    assert len(named) > 20, "the pattern misses names"
    assert sorted(named - known) == []


def test_every_decision_is_listed() -> None:
    folder = Path("docs/adr")
    decisions = {path.name for path in DOCUMENTS if path.parent == folder} - {"README.md"}
    assert set(LINKS.findall(text_of(folder / "README.md"))) == decisions
