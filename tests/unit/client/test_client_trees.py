"""Whole trees: interrupted, taken up again, and refused without a trace."""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.stores.answering_store import Answer, AnsweringStore, answering_store

from modelyard._artifacts import cache, downloads, progress, transfer
from modelyard._artifacts.objects import File, Object, Source
from modelyard._artifacts.transfer import Links, Transfer
from modelyard._transport import rpc
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.client import MlflowClient
from modelyard.exceptions import (
    DataLoss,
    InvalidParameter,
    InvalidState,
    ModelyardException,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from modelyard_server.processes.embedded import Embedded

_PARTS = (b"first" * 1000, b"second" * 1000, b"third" * 10)
_WHOLE = b"".join(_PARTS)
_NOT_THERE = Answer(404)


@pytest.fixture
def store() -> Iterator[AnsweringStore]:
    with answering_store() as store:
        yield store


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_THREADS", 1)


def _object(content: bytes) -> Object:
    return Object(hashlib.sha256(content).hexdigest(), len(content))


def _file(path: str = "large", parts: tuple[bytes, ...] = _PARTS) -> File:
    whole = hashlib.sha256(b"".join(parts)).hexdigest()
    return File(path, whole, tuple(_object(part) for part in parts))


def _path(content: bytes) -> str:
    return f"/object/{_object(content).digest}"


def _links(store: AnsweringStore, *files: File) -> Links[str]:
    url = store.url.partition("?")[0]
    urls = {part.digest: f"{url}/{part.digest}" for file in files for part in file.objects}
    return Links(urls, lambda: urls)


def _write(store: AnsweringStore, folder: Path, *files: File) -> None:
    assert downloads.write(store.url, files, _links(store, *files), folder) == folder


def _has(store: AnsweringStore, *contents: bytes, otherwise: Answer = _NOT_THERE) -> None:
    """Let the store have these objects."""
    answers = {_path(content): Answer(body=content) for content in contents}
    store.answer = lambda request: answers.get(request.path, otherwise)


def _asked(store: AnsweringStore) -> set[str]:
    return {request.path for request in store.requests}


def test_a_file_of_several_parts_is_put_together(store: AnsweringStore, tmp_path: Path) -> None:
    _has(store, *_PARTS, b"small")
    _write(store, tmp_path, _file(), _file("deep/copy"), _file("small", (b"small",) * 2))
    found = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"large": _WHOLE, "copy": _WHOLE, "small": b"smallsmall"}


@pytest.mark.usefixtures("one_at_a_time")
def test_an_interrupted_download_goes_on(store: AnsweringStore, tmp_path: Path) -> None:
    _has(store, *_PARTS[:2], otherwise=Answer(503))
    with pytest.raises(Unavailable, match="'large'"):
        _write(store, tmp_path, _file())
    assert list(tmp_path.iterdir()) == [downloads.partial_path(_file(), tmp_path / "large")]
    store.requests.clear()
    _has(store, *_PARTS)
    _write(store, tmp_path, _file())
    assert _asked(store) == {_path(_PARTS[2])}
    assert [path.name for path in tmp_path.iterdir()] == ["large"]
    assert (tmp_path / "large").read_bytes() == _WHOLE


def test_what_is_left_of_a_download_is_checked(store: AnsweringStore, tmp_path: Path) -> None:
    left = downloads.partial_path(_file(), tmp_path / "large")
    left.write_bytes(_PARTS[0] + b"damaged" + _WHOLE[len(_PARTS[0]) + 7 :] + b"too much")
    _has(store, *_PARTS)
    _write(store, tmp_path, _file())
    assert (tmp_path / "large").read_bytes() == _WHOLE
    assert _asked(store) == {_path(_PARTS[1])}
    assert not left.exists()


