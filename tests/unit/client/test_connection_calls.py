"""What a call carries, how often it is sent, and what its failure becomes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.support.platforms.recording_tracking import Recorder, serving

from modelyard import exceptions
from modelyard._transport import connections
from modelyard.api.errors.v1 import errors_pb2
from modelyard.client import MlflowClient
from modelyard.exceptions import ModelyardException
from modelyard_kit import errors
from modelyard_kit.rpc.grpc_errors import CODES


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(recorder: Recorder) -> Iterator[MlflowClient]:
    with serving(recorder) as port:
        yield MlflowClient(f"grpc://127.0.0.1:{port}")


def test_a_call_says_who_and_has_ids_of_its_own(
    client: MlflowClient, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "Zoë")
    client.get_experiment("1")
    client.get_experiment("1")
    first, second = recorder.seen
    assert first["x-modelyard-user"] == "Zo%C3%AB"
    assert "authorization" not in first
    for name in ("idempotency-key", "x-request-id"):
        assert first[name] != second[name]


@pytest.mark.parametrize(
    "variable",
    [
        "MODELYARD_TOKEN",
        "MODELYARD_TOKEN_FILE",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_PASSWORD",
    ],
)
def test_the_token_goes_along(
    client: MlflowClient,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
) -> None:
    if variable == "MODELYARD_TOKEN_FILE":
        (tmp_path / "token").write_text("secret-of-sixteen\r\n", encoding="utf-8-sig")
        monkeypatch.setenv(variable, str(tmp_path / "token"))
    else:
        monkeypatch.setenv(variable, "secret-of-sixteen")
    client.get_experiment("1")
    assert recorder.seen[0]["authorization"] == "Bearer secret-of-sixteen"


def test_a_call_is_sent_again_with_the_same_key(client: MlflowClient, recorder: Recorder) -> None:
    recorder.failures = [grpc.StatusCode.UNAVAILABLE] * 3
    assert client.get_experiment("7").experiment_id == "7"
    assert len(recorder.seen) == 4
    assert len({call["idempotency-key"] for call in recorder.seen}) == 1


def test_a_call_is_given_up_after_four_times(client: MlflowClient, recorder: Recorder) -> None:
    recorder.failures = [grpc.StatusCode.UNAVAILABLE] * 9
    with pytest.raises(exceptions.Unavailable, match="cannot be reached"):
        client.get_experiment("7")
    assert len(recorder.seen) == 4


@pytest.mark.parametrize("error", CODES, ids=[kind.__name__ for kind in CODES])
def test_every_refusal_arrives_as_its_own_kind(
    client: MlflowClient, recorder: Recorder, error: type[errors.Error]
) -> None:
    recorder.error = error("what was wrong")
    with pytest.raises(ModelyardException) as refused:
        client.get_experiment("7")
    assert refused.value.error_code == error.reason
    assert refused.value.message == str(refused.value) == "what was wrong"
    assert type(refused.value) is not ModelyardException


def test_every_reason_of_the_contract_has_an_exception() -> None:
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    codes = {kind.code for kind in kinds if issubclass(kind, ModelyardException)}
    assert codes == set(errors_pb2.Reason.keys()) - {"REASON_UNSPECIFIED"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, exceptions.Unimplemented),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, exceptions.ResourceExhausted),
        (grpc.StatusCode.DEADLINE_EXCEEDED, exceptions.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, exceptions.Cancelled),
        (grpc.StatusCode.UNKNOWN, ModelyardException),
    ],
)
def test_a_failure_without_details_still_has_its_kind(
    client: MlflowClient, recorder: Recorder, code: grpc.StatusCode, kind: type[ModelyardException]
) -> None:
    recorder.failures = [code] * 100  # however often it is asked
    with pytest.raises(kind) as refused:
        client.get_experiment("7")
    assert type(refused.value) is kind


def test_a_server_too_busy_to_greet_at_once_is_waited_for(client: MlflowClient) -> None:
    port = int(str(client.tracking_uri).rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as busy:

        def pass_on_late() -> None:
            caller, _ = busy.accept()
            with caller, socket.create_connection(("127.0.0.1", port)) as server:
                threading.Event().wait(1.5)  # the lateness itself
                back = threading.Thread(target=_pump, args=(server, caller))
                back.start()
                _pump(caller, server)
                back.join()

        passing = threading.Thread(target=pass_on_late)
        passing.start()
        uri = f"grpc://127.0.0.1:{busy.getsockname()[1]}"
        assert MlflowClient(uri).get_experiment("7").experiment_id == "7"
        connections.connect(uri).channel("tracking").close()
        passing.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either end may be gone by then
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
