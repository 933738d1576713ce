"""Main program of a worker process: loads one model, then answers requests one by one.

Started by `process.start` with one end of a socket pair. It ends when the other end closes, so a
worker does not outlive its parent.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any, BinaryIO

from modelyard.exceptions import InvalidParameter, InvalidState, ModelyardException
from modelyard.pyfunc import load_folder
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.observability import logs
from modelyard_serving import scoring
from modelyard_serving.media import JSON
from modelyard_serving.runtime import framing
from modelyard_serving.runtime.framing import Frame

_EXAMPLE = "serving_input_example.json"
_EXAMPLE_MAX_BYTES = 64 << 20
_THREADS = 1

_log = logging.getLogger(__name__)


def main() -> int:
    # The parent decides when a worker ends; a signal to the whole group must not cut a request.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.configure(log_format=sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as endpoint, endpoint.makefile("rb") as incoming:
        try:
            _serve(endpoint, incoming)
        except ConnectionError:
            return 0  # the endpoint ended, and its callers with it
    return 0


def _serve(endpoint: socket.socket, incoming: BinaryIO) -> None:
    first = framing.read(incoming)
    if first is None:
        return
    try:
        model = _load(**first[0])
    except ModelyardException as refused:
        endpoint.sendall(framing.pack({"status": "refused", "message": refused.message}))
        return
    except Exception as failed:  # noqa: BLE001 - the endpoint decides what to do
        _log.exception("the model cannot be loaded")
        endpoint.sendall(framing.pack({"status": "failed", "message": type(failed).__name__}))
        return
    endpoint.sendall(framing.pack({"status": "ok"}))
    while (request := framing.read(incoming)) is not None:
        endpoint.sendall(_reply(model, request))


def _load(folder: str, allow_pickle: bool) -> scoring.Predicts:  # noqa: FBT001 - from a frame
    model = load_folder(folder, allow_pickle=allow_pickle, threads=_THREADS)
    _warm(model, Path(folder) / _EXAMPLE)
    return model


def _warm(model: scoring.Predicts, example: Path) -> None:
    """Predict the input example of the model: the first prediction imports and allocates."""
    if not example.is_file() or example.stat().st_size > _EXAMPLE_MAX_BYTES:
        return
    try:
        scoring.answer(model, JSON, example.read_bytes())
    except Exception as failed:
        _log.exception("the model fails on its own input example")
        raise InvalidState(
            f"The model fails on its own input example ({type(failed).__name__})."
        ) from failed


def _reply(model: scoring.Predicts, request: Frame) -> bytes:
    header, body = request
    try:
        return framing.pack({"status": "ok"}, scoring.answer(model, header["media_type"], body))
    except (InvalidArgument, InvalidParameter) as refused:
        return framing.pack({"status": "refused", "message": refused.message})
    except Exception:  # noqa: BLE001 - an error of the model ends its request, not the worker
        return _failed(header)


def _failed(header: dict[str, Any]) -> bytes:
    """Log the traceback and leave it out of the reply: it may contain personal data."""
    _log.exception("the model failed", extra={"request": header["request_id"]})
    return framing.pack({"status": "failed"})


if __name__ == "__main__":
    sys.exit(main())
