"""The instance that the SDK starts when no address is set."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes.local_home import LocalHome, ended, local_home
from tests.support.processes.up_process import up

from modelyard.__main__ import main

ASK = "import modelyard; modelyard.get_experiment('0'); print(modelyard.get_tracking_uri())"

# Calls, waits for a line on stdin, calls again with the same client.
ASK_TWICE = """
import sys
from modelyard.tracking import MlflowClient
client = MlflowClient()
first = client.create_experiment("first")
print(first, flush=True)
sys.stdin.readline()
print(client.create_experiment("second"), client.get_experiment(first).name)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LocalHome]:
    with local_home(tmp_path) as home:
        yield home


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHome]:
    """A home with a long name, in which a quiet script with settings of its own started one."""
    deep = tmp_path_factory.mktemp("started") / ("long" * 20) / "with spaces"
    deep.mkdir(parents=True)
    theirs = {
        "MODELYARD_TOKEN": "a token for elsewhere",
        "MODELYARD_PORT": "no port",
        "MODELYARD_QUIET": "1",
    }
    with local_home(deep, **theirs) as home:
        out, err = ended(home.start("-c", ASK))
        assert out.startswith("http://127.0.0.1:")
        assert err == ""
        yield home


def test_of_many_starters_one_starts_and_all_use_it(home: LocalHome) -> None:
    starters = [home.start("-c", ASK) for _ in range(6)]
    ends = [ended(starter) for starter in starters]
    assert len({out for out, _ in ends}) == 1
    told = [err for _, err in ends if err]
    assert told == [
        f"modelyard: started a local instance in {home.folder} (stop it with: modelyard down)\n"
    ]


def test_an_instance_started_by_hand_is_used(home: LocalHome) -> None:
    with up(home.folder) as instance:
        out, err = ended(home.start("-c", ASK))
        assert (out, err) == (f"{instance.instance['http']}\n", "")
        assert instance.stop() == 0


def test_only_the_owner_reaches_what_a_starter_writes(started: LocalHome) -> None:
    assert stat.S_IMODE(started.folder.stat().st_mode) == 0o700
    for name in ("instance.json", "instance.log", "start.lock"):
        assert stat.S_IMODE((started.folder / name).stat().st_mode) == 0o600


def test_settings_of_the_script_are_not_those_of_the_instance(started: LocalHome) -> None:
    assert started.environment["MODELYARD_PORT"] == "no port"
    assert started.run("-c", ASK).startswith("http://127.0.0.1:")


def test_the_instance_survives_its_starter_and_ends_by_down(
    home: LocalHome, capsys: pytest.CaptureFixture[str]
) -> None:
    first = home.run("-c", ASK)
    assert home.run("-c", ASK) == first
    assert main(["down", "--home", str(home.folder)]) == 0
    assert "stopped the instance" in capsys.readouterr().out
    assert not (home.folder / "instance.json").exists()
    assert main(["down", "--home", str(home.folder)]) == 0
    assert "no instance is running" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_client_goes_on_when_the_instance_ended(home: LocalHome, how: str) -> None:
    process = home.start("-c", ASK_TWICE)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    if how == "killed":
        pid = json.loads((home.folder / "instance.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
    else:
        assert main(["down", "--home", str(home.folder)]) == 0
    out, err = process.communicate("go on\n", timeout=120)
    assert process.returncode == 0, err
    assert out == "2 first\n"
    assert err.count("started a local instance") == 2


def test_an_instance_that_cannot_start_says_why_in_one_line(home: LocalHome) -> None:
    (home.folder / "tracking.db").mkdir(parents=True)
    process = home.start("-c", ASK)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert "The local instance could not be started: " in last
    assert str(home.folder / "instance.log") in last
