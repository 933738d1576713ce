"""Write the tables of docs/sdk.md: what MLflow's package has and the SDK lacks.

MLflow's names are those of `_names_of_mlflow.txt` in the SDK. With --check nothing is written, and
the exit code is 1 if the page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import modelyard

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "sdk.md"
NAMES = ROOT / "clients" / "python" / "modelyard" / "_names_of_mlflow.txt"
TABLE = re.compile(
    r"(<!-- (?P<table>absent|other areas|parameters) -->\n).*?(<!-- end -->)", re.DOTALL
)
AREAS = {
    "genai": "generative AI: traces, prompts, evaluation",
    "webhooks": "webhooks",
    "workspaces": "workspaces",
    "local": "of MLflow's own installation",
}
_ABSENT = object()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = TABLE.sub(made, before)
    if not options.check:
        PAGE.write_text(after, encoding="utf-8")
    elif before != after:
        print("docs/sdk.md is out of date; run: make sdk-page")
        return 1
    return 0


def made(found: re.Match[str]) -> str:
    """Return the table with its surrounding comments."""
    tables = {"absent": absent, "other areas": other_areas, "parameters": parameters}
    return "".join((found[1], *tables[found["table"]](), found[3]))


def names() -> Iterator[tuple[str, str, list[str]]]:
    """Yield kind, name and parameters of each public name of MLflow."""
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        kind, name, *given = line.split()
        yield kind, name, given


def ours(name: str) -> Any:
    """Return what the SDK has under a name of MLflow; `_ABSENT` if it has nothing."""
    found: Any = modelyard
    for part in name.split(".")[1:]:
        inner = getattr(found, part, _ABSENT)
        if inner is _ABSENT:
            try:
                inner = import_module(f"{found.__name__}.{part}")
            except ImportError:
                return _ABSENT
        found = inner
    return found


def absent() -> Iterator[str]:
    """Yield the lines of the table of absent names, by module."""
    by_module = defaultdict(list)
    for kind, name, _ in names():
        if kind == "classic" and ours(name) is _ABSENT:
            module, _, last = name.rpartition(".")
            by_module[module].append(f"`{last}`")
    yield "| module or class | absent |\n|---|---|\n"
    for module, lasts in by_module.items():
        yield f"| `{module}` | {', '.join(lasts)} |\n"


def other_areas() -> Iterator[str]:
    """Yield the lines of the table of names that the server has nothing for either."""
    counts = defaultdict(list)
    for kind, name, _ in names():
        if kind != "classic" and ours(name) is _ABSENT:
            counts[kind].append(name)
    yield "| area | names |\n|---|---|\n"
    for kind, found in counts.items():
        yield f"| {AREAS[kind]} | {len(found)} |\n"


def parameters() -> Iterator[str]:
    """Yield the lines of the table of functions with other parameters than in MLflow."""
    yield "| name | only in MLflow | only in Modelyard |\n|---|---|---|\n"
    for _, name, theirs in names():
        found = ours(name)
        if found is _ABSENT or not theirs or not inspect.isroutine(found):
            continue
        taken = [key for key in inspect.signature(found).parameters if key != "self"]
        given = [key for key in theirs if not key.startswith("**")]
        missing = ", ".join(f"`{key}`" for key in given if key not in taken)
        more = ", ".join(f"`{key}`" for key in taken if key not in given)
        if missing or more:
            yield f"| `{name}` | {missing} | {more} |\n"


if __name__ == "__main__":
    sys.exit(main())