def test_another_who_downloads_to_the_same_place_is_left_alone(
    store: AnsweringStore, tmp_path: Path
) -> None:
    theirs = downloads.partial_path(_file(), tmp_path / "large")
    _has(store, *_PARTS)
    with theirs.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(b"theirs")
        held.flush()
        _write(store, tmp_path, _file())
        assert theirs.read_bytes() == b"theirs"
    assert (tmp_path / "large").read_bytes() == _WHOLE
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.usefixtures("one_at_a_time")
def test_wrong_bytes_leave_nothing_behind(store: AnsweringStore, tmp_path: Path) -> None:
    _has(store, *_PARTS[:2], otherwise=Answer(body=b"wrong" * 10))
    with pytest.raises(DataLoss, match="'large'"):
        _write(store, tmp_path, _file())
    assert list(tmp_path.iterdir()) == []


def test_a_download_of_which_nothing_came_leaves_nothing_behind(
    store: AnsweringStore, tmp_path: Path
) -> None:
    _has(store)
    with pytest.raises(NotFound):
        _write(store, tmp_path, _file(), _file("small", (b"small",)))
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_goes_with_its_download(
    store: AnsweringStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _has(store, *_PARTS[:2])
    with pytest.raises(NotFound):
        downloads.write(store.url, [_file()], _links(store, _file()), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parts", [(b"small",), _PARTS], ids=["one object", "parts"])
def test_a_folder_that_cannot_be_written_is_said(
    store: AnsweringStore, tmp_path: Path, parts: tuple[bytes, ...]
) -> None:
    (tmp_path / "folder").touch()
    _has(store, *parts)
    with pytest.raises(InvalidState, match="'folder/a' cannot be written: "):
        _write(store, tmp_path, _file("folder/a", parts))


@contextmanager
def _files_of_at_most(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("parts", [(b"s" * 100_000,), (b"a" * 5000, b"b" * 100_000)])
def test_a_download_for_which_there_is_no_room_leaves_nothing(
    store: AnsweringStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: tuple[bytes, ...],
) -> None:
    _has(store, *parts)
    file = _file(parts=parts)
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "cache"))
    with _files_of_at_most(10_000):
        with pytest.raises(ResourceExhausted, match="no room for 'large'"):
            _write(store, tmp_path / "to", file)
        with pytest.raises(ResourceExhausted, match="no room for 'large'"):
            cache.model_folder(store.url, "0" * 64, [file], _links(store, file))
    assert [path for path in (tmp_path / "to").rglob("*") if path.is_file()] == []
    _write(store, tmp_path / "to", file)
    assert (tmp_path / "to" / "large").read_bytes() == b"".join(parts)


@pytest.mark.usefixtures("one_at_a_time")
def test_a_model_that_was_interrupted_goes_on_from_the_cache(
    store: AnsweringStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path))
    files = [_file(), _file("same"), _file("other", (b"other",))]
    links = _links(store, *files)
    _has(store, *_PARTS[:2])
    with pytest.raises(NotFound):
        cache.model_folder(store.url, "0" * 64, files, links)
    store.requests.clear()
    _has(store, *_PARTS, b"other")
    folder = cache.model_folder(store.url, "0" * 64, files, links)
    assert _asked(store) == {_path(_PARTS[2]), _path(b"other")}
    assert len(store.requests) == 2
    assert (folder / "same").read_bytes() == (folder / "large").read_bytes() == _WHOLE


