from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from modelyard_kit.settings.declarations import variables
from modelyard_kit.settings.programs import KNOWN_VARIABLES
from modelyard_kit.settings.table import ClientSettings

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = REPOSITORY / "docs" / "settings.md"
LITERAL = re.compile(r"\"(MODELYARD_[A-Z0-9_]+)\"")
BY_NAME = re.compile(r"\bsetting\(\"([A-Z0-9_]+)\"\)")


def named_in(folder: str) -> set[str]:
    """Return the variables that are named in the code of a folder."""
    texts = [path.read_text(encoding="utf-8") for path in (REPOSITORY / folder).rglob("*.py")]
    return {name for text in texts for name in LITERAL.findall(text)} | {
        f"MODELYARD_{name}" for text in texts for name in BY_NAME.findall(text)
    }


def test_each_variable_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [name for name in sorted(KNOWN_VARIABLES) if f"`{name}`" not in text]
    assert missing == []


def test_the_page_of_settings_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "tools" / "settings_page.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_page_names_no_variable_that_is_not_read() -> None:
    named = set(re.findall(r"\bMODELYARD_[A-Z0-9_]*[A-Z0-9]\b", DOCUMENT.read_text("utf-8")))
    assert named - KNOWN_VARIABLES == set()


def test_every_variable_that_our_code_reads_is_known_to_the_server() -> None:
    named = named_in("clients/python/modelyard") | named_in("services")

    assert "MODELYARD_TRACKING_URI" in named
    assert named - KNOWN_VARIABLES == set()


def test_the_client_reads_the_variables_that_are_declared_for_it() -> None:
    assert named_in("clients/python/modelyard") == set(variables(ClientSettings).values())


def test_servers_read_their_variables_by_their_declarations_only() -> None:
    direct = re.compile(r"environ(?:\.get\(|\[)\s*f?\"MODELYARD_")
    found = [
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "services").rglob("*.py")
        if direct.search(path.read_text(encoding="utf-8"))
    ]
    # These set variables for the SDK, or ask whether one was set.
    assert sorted(path.rpartition("/")[2] for path in found) == ["demo.py", "server.py"]
