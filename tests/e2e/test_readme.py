"""The README's Python is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.processes.local_home import local_home

README = Path(__file__).parents[2] / "README.md"


def test_the_tutorial_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "tutorial.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    with local_home(tmp_path) as home:
        said = home.run(script)
    assert said.splitlines()[-1].endswith(" UTC: version 2 is slow")
