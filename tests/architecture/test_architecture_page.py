"""docs/architecture.md names files that exist, and the layers that import-linter checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = re.compile(r"`((?:clients|services|protos|tests|deploy|docs)/[\w./]*)`")
BLOCKS = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_every_file_that_the_page_names_exists() -> None:
    named = PATHS.findall(PAGE)
    assert len(named) > 50, "the pattern misses files"
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_a_walk_names_in_a_file_stands_in_it() -> None:
    rows = re.findall(r"^\| `(\S+\.py)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 40, "the pattern misses rows"
    missing = [
        f"{path}: {name}"
        for path, text in rows
        for name in re.findall(r"`(?:\w+\.)?@?([A-Za-z_]\w+)`", text)
        if name not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_the_page_has_the_layers_of_the_import_contracts() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert len(layers) > 5
    shown = [block.splitlines() for block in BLOCKS.findall(PAGE)]
    assert [stack for stack in layers if stack not in shown] == []
