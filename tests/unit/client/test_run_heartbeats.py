"""The heartbeats that active runs send."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import modelyard
from modelyard._fluent import heartbeats
from modelyard._transport.signs_of_life import last_s
from modelyard.client import MlflowClient

pytestmark = [
    pytest.mark.usefixtures("client"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),  # from 3.12 on
]


@contextmanager
def _runs_of_a_child(count: int) -> Iterator[list[str]]:
    """Yield the ids of runs that are active in a child, whose heartbeats are frequent."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        heartbeats.INTERVAL_S = 0.01
        run_ids = [modelyard.start_run(nested=True).info.run_id for _ in range(count)]
        os.write(write, " ".join(run_ids).encode())
        os.close(write)
        signal.pause()
    os.close(write)
    try:
        with os.fdopen(read) as answer:
            yield answer.read().split()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_active_runs_send_heartbeats_until_their_process_is_gone(client: MlflowClient) -> None:
    with _runs_of_a_child(3) as run_ids:
        first = [client.get_run(run_id) for run_id in run_ids]
        for run in first:
            heard = run.info.last_heartbeat_time
            assert heard is not None
            while client.get_run(run.info.run_id).info.last_heartbeat_time == heard:
                pass
    for run in first:
        now = client.get_run(run.info.run_id)
        assert (now.info.status, now.info.lost_since) == ("RUNNING", None)
        assert now.etag == run.etag


def test_a_run_of_the_sdk_can_be_found_from_its_start(client: MlflowClient) -> None:
    with modelyard.start_run() as run:
        assert run.info.last_heartbeat_time is not None
    with modelyard.start_run(run_id=run.info.run_id) as again:
        assert again.info.last_heartbeat_time is not None
    given = client.create_run("0")
    assert given.info.last_heartbeat_time is None
    client.send_heartbeat(given.info.run_id)
    found = client.search_runs(
        ["0"], f"run_id = '{given.info.run_id}' AND attributes.last_heartbeat_time > 0"
    )
    assert len(found) == 1


def test_a_write_takes_the_place_of_a_heartbeat() -> None:
    with modelyard.start_run() as run, modelyard.start_run(nested=True) as other:
        run_id = run.info.run_id
        before = dict(last_s)
        modelyard.log_metric("m", 1, run_id=run_id)
        modelyard.get_run(other.info.run_id)
        assert last_s[run_id] > before[run_id]
        assert last_s[other.info.run_id] == before[other.info.run_id]
    assert not {run_id, other.info.run_id} & set(last_s)


def test_a_forked_child_sends_no_heartbeats_for_its_parent() -> None:
    with modelyard.start_run():
        child = os.fork()
        if child == 0:
            os._exit(len(last_s))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
