"""`python -m modelyard_server up|demo|...`: the server's commands without the SDK's entry."""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import sys
from importlib import import_module

from modelyard.command_line import importing

_ROOMS = {
    "processes": ("up", "tracking", "registry", "serving", "gateway"),
    "admin": ("migrate", "tokens", "gc", "erase", "backup", "restore", "doctor"),
    "demo": ("demo",),
}
_MODULES = {word: f"modelyard_server.{room}.{word}" for room in _ROOMS for word in _ROOMS[room]}


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in _MODULES:
        print(f"usage: python -m modelyard_server {{{','.join(_MODULES)}}} ...", file=sys.stderr)
        return 2
    with importing():
        module = import_module(_MODULES[word])
    code: int = module.run(sys.argv[2:])
    return code


if __name__ == "__main__":
    sys.exit(main())
