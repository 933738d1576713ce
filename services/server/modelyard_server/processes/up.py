"""`modelyard up`: run the whole platform in one process until it is stopped.

Exit codes: 0 stopped, or idle for longer than the timeout; 1 it could not start; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from modelyard.command_line import Parser, importing
from modelyard_kit.errors import Error, InvalidArgument
from modelyard_kit.observability import logs, tracing
from modelyard_kit.settings.declarations import add_flags, load, refuse_unknown
from modelyard_kit.settings.programs import KNOWN_VARIABLES
from modelyard_kit.settings.table import UpSettings
from modelyard_server import STARTED_S
from modelyard_server.processes.home import resolved
from modelyard_server.processes.instance_log import LOG, keep_small
from modelyard_server.processes.signals import ended_by_stop, hold_stop_signals, wait_for_stop


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    try:
        options = _parser().parse_args(argv)
        refuse_unknown(os.environ, KNOWN_VARIABLES)
        settings = load(UpSettings, os.environ, vars(options))
        if options.background and options.ready_fd is None:
            return _start_in_background(argv, resolved(settings.home))
        return _serve(settings, options)
    except Error as error:
        print(f"modelyard up: {error.message}", file=sys.stderr)
        return 1


def _serve(settings: UpSettings, options: argparse.Namespace) -> int:
    hold_stop_signals()
    logs.configure(settings.log_level, settings.log_format)
    with tracing.exported("modelyard", os.environ):
        _run(settings, options)
    return 0


def _run(settings: UpSettings, options: argparse.Namespace) -> None:
    with importing():
        from modelyard_server.processes.embedded import Embedded

    with _usable(settings.home), ended_by_stop():
        instance = Embedded(settings)
    ready = (
        f"modelyard: ready in {time.monotonic() - STARTED_S:.1f} s - {instance.http} "
        f"(gRPC {instance.grpc}, home {instance.home})"
    )
    print(ready, flush=True)
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "w") as pipe:
            pipe.write(f"{ready}\n")
        keep_small(instance.home / LOG)
    if options.idle_timeout_s is not None:
        server = instance.server
        wait = partial(server.active.wait_until_idle_for, options.idle_timeout_s, server.stopping)
        threading.Thread(target=_end_when_idle, args=(wait,), name="idle", daemon=True).start()
    wait_for_stop()
    instance.stop()


@contextmanager
def _usable(home: Path) -> Iterator[None]:
    """Report a file that prevents the start in one line."""
    try:
        yield
    except OSError as error:
        raise InvalidArgument(
            f"{home} cannot be used as a home: {error.filename or home}: {error.strerror}."
        ) from error


def _end_when_idle(wait_until_idle: Callable[[], bool]) -> None:
    if wait_until_idle():
        os.kill(os.getpid(), signal.SIGTERM)


def _start_in_background(argv: list[str], home: Path) -> int:
    """Start the same command detached from this terminal; return when it is ready."""
    with _usable(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = (home / LOG).open("ab")
    readable, writable = os.pipe()
    with log, os.fdopen(readable) as ready:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelyard_server", "up", *argv, "--ready-fd", str(writable)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writable],
            start_new_session=True,
        )
        os.close(writable)
        try:
            line = ready.readline()
        except KeyboardInterrupt:
            process.terminate()
            raise
    if not line:
        print(f"modelyard up: it did not start; see {home / LOG}", file=sys.stderr)
        return 1
    print(line, end="")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard up",
        allow_abbrev=False,  # a token given by --token would be shown as the name of a file
        description="Run the whole platform in one process, until Ctrl-C.",
        examples=("", "--home ./data --port 8080", "--background"),
    )
    add_flags(parser, UpSettings)
    parser.add_argument(
        "--background", action="store_true", help="detach, and return when it is ready"
    )
    parser.add_argument(
        "--idle-timeout-s", type=_positive, help="stop after this many seconds without a call"
    )
    parser.add_argument(
        "--ready-fd",
        type=_file_descriptor,
        help="file descriptor of an inherited pipe that gets one line when the platform is ready; "
        "the caller must have detached the process",
    )
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return number


def _file_descriptor(text: str) -> int:
    try:
        descriptor = int(text)
        os.fstat(descriptor)
    except (ValueError, OSError):
        raise argparse.ArgumentTypeError(f"expected an open file descriptor, got {text}") from None
    return descriptor
