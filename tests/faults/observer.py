"""One process that only looks: the holders of the stages, and the events of five watchers.

    python observer.py DOORS FOLDER SEED

Each line on standard input names a round, as for a client, or is `until CLOCK REVISION`, of all
models and of `moved`: then the watchers end when they have received everything up to it, and
the process with them.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
from tests.faults.client import MOVED, held
from tests.faults.doors import connect, registry_stub

from modelyard.api.registry.v1 import registry_pb2

WATCHERS_OF_ALL = 3
WATCHERS_OF_MOVED = 2
_LONGEST_WATCH = 40


class Watcher:
    """Follows the history, over connections that it drops at random.

    Args:
        stub: Of the registry.
        record: Gets a line for each event.
        name: Of the model to follow; empty for all.
        seed: Of its whims.
        longest: How many events it hears at most over one connection.
    """

    def __init__(
        self, stub: Any, record: Path, name: str, seed: int, longest: int = _LONGEST_WATCH
    ) -> None:
        self._longest = longest
        self._stub = stub
        self._record = record
        self._name = name
        self._random = random.Random(seed)  # noqa: S311 - a workload, not a secret
        self._position = 0
        self._call: Any = None
        self.until = -1
        """The last event it has to receive, by revision or clock; -1 for no end yet."""

    def watch(self) -> None:
        with self._record.open("w", buffering=1) as lines:
            while not self._is_done():
                try:
                    self._watch_once(lines)
                except grpc.RpcError as error:
                    if error.code() in {grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INTERNAL}:
                        lines.write(json.dumps({"refused": str(error.details())}) + "\n")
                        return

    def end_at(self, position: int) -> None:
        self.until = position
        if self._is_done() and self._call is not None:
            self._call.cancel()  # nothing more will come that would end it

    def _is_done(self) -> bool:
        return 0 <= self.until <= self._position

    def _watch_once(self, lines: Any) -> None:
        after = "after_revision" if self._name else "after_clock"
        request = registry_pb2.WatchModelsRequest(name=self._name, **{after: self._position})
        left = self._random.randint(1, self._longest)
        self._call = self._stub.WatchModels(request, wait_for_ready=True, timeout=30)
        for reply in self._call:
            if reply.HasField("event"):
                self._position = reply.position
                event = reply.event
                event_record = {"model": event.name, "revision": event.revision, "hash": event.hash}
                lines.write(json.dumps(event_record | {"position": reply.position}) + "\n")
                left -= 1
            if not left or self._is_done():
                self._call.cancel()
                return


class Observer:
    def __init__(self, doors: dict[str, str], folder: Path, seed: int) -> None:
        stub = registry_stub(connect(doors["registry"]))
        self._stub = stub
        self._seen = (folder / "observer").open("w", buffering=1)
        self._models: tuple[str, ...] = (MOVED,)
        names = [""] * WATCHERS_OF_ALL + [MOVED] * WATCHERS_OF_MOVED
        self._watchers = [
            Watcher(stub, folder / f"watcher-{index}-{name}", name, seed + index)
            for index, name in enumerate(names)
        ]
        self._names = names

    def run(self) -> None:
        threads = [threading.Thread(target=watcher.watch) for watcher in self._watchers]
        self._wait_for_words(forever=True)
        for thread in threads:
            thread.start()
        while self._wait_for_words(forever=False):
            for model in self._models:
                try:
                    stages = self._holders(model)
                except grpc.RpcError:
                    continue  # it is down for now; what counts is each reply it gives
                self._seen.write(json.dumps({"model": model, "stages": stages}) + "\n")
        for thread in threads:
            thread.join()

    def _wait_for_words(self, *, forever: bool) -> bool:
        """Read messages of the parent, if any; return False at the end."""
        if not select.select([0], [], [], None if forever else 0)[0]:
            return True
        message = os.read(0, 4096).decode().splitlines()[-1].split()
        if message[0] != "until":
            self._models = (MOVED, held(message[0]))
            return True
        clock, revision = map(int, message[1:])
        for watcher, name in zip(self._watchers, self._names, strict=True):
            watcher.end_at(revision if name else clock)
        return False

    def _holders(self, model: str) -> dict[str, list[int]]:
        filter_ = f"name='{model}' and current_stage IN ('Staging', 'Production')"
        request = registry_pb2.SearchModelVersionsRequest(filter=filter_, max_results=1000)
        stages: dict[str, list[int]] = {}
        reply = self._stub.SearchModelVersions(request, timeout=5, wait_for_ready=True)
        for version in reply.model_versions:
            stages.setdefault(version.current_stage, []).append(int(version.version))
        return stages


if __name__ == "__main__":
    doors, folder, seed = sys.argv[1:]
    Observer(json.loads(doors), Path(folder), int(seed)).run()
