"""Compiles the libraries of models once, where an installer did not.

A worker may not write bytecode: the next worker would run it. Compiling takes it about ten seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from importlib.util import cache_from_source, find_spec
from pathlib import Path

_MODULES = ("modelyard_serving.runtime.answering", "sklearn")
_USUAL = "sklearn.ensemble, sklearn.linear_model, sklearn.pipeline, sklearn.compose, skops.io"
_PROGRAM = f"import modelyard_serving.runtime.answering, {_USUAL}"


async def write(environment: Mapping[str, str]) -> None:
    """Let a process import the libraries, if they have no bytecode and it can be written."""
    if not any(map(_is_missing, _MODULES)):
        return
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _PROGRAM),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        await child.wait()
    except asyncio.CancelledError:
        child.kill()
        raise


def _is_missing(module: str) -> bool:
    found = find_spec(module)
    if found is None or found.origin is None:
        return False
    bytecode = Path(cache_from_source(found.origin))
    folder = bytecode.parent if bytecode.parent.exists() else bytecode.parent.parent
    return not bytecode.exists() and os.access(folder, os.W_OK)
