"""The `modelyard` command.

Words of the base are here; those of servers come with their extras, as entry points of the group
`modelyard.commands`. Exit codes: 0 done, 1 refused or failed, 2 usage or a missing extra,
130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path

from modelyard._transport import instances
from modelyard.exceptions import ModelyardException

_GROUP = "modelyard.commands"
_COMMANDS = {
    "on one machine": {
        "up": "run the whole platform in one process",
        "down": "stop it",
        "demo": "the whole life of a model, in a throw-away home",
    },
    "in production, a process each": {
        "tracking": "run the service of runs, metrics and artifacts",
        "registry": "run the service of models, versions and stages",
        "serving": "run the service of the serving API",
        "gateway": "run the HTTP edge",
        "migrate": "bring databases to the schema of this version",
    },
    "for models": {
        "models serve": "answer predictions from whichever version a reference means",
    },
    "for those who run it": {
        "tokens": "make, list and revoke API tokens",
        "doctor": "say what is wrong with an installation, and what to do about it",
        "backup": "write databases and objects into a folder",
        "restore": "bring a backup back",
        "gc": "remove objects that nothing refers to",
    },
    "from and to MLflow": {
        "import mlflow": "bring in what an MLflow installation has",
        "export mlflow": "bring what is here to an MLflow server",
    },
}
"""What there is, by what it is for. Told without importing it: its extra may be missing."""
_WIDTH = 15
_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.05
_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
        if sys.stdout is not None:  # it is None where it was closed before the start
            sys.stdout.flush()
    except BrokenPipeError:
        # As of `modelyard tokens list | head -1`; what is still buffered must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("modelyard: nobody reads what it prints; it has ended", file=sys.stderr)
        return 1
    except ModelyardException as error:
        print(f"modelyard: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return code


def _run(arguments: list[str]) -> int:
    known = {words for group in _COMMANDS.values() for words in group}
    for count in (2, 1):
        words = arguments[:count]
        # `modelyard models serve …` is the entry point `models-serve`.
        name = "-".join(words)
        if " ".join(words) in known and name in entry_points(group=_GROUP).names:
            return _run_entry_point(name, words, arguments[count:])
    if arguments and arguments[0] not in {"down", "-h", "--help", "--version"}:
        said = f"unknown command '{arguments[0]}'; known are {', '.join(sorted(known))}"
        print(f"modelyard: {said}", file=sys.stderr)
        return _USAGE_ERROR
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _run_entry_point(name: str, words: list[str], arguments: list[str]) -> int:
    (found,) = entry_points(group=_GROUP, name=name)
    try:
        command: Callable[[list[str]], int] = found.load()
        return command(arguments)  # some import the rest when their settings are read
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("modelyard"):
            raise
        extra = "serving" if name.startswith("models-") else "server"
        print(
            f"modelyard {' '.join(words)} needs the '{extra}' extra: "
            f"pip install 'modelyard[{extra}]'",
            file=sys.stderr,
        )
        return _USAGE_ERROR


def _listed() -> str:
    lines = []
    for purpose, commands in _COMMANDS.items():
        lines += ["", f"{purpose}:"]
        lines += [f"  {words:<{_WIDTH}}{what}" for words, what in commands.items()]
    return "\n".join([*lines, "", "Each has its own --help."])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard",
        usage="modelyard [-h] [--version] command ...",
        description="Track runs, register and stage models, serve what is in a stage.\n"
        + _listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"modelyard {version('modelyard')}")
    words = parser.add_subparsers(
        prog="modelyard", metavar="command", required=True, help=argparse.SUPPRESS
    )
    down = words.add_parser("down", description="Stop the instance of a home.")
    down.add_argument("--home", type=Path, help="its folder (MODELYARD_HOME, or ~/.modelyard)")
    down.set_defaults(command=_down)
    return parser


def _down(options: argparse.Namespace) -> int:
    folder: Path = instances.home() if options.home is None else options.home.absolute()
    pid = instances.holder_pid(folder)
    if pid is None:
        print(f"modelyard: nothing runs in {folder}")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while instances.is_held(folder):
        if time.monotonic() > deadline:
            print(
                f"modelyard: process {pid} in {folder} has not ended after "
                f"{_STOP_TIMEOUT_S:g} s; it may be finishing calls",
                file=sys.stderr,
            )
            return 1
        time.sleep(_POLL_S)  # a lock of another process offers no event to wait for
    print(f"modelyard: stopped the instance in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
