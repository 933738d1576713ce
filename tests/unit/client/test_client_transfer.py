"""Single objects between files and a store that answers as told."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.stores.answering_store import Answer, AnsweringStore, Request, answering_store

from modelyard._artifacts import objects
from modelyard._artifacts.objects import File, Object, Source
from modelyard._artifacts.transfer import Links, Transfer
from modelyard.api.artifacts.v1.artifacts_pb2 import ObjectUpload
from modelyard.exceptions import (
    DataLoss,
    InvalidParameter,
    InvalidState,
    NotFound,
    ResourceExhausted,
    Unavailable,
)


@pytest.fixture
def store() -> Iterator[AnsweringStore]:
    with answering_store() as store:
        yield store


@pytest.fixture
def moved() -> list[int]:
    return []


@pytest.fixture
def transfer(moved: list[int]) -> Iterator[Transfer]:
    with Transfer("127.0.0.1", moved.append) as transfer:
        yield transfer


def _object(content: bytes) -> Object:
    return Object(hashlib.sha256(content).hexdigest(), len(content))


def _no_more() -> dict[str, str]:
    pytest.fail("the server was asked for another URL")


def _get(transfer: Transfer, url: str, wanted: bytes, sink: Path) -> None:
    with sink.open("w+b") as file:
        item = _object(wanted)
        transfer.get(item, Links({item.digest: url}, _no_more), "some/file", file)


def _put(
    transfer: Transfer, source: Path, offset: int, size_bytes: int, *links: ObjectUpload
) -> None:
    content = source.read_bytes()[offset : offset + size_bytes]
    item = _object(content)
    found = iter({item.digest: link} for link in links)
    known = next(found)
    transfer.put(item, Links(known, lambda: next(found)), Source.of(source), offset)


def test_a_transfer_is_tried_again(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    store.answers += [Answer(503), Answer(body=b"bytes")]
    _get(transfer, store.url, b"bytes", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"bytes"
    store.answers += [Answer(500), Answer()]
    link = ObjectUpload(url=store.url, headers={"x": "y"})
    _put(transfer, tmp_path / "got", 1, 3, link)
    puts = [request for request in store.requests if request.method == "PUT"]
    assert [request.body for request in puts] == [b"yte", b"yte"]
    assert {request.headers["x"] for request in puts} == {"y"}
    assert sum(moved) == 5 + 3


def test_one_connection_carries_many_objects(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    store.answer = lambda request: Answer(body=b"" if request.body else b"bytes")
    for number in range(10):
        _get(transfer, store.url, b"bytes", tmp_path / str(number))
        _put(transfer, tmp_path / str(number), 0, 5, ObjectUpload(url=store.url))
    assert len(store.requests) == 20
    assert store.connections == 1


def test_a_kept_connection_that_was_closed_is_replaced_at_once(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    store.answers += [Answer(), Answer(breaks_after=0), Answer()]
    for _ in range(3):
        _put(transfer, tmp_path / "a", 0, 100_000, ObjectUpload(url=store.url))
    assert store.connections == 2
    assert sum(moved) == 300_000


def test_an_object_that_is_there_already_is_fine(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    store.answers += [Answer(412)]
    _put(transfer, tmp_path / "a", 0, 5, ObjectUpload(url=store.url))
    store.answers += [Answer(400)]
    with pytest.raises(InvalidState, match="'a' \\(400\\)"):
        _put(transfer, tmp_path / "a", 0, 5, ObjectUpload(url=store.url))
    assert sum(moved) == 5 + 5


def test_an_expired_url_is_asked_for_again(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    store.answers += [Answer(403), Answer()]
    fresh = ObjectUpload(url=f"{store.url}2")
    _put(transfer, tmp_path / "a", 0, 5, ObjectUpload(url=store.url), fresh)
    assert [request.path[-2:] for request in store.requests] == ["=1", "12"]
    item = _object(b"bytes")
    store.answers += [Answer(403), Answer(body=b"bytes")]
    asked = iter([{item.digest: fresh.url}])
    with (tmp_path / "got").open("w+b") as sink:
        transfer.get(item, Links({item.digest: store.url}, lambda: next(asked)), "a", sink)
    assert next(asked, None) is None
    assert (tmp_path / "got").read_bytes() == b"bytes"
    assert sum(moved) == 10


def test_an_url_that_expires_before_a_large_body_is_read_is_asked_for_again(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(os.urandom(8 << 20))
    store.answers += [Answer(403), Answer()]
    expired = ObjectUpload(url=store.url, headers={"x-refused": "1"})
    _put(transfer, tmp_path / "a", 0, 8 << 20, expired, ObjectUpload(url=store.url))
    assert store.requests[1].body == (tmp_path / "a").read_bytes()


def test_an_object_that_another_has_uploaded_meanwhile_is_fine(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    store.answers += [Answer(403)]
    item = _object(b"bytes")
    links = Links({item.digest: ObjectUpload(url=store.url)}, dict)
    transfer.put(item, links, Source.of(tmp_path / "a"), 0)
    assert sum(moved) == 5


def test_a_url_that_is_refused_when_new_is_given_up(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    store.answers += [Answer(403)] * 2
    link = ObjectUpload(url=store.url)
    with pytest.raises(InvalidState, match=r"'a' \(403\)"):
        _put(transfer, tmp_path / "a", 0, 5, link, link)
    store.answers += [Answer(403)] * 2
    item = _object(b"bytes")
    links = Links({item.digest: store.url}, lambda: {item.digest: store.url})
    with (
        pytest.raises(NotFound, match=r"'some/file' \(403\)"),
        (tmp_path / "got").open("wb") as sink,
    ):
        transfer.get(item, links, "some/file", sink)
    assert not store.answers


@pytest.mark.parametrize("body", [b"bytez", b"byte", b"bytes and more", b""])
def test_other_bytes_than_asked_for_are_refused(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, body: bytes
) -> None:
    store.answers += [Answer(body=body)] * 4
    with pytest.raises(DataLoss, match="'some/file'"):
        _get(transfer, store.url, b"bytes", tmp_path / "got")
    assert len(store.requests) == 1


def test_a_broken_download_goes_on_where_it_broke(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    content = os.urandom(100_000)

    def answer(request: Request) -> Answer:
        start = int(request.headers.get("range", "bytes=0-")[len("bytes=") : -1])
        status = 206 if start else 200
        span = ("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        return Answer(status, content[start:], (span,), breaks_after=20_000)

    store.answer = answer
    _get(transfer, store.url, content, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    starts = [request.headers.get("range") for request in store.requests]
    assert starts == [None] + [f"bytes={n}-" for n in range(20_000, 100_000, 20_000)]
    assert sum(moved) == 100_000


def test_a_store_that_knows_no_ranges_is_asked_for_everything_again(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, moved: list[int]
) -> None:
    content = os.urandom(100_000)
    store.answers += [Answer(body=content, breaks_after=40_000), Answer(body=content)]
    _get(transfer, store.url, content, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    assert sum(moved) == 100_000


def test_a_continuation_of_other_bytes_is_refused(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    content = os.urandom(100_000)
    span = (("Content-Range", "bytes 40000-99999/100000"),)
    store.answers += [
        Answer(body=content, breaks_after=40_000),
        Answer(206, os.urandom(60_000), span),
    ]
    with pytest.raises(DataLoss):
        _get(transfer, store.url, content, tmp_path / "got")


def test_a_store_that_refuses_or_stays_down_is_said(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    store.answers += [Answer(404)]
    with pytest.raises(NotFound, match=r"'some/file' \(404\)"):
        _get(transfer, store.url, b"bytes", tmp_path / "got")
    store.answers += [Answer(503)] * 4
    item = _object(b"bytes")
    links = Links({item.digest: store.url}, lambda: {item.digest: store.url})
    with pytest.raises(Unavailable, match="503"), (tmp_path / "got").open("wb") as sink:
        transfer.get(item, links, "some/file", sink)
    store.answers += [Answer(422)]  # of the gateway, which found them damaged before it sent any
    with pytest.raises(DataLoss, match="'some/file' do not match their digest"):
        _get(transfer, store.url, b"bytes", tmp_path / "got")
    nowhere = "returned no download URL for 'some/file'"
    with pytest.raises(NotFound, match=nowhere), (tmp_path / "got").open("wb") as sink:
        transfer.get(item, Links({}, _no_more), "some/file", sink)


def test_an_upload_waits_for_a_store_that_is_known(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(b"bytes")
    store.answers += [Answer(503)] * 4 + [Answer(200)]
    _put(transfer, tmp_path / "a.bin", 0, 5, *[ObjectUpload(url=store.url)] * 5)
    assert store.answers == []
    monkeypatch.setenv("MODELYARD_TIMEOUT_S", "0.001")
    store.answers += [Answer(503)] * 4
    with pytest.raises(Unavailable, match="503"):
        _put(transfer, tmp_path / "a.bin", 0, 5, *[ObjectUpload(url=store.url)] * 5)


def test_only_http_urls_are_opened(transfer: Transfer, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"bytes")
    with pytest.raises(ValueError, match="scheme 'file'"):
        _get(transfer, (tmp_path / "secret").as_uri(), b"bytes", tmp_path / "got")


def test_a_file_that_changes_is_not_uploaded(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"bytes")
    source, item = Source.of(path), _object(b"bytes")
    links = Links({item.digest: ObjectUpload(url=store.url)}, dict)
    path.write_bytes(b"other")
    os.utime(path, ns=(0, source.modified_ns + 1))
    with pytest.raises(InvalidState, match="changed while it was uploaded"):
        transfer.put(item, links, source, 0)
    path.unlink()
    with pytest.raises(InvalidState, match="can no longer be read"):
        transfer.put(item, links, source, 0)
    assert [request for request in store.requests if request.body] == []


def test_a_full_disk_is_said(transfer: Transfer, store: AnsweringStore) -> None:
    store.answers += [Answer(body=b"b" * 5_000_000)]
    item = _object(b"b" * 5_000_000)
    with (
        pytest.raises(ResourceExhausted, match=r"no room for 'some/file'.*No space left"),
        Path("/dev/full").open("wb", buffering=0) as sink,
    ):
        transfer.get(item, Links({item.digest: store.url}, _no_more), "some/file", sink)
    assert len(store.requests) == 1


def test_work_is_done_in_parallel_and_answered_in_order(transfer: Transfer) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> int:
        together.wait()
        return number * 2

    assert transfer.each(work, range(16)) == list(range(0, 32, 2))
    assert transfer.each(work, []) == []


def test_after_a_failure_nothing_more_is_begun(transfer: Transfer) -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise NotFound("the third")
        time.sleep(0.001)  # as little as work takes; all of them take 12 s

    with pytest.raises(NotFound, match="the third"):
        transfer.each(work, range(100_000))
    assert len(begun) < 100_000


def test_transfers_under_way_stop_when_another_fails(
    transfer: Transfer, store: AnsweringStore, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    store.answer = lambda _: Answer(503)

    def work(number: int) -> None:
        if number == 0:
            raise NotFound("the first")
        _get(transfer, store.url, b"bytes", tmp_path / str(number))

    with pytest.raises(NotFound, match="the first"):
        transfer.each(work, range(8))


def test_a_file_of_exactly_64_mib_is_one_object(tmp_path: Path) -> None:
    with (tmp_path / "edge").open("wb") as file:
        file.truncate(64 << 20)
    assert len(objects.describe("edge", tmp_path / "edge").objects) == 1


def test_a_pipe_is_not_taken_for_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidParameter, match="not a regular file"):
        objects.describe("pipe", tmp_path / "pipe")


def test_a_file_knows_its_size() -> None:
    assert File("a", "z", (Object("x", 3), Object("y", 4))).size_bytes == 7
