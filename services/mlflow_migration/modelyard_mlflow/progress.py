"""Progress of a migration on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn


class ProgressBar:
    """Shows the progress of a migration; used as a context manager."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, what: str, total: int | None = None) -> None:
        """Begin a phase of `total` items, or of an unknown number of them."""
        if self._console.is_terminal:
            self._bar.reset(self._task, description=what, total=total, visible=True)
        else:
            known = f" ({total:,})" if total is not None else ""
            self._console.print(f"{what}{known} …", markup=False, soft_wrap=True)

    def step(self) -> None:
        """Count one item as done."""
        self._bar.advance(self._task)
