"""`modelyard up` as its users run it: a process, a home, signals."""

import http.client
import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.processes.up_process import STOP_TIMEOUT_S, Up, command, environment, up

from modelyard_kit.artifacts import Digest, UrlSigner

DATA = b"weights" * 100_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that leave it running."""
    with up(tmp_path_factory.mktemp("shared") / "home") as running:
        yield running


def refused(*arguments: str | Path, **variables: str) -> str:
    """Run a command that must be refused; return the one line it says."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        env=environment(**variables),
        timeout=STOP_TIMEOUT_S,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def is_healthy(target: str, service: str = "") -> bool:
    with grpc.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=30)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def upload_path(home: Path) -> str:
    signer = UrlSigner((home / "url-secret").read_bytes(), lambda: "")
    return signer.put_url(Digest.of(DATA), len(DATA), int(time.time()) + 60)


def start_upload(running: Up) -> http.client.HTTPConnection:
    """Send half of an upload, and return when the server has begun to read it."""
    connection = http.client.HTTPConnection(*running.address, timeout=30)
    connection.putrequest("PUT", upload_path(running.home))
    connection.putheader("Content-Length", str(len(DATA)))
    connection.endheaders(DATA[:1000])
    incoming = running.home / "objects" / "incoming"
    until(lambda: any(incoming.iterdir()))
    return connection


def until(condition: object) -> None:
    assert callable(condition)
    while not condition():
        time.sleep(0.01)  # another process offers no event; the test's time limit ends it


def test_it_says_where_it_is_and_answers_there(shared: Up) -> None:
    instance = shared.instance

    assert re.fullmatch(
        rf"modelyard: ready in \d+\.\d s - {instance['http']} "
        rf"\(gRPC {instance['grpc']}, home {shared.home}\)\n",
        shared.ready_line,
    )
    assert instance["pid"] == shared.process.pid
    assert shared.get("/health") == (200, b"OK")
    assert is_healthy(instance["grpc"])
    assert is_healthy(instance["socket"], "modelyard.api.registry.v1.RegistryService")


def test_only_its_owner_can_read_the_home(shared: Up) -> None:
    home = shared.home
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.iterdir()]}

    assert modes["home"] == 0o700
    for name in ("instance.json", "instance.lock", "grpc.sock", "url-secret"):
        assert modes[name] == 0o600, name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(home: Path, number: signal.Signals) -> None:
    with up(home) as running:
        running.process.send_signal(number)

        assert running.process.wait(STOP_TIMEOUT_S) == 0
    assert not (home / "instance.json").exists()
    assert not (home / "grpc.sock").exists()


def test_a_request_in_flight_is_answered_before_it_stops(home: Path) -> None:
    with up(home) as running:
        upload = start_upload(running)
        running.process.terminate()
        until(lambda: not (home / "instance.json").exists())
        upload.send(DATA[1000:])

        assert upload.getresponse().status == 200
        upload.close()
        assert running.process.wait(STOP_TIMEOUT_S) == 0


def test_a_second_interrupt_ends_it_at_once(home: Path) -> None:
    with up(home) as running:
        upload = start_upload(running)
        running.process.send_signal(signal.SIGINT)
        until(lambda: not (home / "instance.json").exists())
        running.process.send_signal(signal.SIGINT)

        assert running.process.wait(STOP_TIMEOUT_S) == -signal.SIGINT
        upload.close()


def test_a_second_process_on_a_home_is_refused_and_told_who_has_it(shared: Up) -> None:
    said = refused("up", "--home", shared.home, "--port", "0", "--grpc-port", "0")

    assert said == (
        f"modelyard up: {shared.home} is in use by process {shared.process.pid} "
        f"({shared.instance['http']}); use that instance, or stop it with: modelyard down"
    )
    assert shared.get("/health") == (200, b"OK")


def test_of_two_started_at_the_same_instant_one_runs(home: Path) -> None:
    words = command("up", "--home", home, "--port", "0", "--grpc-port", "0")
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(2)
    ]
    lines = []
    for process in both:
        assert process.stdout is not None
        lines.append(process.stdout.readline())
    for process in both:
        process.terminate()
        process.communicate()

    assert sorted(bool(line) for line in lines) == [False, True]
    assert sorted(process.returncode for process in both) == [0, 1]


def test_it_starts_again_after_it_was_killed(home: Path) -> None:
    with up(home) as running:
        running.process.kill()
        running.process.wait()
        assert (home / "instance.json").exists()

    with up(home) as running:
        assert running.get("/health") == (200, b"OK")
        assert running.instance["pid"] == running.process.pid
        assert running.stop() == 0


