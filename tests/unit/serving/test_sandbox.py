"""What a worker can open, reach and use."""

import asyncio
import json
import json.scanner
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ram_disk import DISK

import modelyard.pyfunc
from modelyard_serving import scratch
from modelyard_serving.runtime import landlock, limits, sandbox
from modelyard_serving.runtime.process import Confinement, Died, ModelFailed, Process, Request

LOAD_S = 60.0
NEEDS_LANDLOCK = pytest.mark.skipif(not landlock.version(), reason="the kernel has no Landlock")
# Prints the outcome of each attempt in the sandbox of a model that is no pickle.
PROGRAM = """
import json, os, socket, sys, tempfile
from pathlib import Path
from modelyard_serving.runtime import sandbox
folder, home, port = sys.argv[1:4]
sandbox.enter(Path(folder), [Path(home)], has_network=False)
def outcome(attempt):
    try:
        attempt()
    except OSError as refused:
        return type(refused).__name__
    return "done"
parent = os.getppid()
reads = [f"/proc/{parent}/{name}" for name in ("environ", "mem", "maps", "cmdline", "fd/0")]
reads += [home + "/token", home + "/../beside", folder + "/MLmodel", "/etc/shadow"]
reads.append("/proc/self/root" + home + "/token")
tries = {path: outcome(lambda: open(path, "rb").close()) for path in reads}
tries["list home"] = outcome(lambda: os.listdir(home))
tries["write model"] = outcome(lambda: open(folder + "/new", "w"))
tries["remove model"] = outcome(lambda: os.remove(folder + "/MLmodel"))
link = Path(tempfile.gettempdir(), "link")
link.symlink_to(home)
tries["link"] = outcome(lambda: (link / "token").open())
tries["temporary"] = outcome(lambda: tempfile.NamedTemporaryFile().close())
tries["connect"] = outcome(lambda: socket.create_connection(("127.0.0.1", int(port))))
tries["listen"] = outcome(lambda: socket.create_server(("127.0.0.1", 0)))
tries["signal"] = outcome(lambda: os.kill(parent, 0))
import sklearn.linear_model
print(json.dumps(tries))
"""


@pytest.fixture(scope="module")
def on_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened.getsockname()[1]


@NEEDS_LANDLOCK
def test_a_model_that_is_no_pickle_reads_its_own_folder_and_reaches_nothing_else(
    tmp_path: Path, listener: int
) -> None:
    for name in ("home", "model", "temporary"):
        (tmp_path / name).mkdir()
    home, model = tmp_path / "home", tmp_path / "model"
    for file in (home / "token", tmp_path / "beside", model / "MLmodel"):
        file.write_text("secret")
    ran = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(model), str(home), str(listener)],
        stdout=subprocess.PIPE,
        env={"TMPDIR": str(tmp_path / "temporary")},
        check=True,
    )
    tries = json.loads(ran.stdout)
    allowed = {f"{model}/MLmodel", "temporary"}
    assert {name: tries.pop(name) for name in allowed} == dict.fromkeys(allowed, "done")
    assert len(tries) == 16
    assert set(tries.values()) == {"PermissionError"}, tries


def run(words: list[tuple[Any, ...]], folder: Path, confinement: Confinement) -> list[Any]:
    """Return the answer of a pickled model to each row; the type of the error if it fails."""

    async def ask() -> list[Any]:
        process = await Process.start(
            folder, allow_pickle=True, timeout_s=LOAD_S, confinement=confinement
        )
        answers: list[Any] = []
        try:
            for word in words:
                body = json.dumps({"instances": [word]}).encode()
                try:
                    answer = await process.ask(Request("application/json", body, "r"), LOAD_S)
                    answers.append(json.loads(answer)["predictions"][0])
                except (ModelFailed, Died) as failed:
                    answers.append(type(failed))
        finally:
            await process.stop()
        return answers

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def trying(on_disk: Path) -> Path:
    """A pickled model that opens a file, allocates memory, or makes a temporary file."""

    def uses() -> list[int]:
        import multiprocessing
        import pathlib

        for cache in (pathlib.Path("log.txt"), pathlib.Path.home() / ".cache"):
            cache.write_text("held")
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=rest, args=(theirs,))
        process.start()
        ours.recv()
        process.terminate()
        process.join()
        with context.Pool(1) as pool:
            return pool.map(abs, [-1])

    def rest(pipe: Any) -> None:
        import time

        pipe.send("started")
        time.sleep(600)

    def predict(rows: Any) -> Any:
        import tempfile

        word, *arguments = rows[0]
        if word == "open":
            try:
                with open(*arguments):  # noqa: PTH123
                    return ["opened"]
            except OSError as refused:
                return [type(refused).__name__]
        if word == "use":
            return [uses()]
        if word == "allocate":
            return [len(bytearray(*arguments))]
        with tempfile.NamedTemporaryFile() as file:
            return [file.write(b"held")]

    folder = on_disk / "trying"
    modelyard.pyfunc.save_model(folder, python_model=predict)
    return folder


