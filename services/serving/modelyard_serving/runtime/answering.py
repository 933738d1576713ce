"""Loads one model, then answers requests one by one; runs in a worker process."""

from __future__ import annotations

import gc
import logging
import socket
from pathlib import Path
from typing import Any, BinaryIO

from modelyard.exceptions import InvalidParameter, InvalidState, ModelyardException
from modelyard.pyfunc import load_folder
from modelyard_kit.errors import InvalidArgument
from modelyard_serving import scoring
from modelyard_serving.media import JSON
from modelyard_serving.runtime import framing, limits
from modelyard_serving.runtime.framing import Frame

_EXAMPLE = "serving_input_example.json"
_EXAMPLE_MAX_BYTES = 64 << 20
_THREADS = 1
_NO_MEMORY = "it needs more memory than a worker may have (--memory-bytes)"

# Code of the model that calls `sys.exit` has failed as well.
_RAISED = (Exception, SystemExit, KeyboardInterrupt)

_log = logging.getLogger(__name__)


def serve(endpoint: socket.socket, incoming: BinaryIO) -> None:
    """Answer the frames of an endpoint until it closes the connection; the first loads the model.

    Raises:
        ConnectionError: The endpoint ended.
    """
    first = framing.read(incoming)
    if first is None:
        return
    try:
        model = _load(**first[0])
    except MemoryError:
        endpoint.sendall(framing.pack({"status": "failed", "message": _NO_MEMORY}))
        return
    except ModelyardException as refused:
        endpoint.sendall(framing.pack({"status": "refused", "message": refused.message}))
        return
    except _RAISED as failed:
        _log.exception("the model cannot be loaded")
        endpoint.sendall(framing.pack({"status": "failed", "message": type(failed).__name__}))
        return
    gc.freeze()  # model and libraries stay until the process ends
    endpoint.sendall(framing.pack({"status": "ok"}))
    while (request := framing.read(incoming)) is not None:
        endpoint.sendall(_reply(model, request))


def _load(folder: str, allow_pickle: bool, cpu_s: float) -> scoring.Predicts:  # noqa: FBT001 - from a frame
    limits.allow_cpu(cpu_s)
    model = load_folder(folder, allow_pickle=allow_pickle, threads=_THREADS)
    _warm(model, Path(folder) / _EXAMPLE)
    return model


def _warm(model: scoring.Predicts, example: Path) -> None:
    """Predict the input example of the model: the first prediction imports and allocates."""
    if not example.is_file() or example.stat().st_size > _EXAMPLE_MAX_BYTES:
        return
    try:
        scoring.answer(model, JSON, example.read_bytes())
    except _RAISED as failed:
        _log.exception("the model fails on its own input example")
        raise InvalidState(
            f"The model fails on its own input example ({type(failed).__name__})."
        ) from failed


def _reply(model: scoring.Predicts, request: Frame) -> bytes:
    header, body = request
    limits.allow_cpu(header["cpu_s"])
    try:
        return framing.pack({"status": "ok"}, scoring.answer(model, header["media_type"], body))
    except (InvalidArgument, InvalidParameter) as refused:
        return framing.pack({"status": "refused", "message": refused.message})
    except _RAISED:  # an error of the model ends its request, not the worker
        return _failed(header)


def _failed(header: dict[str, Any]) -> bytes:
    """Log the traceback and leave it out of the reply: it may contain personal data."""
    _log.exception("the model failed", extra={"request": header["request_id"]})
    return framing.pack({"status": "failed"})
