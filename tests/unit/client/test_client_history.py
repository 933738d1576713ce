from __future__ import annotations

import datetime as dt
import threading
import uuid
from pathlib import Path

import pandas as pd
import pytest
from tests.support.processes.ports import free_port

import modelyard
from modelyard.api.registry.v1 import registry_pb2
from modelyard.client import MlflowClient
from modelyard.entities.model_registry import ModelEvent
from modelyard.entities.sentences import described
from modelyard.exceptions import NotFound, OutOfRange
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded


@pytest.fixture
def name(client: MlflowClient) -> str:
    name = f"iris {uuid.uuid4().hex}"
    client.create_registered_model(name)
    return name


@pytest.fixture(autouse=True)
def actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "rosa")


def said(event: ModelEvent) -> str:
    """Return a sentence without its actor and time."""
    did, _, rest = event.sentence.removeprefix("rosa ").rpartition(", at ")
    return did + rest.partition(" UTC")[2]


def test_each_change_of_a_model_has_a_sentence(client: MlflowClient, name: str) -> None:
    source = "file:///models/iris"
    for _ in range(3):
        client.create_model_version(name, source)
    client.transition_model_version_stage(name, 1, "Production")
    client.transition_model_version_stage(name, 1, "Production")
    client.transition_model_version_stage(name, 2, "Production", comment="better\nrecall")
    client.rollback(name, "Production", comment="worse recall")
    client.set_registered_model_alias(name, "champion", 1)
    client.set_registered_model_alias(name, "champion", 2)
    client.delete_registered_model_alias(name, "champion")
    client.set_registered_model_alias(name, "champion", 1)
    client.set_registered_model_tag(name, "team", "ds")
    client.set_registered_model_tag(name, "team", "ml")
    client.delete_registered_model_tag(name, "team")
    client.set_model_version_tag(name, 1, "checked", "yes")
    client.delete_model_version_tag(name, 1, "checked")
    client.update_registered_model(name, description="flowers", deletion_protection=True)
    client.update_registered_model(name, deletion_protection=False)
    client.update_model_version(name, 1, "x" * 5000)
    client.delete_model_version(name, 1)
    new_name = f"{name}!"
    client.rename_registered_model(name, new_name)
    client.delete_registered_model(new_name, comment="replaced")

    assert [said(event) for event in client.history(name)] == [
        "created the model",
        *(f"registered version {number} from '{source}'" for number in (1, 2, 3)),
        "moved version 1 from None to Production",
        "kept version 1 in Production",
        (
            "moved version 2 from None to Production, version 1 went from Production to None"
            ": better recall"
        ),
        (
            "rolled Production back to version 1, which was in None, version 2 went from "
            "Production to Archived: worse recall"
        ),
        "pointed alias champion at version 1",
        "pointed alias champion at version 2 instead of version 1",
        "deleted alias champion, which pointed at version 2",
        "pointed alias champion at version 1",
        "set tag 'team' to 'ds'",
        "set tag 'team' to 'ml' instead of 'ds'",
        "deleted tag 'team', which was 'ml'",
        "set tag 'checked' of version 1 to 'yes'",
        "deleted tag 'checked' of version 1, which was 'yes'",
        "turned deletion protection on and set the description to 'flowers'",
        "turned deletion protection off",
        f"set the description of version 1 to '{'x' * 80}…'",
        "deleted version 1, which gave up stage Production and alias champion",
        "renamed the model to another name",
    ]
    assert [said(event) for event in client.history(new_name)] == [
        f"renamed the model from {name}",
        "deleted the model with 2 versions: replaced",
    ]


@pytest.mark.parametrize("action", registry_pb2.ModelEvent.Action.keys()[1:])
def test_each_action_has_a_sentence_of_its_own_even_without_details(action: str) -> None:
    assert not described(action, "3", {}, {}).startswith("made the change")


