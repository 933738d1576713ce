"""`modelyard run`: run a script that imports MLflow with Modelyard's SDK in its place.

Exit codes: those of the script; 2 usage.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from modelyard._drop_in import install_as_mlflow
from modelyard.redaction import redacted, redacted_text

_SCRIPT = "_MODELYARD_SCRIPT"
"""Variable that names the script to the processes it spawns."""


def run(arguments: list[str]) -> int:
    """Run a script or module with its arguments, as Python does; return the exit code.

    Args:
        arguments: `script.py [args…]` or `-m module [args…]`.

    Raises:
        SystemExit: The script raised it, or the usage is wrong.
    """
    options = _parser().parse_args(arguments)
    words: list[str] = options.words
    if not words:
        _parser().error("a script is missing")
    try:
        if options.module:
            _run_module(words)
        else:
            _run_script(words)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - reported as Python reports it
        return _report(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard run",
        usage="modelyard run [-h] (script.py | -m module) [argument ...]",
        description="Run an unchanged script that imports mlflow; it imports Modelyard's SDK.",
    )
    parser.add_argument("-m", dest="module", action="store_true", help="run a module by its name")
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _run_module(words: list[str]) -> None:
    if not all(part.isidentifier() for part in words[0].split(".")):
        _parser().error(f"'{redacted(words[0])}' is not the name of a module")
    install_as_mlflow()
    sys.argv = words
    if not sys.flags.safe_path:
        sys.path[0] = str(Path.cwd())
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _run_script(words: list[str]) -> None:
    path = Path(words[0])
    code = _compiled(words[0])
    install_as_mlflow()
    sys.argv = words
    if not sys.flags.safe_path:
        sys.path[0] = str(path.resolve().parent)
    main = ModuleType("__main__")
    main.__file__ = words[0]
    # Processes that the script spawns import the module of this name as their main module.
    main.__spec__ = find_spec(__name__)
    os.environ[_SCRIPT] = str(path.resolve())
    sys.modules["__main__"] = main
    exec(code, main.__dict__)  # noqa: S102 - runs the user's script


def _compiled(given: str) -> CodeType:
    try:
        source = Path(given).read_bytes()
    except OSError as error:
        shown = redacted_text(given)
        _parser().error(f"can't open file '{shown}': {error.strerror}")
    return compile(source, given, "exec")


def _report(error: BaseException) -> int:
    """Report an exception that ended a script, without the frames of this module."""
    trace = _below_this_module(error.__traceback__)
    # As Python sets them before its own report: handlers at exit look for a crash there.
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _below_this_module(trace: TracebackType | None) -> TracebackType | None:
    ours = {__file__, runpy.__file__, "<frozen runpy>"}
    while trace and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return trace


if __name__ == "__mp_main__":  # in a process that a script has spawned
    install_as_mlflow()
    exec(_compiled(os.environ[_SCRIPT]), globals())  # noqa: S102 - runs the user's script
