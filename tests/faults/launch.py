"""Run a service's command, with one thing broken in it if a mutant is named.

    python launch.py ROLE MUTANT

MUTANT is empty for the product as it is.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> int:
    role, mutant = sys.argv[1:]
    if mutant:
        from tests.faults.mutants import MUTANTS

        MUTANTS[mutant].apply()
    code: int = import_module(f"modelyard_server.processes.{role}").run([])
    return code


if __name__ == "__main__":
    sys.exit(main())
