"""docs/sdk.md lists what MLflow's package has and the SDK lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from modelyard import _settings
from modelyard_kit.settings.programs import KNOWN_VARIABLES

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_sdk_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "sdk_page.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_client_knows_the_settings_of_all_programs() -> None:
    assert _settings.known() == KNOWN_VARIABLES, "adapt _KNOWN in modelyard/_settings.py"
