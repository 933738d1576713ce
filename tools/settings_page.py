"""Write the tables of docs/settings.md from the declarations of the settings.

With --check nothing is written, and the exit code is 1 if the page is out of date.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelyard_kit.settings.declarations import Setting, declaration, variable
from modelyard_kit.settings.programs import PROGRAMS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
TABLE = re.compile(r"(<!-- settings of (?P<programs>[^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = TABLE.sub(made, before)
    if not options.check:
        PAGE.write_text(after, encoding="utf-8")
    elif before != after:
        print("docs/settings.md is out of date; run: make settings-page")
        return 1
    return 0


def made(found: re.Match[str]) -> str:
    """Return the table with its surrounding comments."""
    programs = found["programs"].split(", ")
    return "".join((found[1], *table(programs), found[3]))


def table(programs: list[str]) -> Iterator[str]:
    """Yield the lines of the table of some programs' settings."""
    shared = len(programs) > 1
    yield (
        "| variable | read by | what | default |\n" if shared else "| variable | what | default |\n"
    )
    yield "|---|---|---|---|\n" if shared else "|---|---|---|\n"
    for name, readers in by_variable(programs).items():
        first, *_ = readers.values()
        read_by = f" {'all' if len(readers) == len(programs) else ', '.join(readers)} |"
        default = defaults(readers)
        cells = f" {first.text} |" + (f" {default} |" if default else " |")
        yield f"| `{name}` |{read_by if shared else ''}{cells}\n"


def by_variable(programs: Iterable[str]) -> dict[str, dict[str, Setting]]:
    """Return the declarations of each variable by the program that reads it."""
    found: dict[str, dict[str, Setting]] = {}
    for program in programs:
        for field in dataclasses.fields(PROGRAMS[program]):
            found.setdefault(variable(field), {})[program] = declaration(field)
    return found


def defaults(readers: dict[str, Setting]) -> str:
    """Return the default of a variable, with the programs if they differ."""
    by_default: dict[str, list[str]] = {}
    for program, declared in readers.items():
        by_default.setdefault(declared.default, []).append(program)
    if len(by_default) == 1:
        return next(iter(by_default))
    return "; ".join(
        f"{', '.join(programs)}: {default}" for default, programs in by_default.items()
    )


if __name__ == "__main__":
    sys.exit(main())
