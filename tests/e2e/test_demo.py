"""`modelyard demo`, as `make demo` runs it."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes.up_process import command, environment

TIMEOUT_S = 240


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: the demo has a socket in it."""
    with tempfile.TemporaryDirectory() as short:
        yield Path(short)


def test_the_demo_promotes_swaps_and_rolls_back_without_a_failed_request(folder: Path) -> None:
    done = subprocess.run(
        command("demo"),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        env=environment(
            TMPDIR=str(folder),
            HOME=str(folder),
            MODELYARD_TRACKING_URI="http://192.0.2.1",  # of this shell, not of the demo
        ),
    )

    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "version 1 answers [0]",
        "version 2 answers ['setosa']",
        "version 1 answers again",
        "requests answered meanwhile, 0 failed",
        "rolled Production back to version 1, which was in ",
        "version 1 is in Production",
        "version 2 is in Archived",
    ):
        assert said in done.stdout
    assert list(folder.glob("modelyard-demo-*")) == []


@pytest.mark.parametrize("arguments", [["--what"], ["more"]])
def test_wrong_usage_of_the_demo_ends_with_code_2(arguments: list[str]) -> None:
    done = subprocess.run(command("demo", *arguments), capture_output=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(b"modelyard demo: ")
    assert done.stderr.count(b"\n") == 1