@NEEDS_LANDLOCK
def test_a_pickled_model_opens_neither_home_nor_token_nor_other_models(
    trying: Path, on_disk: Path
) -> None:
    secrets = [on_disk / "home" / "modelyard.db", on_disk / "token", trying.parent / "other"]
    for secret in secrets:
        secret.parent.mkdir(exist_ok=True)
        secret.write_text("secret")
    (on_disk / "scratch").mkdir()
    below_python = Path(json.__file__)
    closed = (on_disk / "home", below_python)
    confinement = Confinement(closed=closed, scratch=on_disk / "scratch")

    words: list[tuple[Any, ...]] = [
        ("open", str(secret), "r") for secret in (*secrets, below_python)
    ]
    parent = f"/proc/{os.getpid()}"
    words += [("open", f"{parent}/{name}", "rb") for name in ("environ", "mem", "cmdline")]
    words.append(("open", str(trying / "MLmodel"), "a"))
    refused = ["PermissionError"] * len(words)
    words += [("open", str(trying / "MLmodel"), "r"), ("open", json.scanner.__file__, "r")]
    allowed = ["opened", "opened", 4]
    assert run([*words, ("temporary",)], trying, confinement) == [*refused, *allowed]
    assert list((on_disk / "scratch").iterdir()) == []


def test_a_pickled_model_writes_to_its_home_and_folder_and_starts_processes(trying: Path) -> None:
    assert run([("use",)], trying, Confinement()) == [[1]]


def test_packages_that_an_installer_linked_from_its_cache_are_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for installed in ("cache/1/lib-1.dist-info", "packages/lib-1.dist-info"):
        (tmp_path / installed).mkdir(parents=True)
    cached = tmp_path / "cache/1/lib-1.dist-info/METADATA"
    cached.touch()
    (tmp_path / "packages/lib-1.dist-info/METADATA").symlink_to(cached)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    roots = list(sandbox.roots())
    assert tmp_path / "cache/1" in roots
    assert tmp_path / "cache" not in roots


def test_a_prediction_that_needs_too_much_memory_fails_and_the_next_is_answered(
    trying: Path,
) -> None:
    words = [("allocate", 2 << 30), ("temporary",)]
    assert run(words, trying, Confinement(memory_bytes=1 << 30)) == [ModelFailed, 4]


def test_a_worker_has_no_descriptors_of_its_parent_and_writes_no_core(
    trying: Path, tmp_path: Path
) -> None:
    async def started() -> tuple[list[str], str]:
        process = await Process.start(trying, allow_pickle=True, timeout_s=LOAD_S)
        folder = Path(f"/proc/{process.pid}")
        opened = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        bounds = (folder / "limits").read_text()
        await process.stop()
        return opened, bounds

    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)  # noqa: FBT003 - takes no keyword
        opened, bounds = asyncio.run(started())
    assert str(tmp_path / "secret") not in opened
    rows = {row[:26].strip(): row[26:].split() for row in bounds.splitlines()}
    assert rows["Max core file size"][:2] == ["0", "0"]
    assert rows["Max data size"][0] == str(limits.default_memory_bytes())
    assert rows["Max address space"][0] == str(4 * limits.default_memory_bytes())
    assert rows["Max cpu time"][0] != "unlimited"


@pytest.mark.parametrize(("written", "limit"), [("1000\n", 750), ("max\n", None)])
def test_a_worker_may_have_three_quarters_of_the_memory_of_its_container(
    written: str, limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(limits, "_CGROUPS", tmp_path)
    (tmp_path / "memory.max").write_text(written)
    assert limits.default_memory_bytes() == (limit or int(machine_bytes * 0.75))


def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "modelyard-served-killed"
    (left / "model-1").mkdir(parents=True)
    (left / "model-1" / "model.skops").write_bytes(b"large")
    with scratch.folder() as first, scratch.folder() as second:
        assert {first, second} == set(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
