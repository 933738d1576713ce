"""Progress bar on the terminal for large transfers; requires rich.

MODELYARD_PROGRESS=0 hides it, 1 shows it even if stderr is not a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from modelyard.exceptions import InvalidParameter

_FROM_BYTES = 8 << 20

Advance = Callable[[int], None]
"""Takes the number of bytes just transferred; negative when bytes have to be sent again."""


@contextmanager
def shown(what: str, total_bytes: int) -> Iterator[Advance]:
    """Show a bar during a large transfer if stderr is a terminal.

    Args:
        what: Label of the bar, such as "Uploading".
        total_bytes: Bytes that will be transferred in all.

    Raises:
        InvalidParameter: MODELYARD_PROGRESS is neither 0 nor 1.
    """
    if not _is_wanted() or total_bytes < _FROM_BYTES:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(what, total=total_bytes)
        yield lambda moved_bytes: progress.advance(bar, moved_bytes)


def _is_wanted() -> bool:
    chosen = os.environ.get("MODELYARD_PROGRESS") or None
    if chosen not in {None, "0", "1"}:
        raise InvalidParameter(
            f"Invalid MODELYARD_PROGRESS '{chosen}': expected 1 (show) or 0 (hide)."
        )
    wanted = sys.stderr.isatty() if chosen is None else chosen == "1"
    return wanted and find_spec("rich") is not None
