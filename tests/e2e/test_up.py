"""`modelyard up` as its users run it: a process, a home, signals."""

import http.client
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
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


def test_it_says_where_it_is_and_answers_there(home: Path) -> None:
    with up(home) as running:
        instance = running.instance

        assert re.fullmatch(
            rf"modelyard: ready in \d+\.\d s - {instance['http']} "
            rf"\(gRPC {instance['grpc']}, home {home}\)\n",
            running.ready_line,
        )
        assert instance["pid"] == running.process.pid
        assert running.get("/health") == (200, b"OK")
        assert is_healthy(instance["grpc"])
        assert is_healthy(instance["socket"], "modelyard.api.registry.v1.RegistryService")


def test_only_its_owner_can_read_the_home(home: Path) -> None:
    with up(home):
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


def test_a_second_process_on_a_home_is_refused_and_told_who_has_it(home: Path) -> None:
    with up(home) as running:
        said = refused("up", "--home", home, "--port", "0", "--grpc-port", "0")

        assert said == (
            f"modelyard up: {home} is in use by process {running.process.pid} "
            f"({running.instance['http']}); use that one, or stop it with: modelyard down"
        )
        assert running.get("/health") == (200, b"OK")


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


def test_a_home_too_deep_for_a_socket_has_it_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30)
    with up(home) as running:
        path = Path(running.instance["socket"].removeprefix("unix:"))

        assert not path.is_relative_to(home)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert is_healthy(f"unix:{path}")
        assert running.stop() == 0
    assert not path.parent.exists()


def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    home = tmp_path / "a ?b#%20 é"
    with up(home) as running:
        assert running.get("/health") == (200, b"OK")
    assert (home / "registry.db").exists()


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


def test_in_the_background_too_a_refusal_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home):
        said = refused("up", "--home", home, "--port", "0", "--grpc-port", "0", "--background")

    assert said == f"modelyard up: it did not start; {home}/instance.log says why"
    assert "is in use by process" in (home / "instance.log").read_text()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_taken_port_is_refused(home: Path, taken_port: int, option: str) -> None:
    other = {"--port": "--grpc-port", "--grpc-port": "--port"}[option]

    said = refused("up", "--home", home, option, str(taken_port), other, "0")

    assert said.startswith(f"modelyard up: Cannot listen on 127.0.0.1:{taken_port}: it is taken")


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--host", "0.0.0.0"], {}, "Refusing to listen on 0.0.0.0:0 without authentication"),
        (["--host", "::"], {}, "Refusing to listen on [::]:0 without authentication"),
        (["--host", "nowhere.invalid"], {}, "Refusing to listen on nowhere.invalid:0"),
        (["--port", "65536"], {}, "Invalid MODELYARD_PORT 65536: expected 0 to 65535."),
        ([], {"MODELYARD_GRPC_PORT": "-1"}, "Invalid MODELYARD_GRPC_PORT -1: expected 0 to 65535."),
        ([], {"MODELYARD_MAX_UPLOAD_BYTES": "0"}, "Invalid MODELYARD_MAX_UPLOAD_BYTES 0: expected"),
        ([], {"MODELYARD_PORT": "http"}, "MODELYARD_PORT must be of type int, got 'http'."),
        (
            [],
            {"MODELYARD_HOEM": "/x"},
            "Unknown setting MODELYARD_HOEM; nearest are MODELYARD_HOME",
        ),
        ([], {"MODELYARD_LOG_LEVEL": "loud"}, "Invalid MODELYARD_LOG_LEVEL 'loud': expected"),
        ([], {"MODELYARD_TOKEN_FILE": "/nowhere"}, "The token file cannot be read: No such file"),
    ],
)
def test_a_wrong_setting_is_refused(
    home: Path, arguments: list[str], variables: dict[str, str], said: str
) -> None:
    assert refused("up", "--home", home, "--port", "0", *arguments, **variables).startswith(
        f"modelyard up: {said}"
    )


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert refused("up", "--home", file) == (
        f"modelyard up: {file} cannot be used as a home: File exists."
    )


def test_a_home_that_is_a_file_is_refused_in_the_background_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    said = refused("up", "--home", file, "--background")

    assert said == f"modelyard up: {file} cannot be used as a home: {file}: File exists."


def test_a_folder_of_other_things_that_others_may_read_is_refused_as_it_is(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    (home / "thesis.txt").touch()

    assert refused("up", "--home", home).startswith(
        f"modelyard up: {home} cannot be used as a home: it holds other files, and others may "
    )
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("word", ["up", "migrate"])
def test_a_damaged_database_is_refused(home: Path, word: str) -> None:
    home.mkdir(mode=0o700)
    (home / "tracking.db").write_bytes(b"not a database" * 1000)

    assert refused(word, "--home", home).startswith(
        f"modelyard {word}: The database tracking.db cannot be used: file is not a database."
    )


def test_a_database_from_a_newer_version_is_refused(home: Path) -> None:
    subprocess.run(command("migrate", "--home", home), check=True, env=environment())
    with closing(sqlite3.connect(home / "registry.db")) as connection, connection:
        connection.execute("UPDATE registry_version SET version_num = '0999'")

    assert refused("up", "--home", home, "--port", "0", "--grpc-port", "0").startswith(
        "modelyard up: The registry database is at revision 0999, which this version does not know"
    )


@pytest.mark.parametrize("name", ["objects", "instance.lock", "url-secret"])
def test_something_else_in_the_place_of_its_files_is_refused_by_name(home: Path, name: str) -> None:
    home.mkdir(mode=0o700)
    if name == "objects":
        (home / name).touch()
    else:
        (home / name).mkdir()

    said = refused("up", "--home", home, "--port", "0", "--grpc-port", "0")

    what = f"The folder of artifacts '{home}/objects' cannot be used: "
    asked = what if name == "objects" else f"{home} cannot be used as a home: "
    assert said.startswith(f"modelyard up: {asked}")


def test_an_upload_to_a_full_disk_is_refused_and_later_ones_go_on(home: Path) -> None:
    with up(home) as running:
        path = upload_path(home)
        limits = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
        status, body = running.put(path, DATA)
        assert (status, json.loads(body)["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        assert "The disk of the artifact store is full" in json.loads(body)["message"]
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limits)
        assert running.put(path, DATA)[0] == 200


@pytest.mark.parametrize(
    "arguments", [["--idle-timeout-s", "0"], ["--ready-fd", "77"], ["--port", "x"], ["--what"]]
)
def test_wrong_usage_ends_with_code_2(home: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        command("up", "--home", home, *arguments), capture_output=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith(b"usage: modelyard up")
