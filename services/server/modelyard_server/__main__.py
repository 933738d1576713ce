"""`python -m modelyard_server up|demo|...`: the server's commands without the SDK's entry."""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import sys
from importlib import import_module

_WORDS = (
    "up",
    "demo",
    "migrate",
    "tokens",
    "gc",
    "backup",
    "restore",
    "doctor",
    "tracking",
    "registry",
    "serving",
    "gateway",
)


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in _WORDS:
        print(f"usage: python -m modelyard_server {{{','.join(_WORDS)}}} ...", file=sys.stderr)
        return 2
    code: int = import_module(f"modelyard_server.{word}").run(sys.argv[2:])
    return code


if __name__ == "__main__":
    sys.exit(main())
