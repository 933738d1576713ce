"""A process that purges what is deleted, and kills itself in the middle of a step."""

from __future__ import annotations

import os
import signal
import sys

from modelyard_kit.db.open import open_database
from modelyard_tracking.operations import purging


def main(url: str, until_ms: int, steps: int) -> None:
    """Purge in the database at `url`, with SIGKILL before the last of the steps is committed."""
    database = open_database(url)
    for step in range(1, steps + 1):
        with database.write() as session:
            purging.purge_some(session, until_ms, until_ms)
            if step == steps:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
