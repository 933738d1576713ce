"""Parses the arguments of Modelyard's commands: help with examples, and errors in one line.

For the commands of all packages, not for users. It imports nothing large.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from modelyard.redaction import redacted, redacted_text

USAGE_ERROR = 2
_EXIT_CODES = "Exit codes: 0 done or stopped, 1 refused or failed, 2 usage, 130 Ctrl-C."
_WIDTH = 80


@contextmanager
def importing() -> Iterator[None]:
    """Import the modules of a command inside the block, without looking for garbage meanwhile.

    Modules stay until the process ends; looking for garbage among them takes a quarter of the time
    that a server needs to start, and more at its end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def similar(word: str, known: Iterable[str]) -> str:
    """Return a question after a known word that a mistyped one resembles; empty if none does."""
    near = difflib.get_close_matches(word, sorted(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


class Parser(argparse.ArgumentParser):
    """Parser of a command or one of its parts.

    Args:
        description: What the command does; wrapped for the terminal.
        examples: Arguments that follow the name of the command, each a line of its help.
        options: Further arguments of `argparse.ArgumentParser`.
    """

    def __init__(
        self, *, description: str = "", examples: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__(
            description=textwrap.fill(description, _WIDTH),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )
        lines = [f"  {self.prog} {example}".rstrip() for example in examples]
        shown = ["Examples:", *lines, ""] if lines else []
        self.epilog = self.epilog or "\n".join([*shown, _EXIT_CODES])

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._refuse_unknown_options(args or ())
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, left = self.parse_known_args(args, namespace)
        if left:
            self.error(f"unexpected argument '{redacted(left[0])}'")
        return options

    def error(self, message: str) -> NoReturn:
        """Exit with one line: the error, and how to get help."""
        line = " ".join(redacted_text(message).split())
        line += "" if line.endswith((".", "?")) else "."
        self.exit(USAGE_ERROR, f"{self.prog}: {line} See: {self.prog} --help\n")

    def _refuse_unknown_options(self, arguments: Sequence[str]) -> None:
        known = self._option_string_actions
        for argument in arguments:
            is_option = argument.startswith("-")
            if argument == "--" or (self._subparsers is not None and not is_option):
                return  # what follows is for the command that it names
            name = argument.partition("=")[0]  # the value may be a secret
            starts = [option for option in known if option.startswith(name)]
            is_known = bool(starts) if self.allow_abbrev else name in known
            if argument.startswith("--") and not is_known:
                self.error(f"unknown option {name}{similar(name, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is None or value in choices:
            return
        listed = [str(choice) for choice in choices]
        raise argparse.ArgumentError(
            action,
            f"'{value}' is none of {', '.join(listed)}{similar(str(value), listed)}",
        )
