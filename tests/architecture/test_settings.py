from __future__ import annotations

from pathlib import Path

from modelyard_server.settings import KNOWN_VARIABLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_each_variable_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [name for name in sorted(KNOWN_VARIABLES) if f"`{name}`" not in text]
    assert missing == []
