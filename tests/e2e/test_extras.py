"""What each extra of the wheel brings: its packages import, and its commands answer `--help`.

Each extra is installed alone into an empty environment, in the versions of `requirements.lock`. A
command that the image of a role starts is tried with the extra of that role, the others with
`server`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.processes.installed import ROOT, installed_in, succeed

IMPORTED = {
    "sklearn": ["modelyard.sklearn", "modelyard.pyfunc", "sklearn", "skops.io", "yaml", "rich"],
    "kit": [
        "modelyard_kit.rpc.server",
        "modelyard_kit.db.migrations",
        "modelyard_kit.http.monitoring",
        "modelyard_kit.filters.parser",
    ],
    "tracking": ["modelyard_tracking.app"],
    "registry": ["modelyard_registry.app"],
    "serving": ["modelyard_serving.app", "modelyard_serving.runtime.worker", "sklearn"],
    "gateway": ["modelyard_gateway.app"],
    "postgres": ["psycopg.pq", "psycopg_binary"],
    "s3": ["modelyard_kit.artifacts.s3"],
    "otel": [
        "opentelemetry.sdk.trace",
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    ],
    "server": ["modelyard_kit.db.postgres", "modelyard_kit.artifacts.s3"],
}
COMMANDS = {
    "tracking": ["tracking"],
    "registry": ["registry"],
    "serving": ["serving", "models serve"],
    "gateway": ["gateway"],
    "server": [
        *("up", "demo", "migrate", "tokens", "doctor", "backup", "restore", "gc", "erase"),
        *("models rollback", "models protect", "models delete", "import mlflow", "export mlflow"),
    ],
}
IMPORT_AND_ASK = """
import importlib, sys
from modelyard.__main__ import main

modules, commands = (text.split(",") if text else [] for text in sys.argv[1:])
for module in modules:
    importlib.import_module(module)
for words in commands:
    try:
        sys.exit(f"modelyard {words} --help returned {main([*words.split(), '--help'])}")
    except SystemExit as ended:
        if ended.code:
            raise
"""

Install = Callable[[str], Path]


@pytest.fixture(scope="module")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Install an extra into an empty environment, always at one path, and return its `bin`."""
    folder = tmp_path_factory.mktemp("extras") / "venv"

    def of_extra(extra: str) -> Path:
        requirement = f"modelyard[{extra}] @ {wheel.as_uri()}"
        return installed_in(folder, "--constraint", "requirements.lock", requirement).parent

    return of_extra


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variable that lets one environment take what an earlier one compiled."""
    return {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled"))}


@pytest.mark.parametrize("extra", IMPORTED)
def test_an_extra_brings_what_it_is_for(
    extra: str, install: Install, compiled: dict[str, str]
) -> None:
    installed = install(extra)
    commands = COMMANDS.get(extra, [])
    tried = (",".join(IMPORTED[extra]), ",".join(commands))
    shown = succeed(installed / "python", "-W", "error", "-c", IMPORT_AND_ASK, *tried, **compiled)
    assert re.findall(r"^usage: modelyard ([a-z ]+) ", shown, re.MULTILINE) == commands
    assert succeed(installed / "modelyard", "--version", **compiled).startswith("modelyard ")


def test_each_extra_for_users_and_each_command_is_tried() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert {"dev", *IMPORTED} == project["optional-dependencies"].keys()
    tried = {words.replace(" ", "-") for commands in COMMANDS.values() for words in commands}
    assert tried == project["entry-points"]["modelyard.commands"].keys()
