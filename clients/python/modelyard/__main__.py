"""The `modelyard` command.

`down` is built in; the other commands come with their extras, as entry points of the group
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
    "Local platform": {
        "up": "run the whole platform in one process",
        "down": "stop that process",
        "demo": "walk through the life of a model, in a temporary home",
    },
    "Services, one process each": {
        "tracking": "run the tracking service: runs, metrics, artifacts",
        "registry": "run the registry: models, versions, stages",
        "serving": "run the serving service",
        "gateway": "run the HTTP edge",
        "migrate": "upgrade databases to the schema of this version",
    },
    "Models": {
        "models serve": "serve the version that a model URI resolves to, over HTTP",
        "models rollback": "reinstate an earlier holder of a stage or an alias",
        "models protect": "protect a model from deletion",
        "models delete": "delete a model or a version",
    },
    "Operations": {
        "tokens": "create, list and revoke API tokens",
        "doctor": "diagnose an installation and suggest remedies",
        "backup": "write databases and objects to a folder",
        "restore": "restore a backup",
        "gc": "remove unreferenced objects",
    },
    "Migration": {
        "import mlflow": "import from an MLflow server or database",
        "export mlflow": "export to an MLflow server",
    },
}
"""Summary of each command, by group; kept here because the command's extra may be missing."""
_WIDTH = 15
_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.05
_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
        if sys.stdout is not None:  # None if it was closed before the start
            sys.stdout.flush()
    except BrokenPipeError:
        # As in `modelyard tokens list | head -1`; the buffered rest must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("modelyard: output closed", file=sys.stderr)
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
        message = f"unknown command '{arguments[0]}'; expected one of {', '.join(sorted(known))}"
        print(f"modelyard: {message}", file=sys.stderr)
        return _USAGE_ERROR
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _run_entry_point(name: str, words: list[str], arguments: list[str]) -> int:
    (found,) = entry_points(group=_GROUP, name=name)
    try:
        command: Callable[[list[str]], int] = found.load()
        return command(arguments)  # some commands import the rest after reading their settings
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
        lines += [f"  {words:<{_WIDTH}}{summary}" for words, summary in commands.items()]
    return "\n".join([*lines, "", "Run a command with --help for its options."])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard",
        usage="modelyard [-h] [--version] command ...",
        description="Track runs, register and stage models, and serve them.\n" + _listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"modelyard {version('modelyard')}")
    words = parser.add_subparsers(
        prog="modelyard", metavar="command", required=True, help=argparse.SUPPRESS
    )
    down = words.add_parser("down", description="Stop the platform that runs in a home.")
    down.add_argument("--home", type=Path, help="the home [MODELYARD_HOME, or ~/.modelyard]")
    down.set_defaults(command=_down)
    return parser


def _down(options: argparse.Namespace) -> int:
    folder: Path = instances.home() if options.home is None else options.home.absolute()
    pid = instances.holder_pid(folder)
    if pid is None:
        print(f"modelyard: no instance is running in {folder}")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while instances.is_held(folder):
        if time.monotonic() > deadline:
            print(
                f"modelyard: process {pid} in {folder} is still running after "
                f"{_STOP_TIMEOUT_S:g} s; it may be finishing calls",
                file=sys.stderr,
            )
            return 1
        time.sleep(_POLL_S)  # a lock of another process offers no event to wait for
    print(f"modelyard: stopped the instance in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
