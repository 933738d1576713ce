"""The tutorial, on a fresh machine: no server started by hand, no setting made."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes.local_home import LocalHome, ended, local_home

TUTORIAL = Path(__file__).parents[2] / "examples" / "tutorial"
PROMOTE = TUTORIAL / "07_promote.py"

STATE = """
import json
from modelyard.tracking import MlflowClient
versions = MlflowClient().search_model_versions("name='iris_classifier'")
print(json.dumps({v.version: v.current_stage for v in versions}))
"""

WRITES = (
    "start_run",
    "log_model",
    "end_run",
    "register_model",
    "transition_model_version_stage",
)
# Runs scripts one after the other and prints how each ended; what they import is imported once.
RUN_EACH = """
import os, runpy, sys, traceback, warnings
import pandas, skops.io, sklearn.datasets, sklearn.ensemble, sklearn.model_selection
warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
for script in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr
        try:
            runpy.run_path(script, run_name="__main__")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILL = "__import__('os').kill(__import__('os').getpid(), 9)"
FOREST = "RandomForestClassifier(n_estimators=150,"
SMALL_FOREST = "RandomForestClassifier(n_estimators=10,"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LocalHome]:
    with local_home(tmp_path) as home:
        yield home


def stages(home: LocalHome) -> dict[int, str]:
    found: dict[str, str] = json.loads(home.run("-c", STATE))
    return {int(version): stage for version, stage in found.items()}


def test_every_script_runs_and_says_what_it_should(home: LocalHome) -> None:
    said = {script.name: home.run(script) for script in sorted(TUTORIAL.glob("*.py"))}
    assert said.pop("08_undo.py").splitlines()[0] == "Back in Production: version 1"
    assert said == {
        "01_train_and_log.py": "Model logged. Accuracy: 1.000\n",
        "02_register.py": "Registered iris_classifier version 1\n",
        "03_stages.py": "Version 1 is in Production\n",
        "04_query.py": "Version 1: Production\nProduction version: 1\n",
        "05_load.py": "Predictions: [0, 0, 0]\n",
        "06_metadata.py": (
            "Description: A forest of 100 trees, trained on four fifths of iris.\n"
            "Tags: {'approved_by': 'ada@example.org', 'team': 'data_science'}\n"
        ),
        "07_promote.py": (
            "Trained model. Test accuracy: 1.000\n"
            "Registered iris_classifier version 2\n"
            "Transitioned to Staging\n"
            "Staging model accuracy (validation): 1.000\n"
            "Promoted version 2 to Production!\n"
        ),
    }
    assert stages(home) == {1: "Production", 2: "Archived"}


def test_a_second_promotion_adds_a_version_and_leaves_one_in_production(home: LocalHome) -> None:
    home.run(PROMOTE)
    assert stages(home) == {1: "Production"}
    home.run(PROMOTE)
    assert stages(home) == {1: "Archived", 2: "Production"}


def test_a_promotion_killed_anywhere_can_be_run_again(home: LocalHome, tmp_path: Path) -> None:
    text = PROMOTE.read_text(encoding="utf-8")
    assert FOREST in text
    lines = text.replace(FOREST, SMALL_FOREST).splitlines(keepends=True)
    calls = [
        number for number, line in enumerate(lines) if any(f"{call}(" in line for call in WRITES)
    ]
    killed = [tmp_path / f"killed_at_{number}.py" for number in calls]
    for script, number in zip(killed, calls, strict=True):
        indent = " " * (len(lines[number]) - len(lines[number].lstrip()))
        script.write_text("".join([*lines[:number], f"{indent}{KILL}\n", *lines[number:]]))
    out, err = ended(home.start("-c", RUN_EACH, *killed))
    ends = [int(code) for code in out.split()]
    assert set(ends) == {-signal.SIGKILL}, err
    known = stages(home)
    assert list(known.values()).count("Production") <= 1
    home.run(PROMOTE)
    after = stages(home)
    assert sorted(after) == list(range(1, len(known) + 2))
    assert [number for number, stage in after.items() if stage == "Production"] == [len(after)]


def test_two_started_at_the_same_instant_on_an_empty_home_both_succeed(home: LocalHome) -> None:
    script = TUTORIAL / "01_train_and_log.py"
    both = [home.start(script) for _ in range(2)]
    ends = [ended(process) for process in both]
    assert [out for out, _ in ends] == ["Model logged. Accuracy: 1.000\n"] * 2
    assert sum("started a local instance" in err for _, err in ends) == 1
