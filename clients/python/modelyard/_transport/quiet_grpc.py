"""Imports grpc with the log of its C core off, unless `GRPC_VERBOSITY` is set.

Our errors state what the core would log about a call, and it also has a line for each fork.
"""

from __future__ import annotations

import os

__all__ = ["grpc"]

_NAME = "GRPC_VERBOSITY"
_is_given = _NAME in os.environ
os.environ.setdefault(_NAME, "NONE")
import grpc  # noqa: E402 - reads the variable

if not _is_given:
    del os.environ[_NAME]  # not for the script's other processes