def test_an_action_of_a_newer_server_is_described_by_what_changed() -> None:
    before = {"aliases": {"champion": 3}, "versions": {"3": {"stage": "None"}, "4": None}}
    after = {"aliases": {"champion": 2}, "versions": {"3": {"stage": "Staging"}, "4": {"x": 1}}}
    assert described("MOON_LANDED", "3", before, after) == (
        "made the change MOON_LANDED of version 3, version 3 went from None to Staging, alias "
        "champion went from version 3 to 2"
    )


def test_an_event_names_both_stages_and_its_time(client: MlflowClient, name: str) -> None:
    client.create_model_version(name, "file:///models/iris")
    client.transition_model_version_stage(name, 1, "Staging")
    created, registered, moved = client.history(name)
    assert (created.previous_stage, created.stage) == (None, None)
    assert (registered.previous_stage, registered.stage) == (None, "None")
    assert (moved.previous_stage, moved.stage) == ("None", "Staging")
    assert moved.time == dt.datetime.fromtimestamp(moved.timestamp / 1000, dt.UTC)
    assert moved.sentence == (
        f"rosa moved version 1 from None to Staging, at {moved.time:%Y-%m-%d %H:%M:%S} UTC"
    )


def test_the_history_is_a_frame_on_request(client: MlflowClient, name: str) -> None:
    client.create_model_version(name, "file:///models/iris")
    frame = client.history(name, as_frame=True)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.action) == ["MODEL_CREATED", "VERSION_CREATED"]
    assert list(frame.sentence) == [event.sentence for event in client.history(name)]
    assert str(frame.time.dtype).endswith("UTC]")
    empty = client.history(name, after_revision=2, as_frame=True)
    assert (len(empty), list(empty.columns)) == (0, list(frame.columns))


def test_a_history_is_verified(client: MlflowClient, name: str) -> None:
    (event,) = client.history(name)
    verified = client.verify_history(name)
    assert (verified.name, verified.revision, verified.hash) == (name, 1, event.hash)
    with pytest.raises(NotFound):
        client.verify_history(f"{name}?")


def test_a_watch_returns_what_happens_after_its_beginning(client: MlflowClient, name: str) -> None:
    with client.watch(name) as watch:
        client.set_registered_model_tag(name, "a", 1)
        client.set_registered_model_tag(name, "b", 1)
        assert [next(watch).revision, next(watch).revision] == [2, 3]
        assert repr(watch) == f"Watch('{name}', revision=3)"
    assert list(watch) == []
    assert next(client.watch(name, after_revision=0)).action == "MODEL_CREATED"


def test_a_watch_ends_when_its_time_is_over(client: MlflowClient, name: str) -> None:
    assert len(list(client.watch(name, after_revision=0, timeout_s=0.2))) == 1


def test_a_watch_that_waits_is_closed_by_another_thread(client: MlflowClient, name: str) -> None:
    watch = client.watch(name, after_revision=0)
    next(watch)
    left: list[ModelEvent] = []
    waiting = threading.Thread(target=lambda: left.extend(watch))
    waiting.start()
    watch.close()
    waiting.join(30)
    assert (waiting.is_alive(), left) == (False, [])


def test_a_watch_of_what_is_not_there_is_refused(client: MlflowClient, name: str) -> None:
    with pytest.raises(NotFound):
        client.watch(f"{name}?")
    with pytest.raises(OutOfRange):
        next(client.watch(name, after_revision=9))


def test_a_watch_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    port, grpc_port = free_port(), free_port()
    settings = UpSettings(home=tmp_path / "watched", port=port, grpc_port=grpc_port)
    first = Embedded(settings)
    modelyard.set_tracking_uri(first.http)
    client = MlflowClient()
    client.create_registered_model("iris")
    with client.watch("iris", after_revision=0) as watch:
        assert next(watch).revision == 1
        first.stop()
        second = Embedded(settings)
        try:
            client.set_registered_model_tag("iris", "a", 1)
            assert next(watch).revision == 2
        finally:
            second.stop()
