"""Parts of the tests of serving: constant models, a registry of a few lines, requests."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np
from sklearn.dummy import DummyRegressor
from tests.support.processes.up_process import environment

import modelyard.pyfunc
import modelyard.sklearn
from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2
from modelyard_kit.errors import NotFound, OutOfRange
from modelyard_kit.rpc.server import RpcServer

NAME = "iris_classifier"
CLIENTS = 4
_SERVICE = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]


def constant_model(folder: Path, answer: float, *, input_example: Any = None) -> Path:
    """Write a model of four columns that always answers `answer`."""
    estimator = DummyRegressor(strategy="constant", constant=float(answer))
    estimator.fit(np.zeros((2, 4)), [0.0, 1.0])
    modelyard.sklearn.save_model(estimator, folder, input_example=input_example)
    return folder


def constant_function(folder: Path, answer: float) -> Path:
    """Write a pickled function that always answers `answer`: it is loaded in no time."""
    modelyard.pyfunc.save_model(folder, python_model=lambda rows: [float(answer)] * len(rows))
    return folder


@dataclass
class FewLineRegistry:
    """Resolves `models:/iris_classifier/Production` and notifies its watchers.

    Its versions are folders on this machine, as unverified versions are.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    production: str | None = None
    revision: int = 0
    resolved: int = 0
    watched_from: list[int] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def promote(self, version: str | None) -> None:
        with self._changed:
            self.production = version
            self.revision += 1
            self._changed.notify_all()

    def wait_until_watched(self, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.watched_from) >= times, timeout=30)

    def wait_until_resolved(self, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.resolved >= times, timeout=30)

    def ResolveModel(
        self, request: registry_pb2.ResolveModelRequest, _: grpc.ServicerContext
    ) -> registry_pb2.ResolveModelResponse:
        with self._changed:
            self.resolved += 1
            self._changed.notify_all()
            number = request.uri.rpartition("/")[2]
            version = self.production if number == "Production" else number
            if version is None or version not in self.folders:
                raise NotFound(f"No version of {NAME} is in Production.")
            return registry_pb2.ResolveModelResponse(
                model_version=registry_pb2.ModelVersion(
                    name=NAME, version=version, source=str(self.folders[version])
                ),
                revision=self.revision,
            )

    def WatchModels(
        self, request: registry_pb2.WatchModelsRequest, context: grpc.ServicerContext
    ) -> Iterator[registry_pb2.WatchModelsResponse]:
        with self._changed:
            if request.after_revision > self.revision:
                raise OutOfRange("That revision is not in the history.")
            self.watched_from.append(request.after_revision)
            sent = request.after_revision
            self._changed.notify_all()
            yield registry_pb2.WatchModelsResponse(position=self.revision)
        while context.is_active():
            with self._changed:
                if self.revision == sent:
                    self._changed.wait(timeout=0.2)
                new = range(sent + 1, self.revision + 1)
            for revision in new:
                event = registry_pb2.ModelEvent(name=NAME, revision=revision)
                yield registry_pb2.WatchModelsResponse(event=event, position=revision)
                sent = revision


def start_registry(registry: FewLineRegistry, port: int = 0) -> tuple[RpcServer, int]:
    server = RpcServer()
    server.add(_SERVICE, registry, threads=4, streams=4)
    return server, server.start(f"127.0.0.1:{port}")[0]


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int,
    path: str = "/invocations",
    body: bytes | None = b'{"instances": [[1, 2, 3, 4]]}',
    content_type: str | None = "application/json",
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answered:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = {**({"content-type": content_type} if body and content_type else {})}
        connection.request(
            method or ("POST" if body is not None else "GET"),
            path,
            body,
            {**sent, **(headers or {})},
        )
        reply = connection.getresponse()
        given = {name.lower(): value for name, value in reply.getheaders()}
        return Answered(reply.status, given, reply.read())
    finally:
        connection.close()


def get(port: int, path: str) -> Answered:
    return ask(port, path, None)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition that sets no event; a failed wait ends by the test's own timeout."""
    while not await condition():  # noqa: ASYNC110 - the condition sets no event
        await asyncio.sleep(0.02)


def obedient_model(folder: Path) -> Path:
    """Write a pickled model that runs the command in its first cell, else returns the cell."""

    def predict(rows: Any) -> Any:
        import os as system
        import signal as signals
        import time as clock

        word = rows[0][0]
        if word == "die":
            system.kill(system.getpid(), signals.SIGKILL)
        if word == "hang":
            clock.sleep(600)
        if word == "wait":
            with open(rows[0][1]):  # noqa: PTH123 - two pipes: it has begun, it may go on
                pass
            with open(rows[0][2]) as told:  # noqa: PTH123
                return [told.read()]
        if word == "fail":
            raise ValueError(f"no good: {rows[0][1]}")
        if word == "environment":
            return dict(system.environ)
        if word == "say":
            print("said by the model")  # noqa: T201 - what is tested
        return [word]

    modelyard.pyfunc.save_model(folder, python_model=predict)
    return folder


def loading_model(folder: Path, command: str) -> Path:
    """Write a pickled model that runs a line of Python during its load."""

    class Loading(modelyard.pyfunc.PythonModel):
        def load_context(self, context: modelyard.pyfunc.PythonModelContext) -> None:
            exec(f"import os, signal, sys, time\n{command}", {})  # noqa: S102 - of a test

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input

    modelyard.pyfunc.save_model(folder, python_model=Loading())
    return folder


def slow_model(folder: Path, begun: Path, go_on: Path) -> Path:
    """Write a pickled model that, during its load, opens one pipe and waits for the other.

    It may open both to read only, and in its own folder.
    """

    class Slow(modelyard.pyfunc.PythonModel):
        def __init__(self, pipes: tuple[str, str]) -> None:
            self.pipes = pipes

        def load_context(self, context: modelyard.pyfunc.PythonModelContext) -> None:
            with open(self.pipes[0]):  # noqa: PTH123
                pass
            with open(self.pipes[1]) as told:  # noqa: PTH123
                told.read()

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return ["slow"]

    modelyard.pyfunc.save_model(folder, python_model=Slow((str(begun), str(go_on))))
    os.mkfifo(begun)
    os.mkfifo(go_on)
    return folder


@dataclass
class Serving:
    """`modelyard models serve` as a process of its own."""

    process: subprocess.Popen[str]
    first_line: str

    @property
    def port(self) -> int:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.first_line)
        assert found, self.first_line
        return int(found[1])

    def next_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def serving(uri: str, *arguments: str, **variables: str) -> Iterator[Serving]:
    """Serve on a free port; the process is killed at the end if it still runs."""
    command = [sys.executable, "-m", "modelyard", "models", "serve", "-m", uri, "--port", "0"]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
    assert process.stdout is not None
    try:
        yield Serving(process, process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Load:
    """Clients that repeat a request, each time on a new connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._asked = threading.Semaphore(0)
        self.failed: list[Any] = []
        self.versions: set[str] = set()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        for _ in range(answers):
            assert self._asked.acquire(timeout=60)

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            try:
                answered = ask(self._port)
            except OSError as error:
                self.failed.append(error)
            else:
                version = answered.headers.get("x-model-version", "")
                self.versions.add(version)
                if (answered.status, answered.json.get("predictions")) != (200, [float(version)]):
                    self.failed.append((answered, version))
            self._asked.release()
