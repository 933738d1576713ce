"""The log of a platform in the background is bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from pathlib import Path
from modelyard_server.processes.instance_log import replace_if_large
path = Path(sys.argv[1])
for line in "abcd":
    os.write(1, line.encode() * 60)
    print(line * 40, file=sys.stderr, flush=True)
    assert replace_if_large(path, 200) or line == "d"
    if line == "c":
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
"""


def test_a_large_log_begins_anew_and_the_one_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "instance.log"
    with log.open("ab") as file:
        words = [sys.executable, "-c", PROGRAM, str(log)]
        done = subprocess.run(words, check=False, stdout=file, stderr=file)
    parts = [path.read_text() for path in (log.with_name("instance.log.1"), log)]

    assert done.returncode == 0
    assert parts == [
        "".join(line * 60 + line * 40 + "\n" for line in "ab"),
        "c" * 100 + "\n" + "d" * 60,
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["instance.log", "instance.log.1"]
    assert log.stat().st_mode & 0o077 == 0