def test_a_signed_url_outlives_a_restart(home: Path) -> None:
    with up(home) as running:
        path = upload_path(home)
        assert running.stop() == 0

    with up(home) as running:
        connection = http.client.HTTPConnection(*running.address, timeout=30)
        connection.request("PUT", path, DATA)
        assert connection.getresponse().status == 200
        connection.close()


def test_a_home_may_have_any_name_and_has_its_socket_elsewhere_if_need_be(tmp_path: Path) -> None:
    home = tmp_path / ("a ?b#%20 é" * 12)
    with up(home) as running:
        path = Path(running.instance["socket"].removeprefix("unix:"))

        assert not path.is_relative_to(home)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert is_healthy(f"unix:{path}")
        assert running.get("/health") == (200, b"OK")
        assert (home / "registry.db").exists()
        assert running.stop() == 0
    assert not path.parent.exists()


def test_it_ends_when_it_was_idle(home: Path) -> None:
    with up(home, "--idle-timeout-s", "0.2") as running:
        assert running.process.wait(STOP_TIMEOUT_S) == 0


def test_it_is_not_idle_while_a_transfer_runs(home: Path) -> None:
    with up(home, "--idle-timeout-s", "2") as running:
        upload = start_upload(running)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(4)
        upload.send(DATA[1000:])

        assert upload.getresponse().status == 200
        upload.close()
        assert running.process.wait(STOP_TIMEOUT_S) == 0


def test_its_starter_reads_one_line_when_it_is_ready(home: Path) -> None:
    readable, writable = os.pipe()
    words = ("up", "--home", home, "--port", "0", "--grpc-port", "0", "--ready-fd", str(writable))
    process = subprocess.Popen(
        command(*words), pass_fds=[writable], env=environment(), stdout=subprocess.DEVNULL
    )
    os.close(writable)
    with os.fdopen(readable) as ready:
        said = ready.read()
    process.terminate()

    assert said.startswith("modelyard: ready in ")
    assert said.count("\n") == 1
    assert process.wait(STOP_TIMEOUT_S) == 0


def test_in_the_background_it_returns_when_it_is_ready(home: Path) -> None:
    words = ("up", "--home", home, "--port", "0", "--grpc-port", "0", "--background")
    done = subprocess.run(
        command(*words), capture_output=True, text=True, check=True, env=environment()
    )
    running = Up(process=None, ready_line=done.stdout, home=home)  # type: ignore[arg-type]  # not ours
    pid = running.instance["pid"]
    try:
        assert done.stdout.startswith("modelyard: ready in ")
        assert running.get("/health") == (200, b"OK")
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGTERM)
        until(lambda: not (home / "instance.json").exists())


def test_in_the_background_too_a_refusal_is_told(shared: Up) -> None:
    home = shared.home
    said = refused("up", "--home", home, "--port", "0", "--grpc-port", "0", "--background")

    assert said == f"modelyard up: it did not start; see {home}/instance.log"
    assert "is in use by process" in (home / "instance.log").read_text()


def test_an_upload_to_a_full_disk_is_refused_and_later_ones_go_on(shared: Up) -> None:
    path = upload_path(shared.home)
    limits = resource.prlimit(shared.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(shared.process.pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
    status, body = shared.put(path, DATA)
    assert (status, json.loads(body)["error_code"]) == (507, "RESOURCE_EXHAUSTED")
    assert "The disk of the artifact store is full" in json.loads(body)["message"]
    resource.prlimit(shared.process.pid, resource.RLIMIT_FSIZE, limits)
    assert shared.put(path, DATA)[0] == 200


def test_idle_connections_that_take_every_descriptor_make_room_for_clients(shared: Up) -> None:
    limits = resource.prlimit(shared.process.pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{shared.process.pid}/fd").iterdir()))
    resource.prlimit(shared.process.pid, resource.RLIMIT_NOFILE, (used + 8, limits[1]))
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(socket.create_connection(shared.address, timeout=30))
        assert [shared.get("/health")[0] for _ in range(3)] == [200, 200, 200]
    resource.prlimit(shared.process.pid, resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    "arguments", [["--idle-timeout-s", "0"], ["--ready-fd", "77"], ["--port", "x"], ["--what"]]
)
def test_wrong_usage_ends_with_code_2(home: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        command("up", "--home", home, *arguments), capture_output=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith(b"modelyard up: ")
    assert done.stderr.count(b"\n") == 1
