"""What an embedded instance loads and holds, and what it may be told."""

import re
import subprocess
from pathlib import Path

from tests.support.processes.up_process import command, environment, up

MAX_RESIDENT_BYTES = 150 << 20
NEVER = {"numpy", "pandas", "sklearn", "scipy", "skops", "boto3", "rich", "yaml", "opentelemetry"}


def imported_by_up(home: Path) -> set[str]:
    """Return the top-level modules that a start, a health check and a stop import."""
    words = ("up", "--home", home, "--port", "0", "--grpc-port", "0", "--idle-timeout-s", "0.01")
    done = subprocess.run(
        command(*words, python=["-X", "importtime"]),
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE)}


def test_it_never_loads_what_only_models_or_other_stores_need(tmp_path: Path) -> None:
    first = imported_by_up(tmp_path / "home")
    second = imported_by_up(tmp_path / "home")

    assert {"grpc", "sqlalchemy", "uvicorn"} <= first & second
    assert NEVER.isdisjoint(first | second)
    assert "alembic" in first
    assert "alembic" not in second  # nothing to migrate


def test_it_is_small_when_it_is_ready(tmp_path: Path) -> None:
    with up(tmp_path / "home") as running:
        assert running.get("/health")[0] == 200
        status = Path(f"/proc/{running.process.pid}/status").read_text()

    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    assert int(found[1]) * 1024 <= MAX_RESIDENT_BYTES


def test_migrate_tells_the_revision_of_each_database(tmp_path: Path) -> None:
    for told in ("migrated from revision none to N", "at revision N"):
        done = subprocess.run(
            command("migrate", "--home", tmp_path / "home"),
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        )

        lines = done.stdout.splitlines()
        assert [re.sub(r"\d{4}", "N", line) for line in lines] == [
            f"tracking: {told}",
            f"registry: {told}",
        ]
        assert done.stderr == ""
