"""The `modelyard` command.

`down` and `run` are built in; the other commands come with their extras, as entry points of the
group `modelyard.commands`. Exit codes: 0 done or stopped, 1 refused or failed, 2 usage or a missing
extra, 130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from types import FrameType

from modelyard import _script
from modelyard._transport import instances
from modelyard.command_line import USAGE_ERROR, Parser, importing, similar
from modelyard.exceptions import ModelyardException
from modelyard.redaction import redacted_text

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
        "run": "run an unchanged script that imports mlflow, with this SDK",
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
        "gc": "remove unreferenced objects, and what was deleted long ago",
        "erase": "erase personal data",
    },
    "Migration": {
        "import mlflow": "import from an MLflow server or database",
        "export mlflow": "export to an MLflow server",
    },
}
"""Summary of each command, by group; kept here because the command's extra may be missing."""
_REMOTE = {
    "models-delete",
    "models-protect",
    "models-rollback",
    "tokens",
    "gc",
    "erase",
    "import-mlflow",
    "export-mlflow",
}
"""Entry points of commands that only call a server, and run where no server does."""
_MORE = "Run a command with --help for its options."
_WIDTH = 17
_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.05
_INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code.

    Args:
        argv: The arguments; None for those of this process, whose Ctrl-C is then handled.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        try:
            return _run(arguments)
        finally:
            if sys.stdout is not None:  # None if it was closed before the start
                sys.stdout.flush()
    except BrokenPipeError:
        # As in `modelyard tokens list | head -1`; the buffered rest must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModelyardException as error:
        print(f"modelyard: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        if argv is None and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter would print a traceback


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
    raise KeyboardInterrupt


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if arguments[:1] == ["run"]:
        return _script.run(arguments[1:])
    known = {words: text for group in _COMMANDS.values() for words, text in group.items()}
    for count in (2, 1):
        words = arguments[:count]
        # `modelyard models serve …` is the entry point `models-serve`.
        name = "-".join(words)
        if " ".join(words) in known and name in entry_points(group=_GROUP).names:
            return _run_entry_point(name, words, arguments[count:])
    first = arguments[0] if arguments else ""
    inside = {words: text for words, text in known.items() if words.startswith(f"{first} ")}
    if inside:
        return _run_group(first, inside, arguments[1:])
    if first and first not in {"down", "-h", "--help", "--version"}:
        return _refuse(" ".join(arguments[:2]), first, known)
    if not first:
        _parser().print_help(sys.stderr)
        sys.exit(USAGE_ERROR)
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _run_group(group: str, commands: dict[str, str], arguments: list[str]) -> int:
    """Answer a command line that names no command of a group."""
    if arguments[:1] in ([], ["-h"], ["--help"]):
        lines = [f"usage: modelyard {group} ...", "", *_lines(commands), "", _MORE]
        print("\n".join(lines), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else USAGE_ERROR
    return _refuse(f"{group} {arguments[0]}", f"{group} {arguments[0]}", commands)


def _refuse(typed: str, shown: str, known: Iterable[str]) -> int:
    named = sorted(words for words in known if typed.split(maxsplit=1)[0] in words.split()[1:])
    hint = f"; did you mean '{named[0]}'?" if named else similar(typed, known)
    # A mistyped first word: what follows it may be an argument.
    hint = hint or similar(shown, known) or f"; expected one of {', '.join(sorted(known))}"
    print(redacted_text(f"modelyard: unknown command '{shown}'{hint}"), file=sys.stderr)
    return USAGE_ERROR


def _run_entry_point(name: str, words: list[str], arguments: list[str]) -> int:
    if name not in _REMOTE and not instances.is_possible():
        print(
            f"modelyard {' '.join(words)} does not run on this system ({sys.platform}); run it in "
            "WSL or a container.",
            file=sys.stderr,
        )
        return USAGE_ERROR
    (found,) = entry_points(group=_GROUP, name=name)
    try:
        command = _loaded(found)
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
        return USAGE_ERROR


def _loaded(found: EntryPoint) -> Callable[[list[str]], int]:
    """Import a command, without the tracebacks of modules that Ctrl-C interrupts."""
    is_ours = signal.getsignal(signal.SIGINT) is _interrupt
    if is_ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    try:
        with importing():
            command: Callable[[list[str]], int] = found.load()
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, _interrupt)
    return command


def _lines(commands: dict[str, str]) -> list[str]:
    return [f"  {words:<{_WIDTH}}{summary}" for words, summary in commands.items()]


def _listed() -> str:
    lines = []
    for purpose, commands in _COMMANDS.items():
        lines += ["", f"{purpose}:", *_lines(commands)]
    return "\n".join([*lines, "", _MORE])


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard",
        usage="modelyard [-h] [--version] command ...",
        description="Track runs, register and stage models, and serve them.",
        epilog=_listed().lstrip(),
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"modelyard {version('modelyard')}",
        help="show the version and exit",
    )
    words = parser.add_subparsers(
        prog="modelyard", metavar="command", required=True, help=argparse.SUPPRESS
    )
    down = words.add_parser("down", description="Stop the platform that runs in a home.")
    down.add_argument("--home", type=Path, help="the home (default: ~/.modelyard) [MODELYARD_HOME]")
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