def _when_first_moved(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something as soon as bytes have been uploaded."""
    moved = iter([act])

    @contextmanager
    def shown(_what: str, _total_bytes: int) -> Iterator[progress.Advance]:
        def advance(moved_bytes: int) -> None:
            if moved_bytes:
                next(moved, lambda: None)()

        yield advance

    monkeypatch.setattr(progress, "shown", shown)


@pytest.mark.usefixtures("one_at_a_time")
def test_an_interrupted_upload_goes_on(
    platform: Embedded, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = client.create_run("0").info.run_id
    for name in "abc":
        (tmp_path / name).write_bytes(os.urandom(1000))
    contents = {name: (tmp_path / name).read_bytes() for name in "abc"}
    with monkeypatch.context() as during:
        _when_first_moved(lambda: (tmp_path / "b").write_bytes(b"changed"), during)
        with pytest.raises(InvalidState, match="b changed while it was uploaded"):
            client.log_artifacts(run_id, tmp_path)
    assert client.list_artifacts(run_id) == []
    (first,) = platform.home.rglob(_object(contents["a"]).digest)
    assert list(platform.home.rglob(_object(contents["c"]).digest)) == []
    written = first.stat().st_mtime_ns
    client.log_artifacts(run_id, tmp_path)
    assert [file.path for file in client.list_artifacts(run_id)] == ["a", "b", "c"]
    assert first.stat().st_mtime_ns == written


def _tampered(url: str) -> str:
    return url.replace("expires=", "expires=1")


def test_urls_that_the_gateway_refuses_are_replaced(client: MlflowClient, tmp_path: Path) -> None:
    run_id = client.create_run("0").info.run_id
    content = os.urandom(16 << 20)  # more than the gateway reads before it answers
    (tmp_path / "a").write_bytes(content)
    item = _object(content)
    file = pb.ArtifactFile(path="a", size_bytes=item.size_bytes, digest=item.digest)
    uri = client.tracking_uri
    declare = pb.DeclareArtifactsRequest(run_id=run_id, files=[file])
    (upload,) = rpc.call(uri, declare, pb.DeclareArtifactsResponse).uploads
    old = pb.ObjectUpload(url=_tampered(upload.url), headers=upload.headers)
    uploads = Links({item.digest: old}, lambda: {item.digest: upload})
    with Transfer("127.0.0.1") as transfer:
        transfer.put(item, uploads, Source.of(tmp_path / "a"), 0)
        commit = pb.CommitArtifactsRequest(run_id=run_id, files=[file])
        rpc.call(uri, commit, pb.CommitArtifactsResponse)
        get = pb.GetArtifactsRequest(run_id=run_id)
        (download,) = rpc.call(uri, get, pb.GetArtifactsResponse).downloads
        downloads = Links(
            {item.digest: _tampered(download.url)}, lambda: {item.digest: download.url}
        )
        with (tmp_path / "back").open("w+b") as sink:
            transfer.get(item, downloads, "a", sink)
    assert (tmp_path / "back").read_bytes() == content


def test_many_small_files_come_back_as_they_were(client: MlflowClient, tmp_path: Path) -> None:
    run_id = client.create_run("0").info.run_id
    (tmp_path / "tree").mkdir()
    for number in range(1001):  # one more than a call announces
        (tmp_path / "tree" / str(number)).write_text(str(number % 3))
    client.log_artifacts(run_id, tmp_path / "tree")
    found = Path(client.download_artifacts(run_id, dst_path=tmp_path / "back"))
    assert {path.name: path.read_text() for path in found.iterdir()} == {
        str(number): str(number % 3) for number in range(1001)
    }


def test_a_bar_is_shown_when_asked_for(
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run_id = client.create_run("0").info.run_id
    (tmp_path / "a").write_bytes(os.urandom(9 << 20))
    (tmp_path / "small").write_bytes(b"small")
    for chosen, shows in ((None, False), ("0", False), ("1", True)):
        if chosen:
            monkeypatch.setenv("MODELYARD_PROGRESS", chosen)
        client.log_artifact(run_id, tmp_path / "a")
        assert ("Uploading" in capfd.readouterr().err) == shows
        client.download_artifacts(run_id, "a", tmp_path / "back")
        told = capfd.readouterr().err
        assert ("Downloading" in told) == shows
        assert ("9.4/9.4 MB" in told or "9.0/9.0 MiB" in told) == shows
    client.log_artifact(run_id, tmp_path / "small")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", ["yes", "2"])
def test_another_wish_for_progress_is_refused(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    run_id = client.create_run("0").info.run_id
    (tmp_path / "a").write_bytes(b"bytes")
    monkeypatch.setenv("MODELYARD_PROGRESS", value)
    with pytest.raises(InvalidParameter, match=f"MODELYARD_PROGRESS '{value}': expected 1"):
        client.log_artifact(run_id, tmp_path / "a")


def test_every_failure_of_a_transfer_is_one_of_ours() -> None:
    for error in (OSError(28, "No space left on device"), OSError(13, "Permission denied")):
        said = transfer.unwritten("a", error)
        assert isinstance(said, ModelyardException)
        assert str(error.strerror) in said.message
