"""The SDK where there is no POSIX: on Windows."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.client import other_system
from tests.support.processes.up_process import environment

import modelyard
from modelyard._transport import instances
from modelyard.models._folder import local_path_of_artifact
from modelyard_server.processes.embedded import Embedded

SDK = Path(modelyard.__file__).parent
HIDDEN = {
    f"{module.__name__}.{name}"
    for module, names in other_system.ATTRIBUTES.items()
    for name in names
}


def test_all_of_the_sdk_works_with_a_server_where_posix_is_missing(
    platform: Embedded, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.client.other_system", platform.http, tmp_path],
        env=environment(
            MODELYARD_CACHE=str(tmp_path / "cache"), MODELYARD_HOME=str(tmp_path / "home")
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["predicted"] == [4.0]
    does_not_run, not_an_address = found["refused"]
    assert does_not_run == instances.NOT_HERE
    assert not_an_address.endswith(instances.NOT_HERE)
    assert found["exit codes"] == [2, 0, 0]
    assert "modelyard up does not run on this system (linux); run it in WSL" in done.stderr


def posix_names(path: Path) -> Iterator[str]:
    """Yield what a module needs of POSIX when it is imported, unless it looks whether it is there.

    Bodies of functions run later, and an `if` or `try` at the top looks.
    """
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.Try):
            continue
        waiting += ast.iter_child_nodes(node)
        names = [ast.unparse(node)] if isinstance(node, ast.Attribute) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        yield from (name for name in names if name in {*other_system.MODULES, *HIDDEN})


def test_no_module_of_the_sdk_needs_posix_when_it_is_imported(tmp_path: Path) -> None:
    needy = tmp_path / "needy.py"
    needy.write_text("import fcntl\nfrom os import fork\nX = socket.AF_UNIX\n")
    assert sorted(posix_names(needy)) == ["fcntl", "os.fork", "socket.AF_UNIX"]
    assert {str(path): list(posix_names(path)) for path in SDK.rglob("*.py")} == {
        str(path): [] for path in SDK.rglob("*.py")
    }


def test_a_lock_without_a_system_that_has_locks_excludes_no_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from pathlib import Path; from modelyard._transport.locks import is_locked, locked\n"
        "path = Path(sys.argv[1])\n"
        "with locked(path): print(is_locked(path))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "lock"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_uri_of_a_file_names_it(tmp_path: Path) -> None:
    file = tmp_path / "with spaces" / "50%.txt"
    file.parent.mkdir()
    file.touch()
    for uri in (file.as_uri(), str(file), f"file:{file.as_uri().removeprefix('file://')}"):
        assert local_path_of_artifact(uri) == file
