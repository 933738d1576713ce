"""Heartbeats of the active runs, by which the server finds runs whose process is gone.

They are sent from a thread of its own, only for runs that nothing was logged to for a while, and
neither fail nor delay the script.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from modelyard._processes import in_forked_child
from modelyard._transport import connections
from modelyard._transport.signs_of_life import last_s
from modelyard.exceptions import ModelyardException

INTERVAL_S = 30.0
_TIMEOUT_S = 5.0


class _Heart:
    """The thread, started with the first run, and the server of each active run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._servers: dict[str, str | None] = {}

    def begin(self, run_id: str) -> None:
        """Send heartbeats for a run; the call that started it was the first."""
        self._servers[run_id] = connections.tracking_uri()
        last_s[run_id] = time.monotonic()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._beat, name="modelyard-heartbeats", daemon=True
                )
                self._thread.start()

    def end(self, run_id: str) -> None:
        last_s.pop(run_id, None)
        self._servers.pop(run_id, None)

    def _beat(self) -> None:
        while True:
            # A run that starts meanwhile is due later than those that are waited for.
            first_s = min(list(last_s.values()), default=time.monotonic())
            time.sleep(max(first_s + INTERVAL_S - time.monotonic(), 0.0))
            due_s = time.monotonic() - INTERVAL_S
            away: set[str | None] = set()
            for run_id, uri in list(self._servers.items()):
                if last_s.get(run_id, due_s + 1) <= due_s:
                    # One that is away is asked once, not for each run.
                    if uri not in away and not _is_heard(uri, run_id):
                        away.add(uri)
                    if run_id in last_s:
                        last_s[run_id] = time.monotonic()

    def forget_inherited(self) -> None:
        """After a fork: the parent sends the heartbeats of its runs."""
        self._lock = threading.Lock()
        self._thread = None
        self._servers.clear()
        last_s.clear()


def _is_heard(uri: str | None, run_id: str) -> bool:
    from modelyard._transport import rpc
    from modelyard.api.tracking.v1 import tracking_pb2 as pb

    with suppress(ModelyardException):  # such as a token file that cannot be read
        request = pb.SendHeartbeatRequest(run_id=run_id)
        return rpc.call_once(uri, request, pb.SendHeartbeatResponse, timeout_s=_TIMEOUT_S)
    return False


_heart = _Heart()
begin, end = _heart.begin, _heart.end
in_forked_child(_heart.forget_inherited)
