"""Objects between files and a real S3 server, by the URLs that services sign."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from tests.faults.proxy import Cut, Direction, Proxy
from tests.support.stores.s3_servers import S3Server

from modelyard._artifacts.objects import Object, Source
from modelyard._artifacts.transfer import Links, Transfer
from modelyard.api.artifacts.v1.artifacts_pb2 import ObjectUpload
from modelyard.exceptions import InvalidState
from modelyard_kit.artifacts import Digest
from modelyard_kit.artifacts.s3 import S3Store


@pytest.fixture
def store(seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    return seaweedfs.open_store()


def _object(content: bytes) -> Object:
    return Object(hashlib.sha256(content).hexdigest(), len(content))


def _upload(store: S3Store, item: Object) -> ObjectUpload:
    put = store.presign_put(Digest(item.digest), item.size_bytes, 60)
    return ObjectUpload(url=put.url, headers=put.headers)


def test_objects_go_to_s3_and_come_back(store: S3Store, tmp_path: Path) -> None:
    contents = [b"", b"small", *(os.urandom(3_000_000) for _ in range(8))]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    items = [_object(content) for content in contents]
    uploads = Links({item.digest: _upload(store, item) for item in items}, dict)
    urls = {item.digest: store.presign_get(Digest(item.digest), 60) for item in items}
    downloads = Links(urls, dict)

    def there_and_back(number: int) -> None:
        source = Source.of(tmp_path / str(number))
        for _ in range(2):  # the second finds it there
            transfer.put(items[number], uploads, source, 0)
        with (tmp_path / f"{number}-back").open("w+b") as sink:
            transfer.get(items[number], downloads, "a", sink)

    with Transfer(None) as transfer:
        transfer.each(there_and_back, range(len(items)))
    for number, content in enumerate(contents):
        assert (tmp_path / f"{number}-back").read_bytes() == content


@pytest.mark.usefixtures("store")  # for its credentials
def test_s3_goes_on_where_a_connection_broke(seaweedfs: S3Server, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    item = _object(content)
    with Proxy(int(seaweedfs.endpoint.rpartition(":")[2])) as proxy, Transfer(None) as transfer:
        server = dataclasses.replace(seaweedfs, endpoint=f"http://127.0.0.1:{proxy.port}")
        store = server.open_store()
        store.put(Digest(item.digest), [content], len(content))
        proxy.arm(Cut(Direction.REPLY, content[2_000_000:2_000_008]))
        urls = {item.digest: store.presign_get(Digest(item.digest), 60)}
        moved: list[int] = []
        transfer.advance = moved.append
        with (tmp_path / "back").open("w+b") as sink:
            transfer.get(item, Links(urls, dict), "a", sink)
        assert proxy.was_cut.wait(10)
    assert (tmp_path / "back").read_bytes() == content
    assert min(moved) > 0  # nothing came twice
    assert sum(moved) == len(content)


def test_a_url_that_s3_refuses_is_replaced(store: S3Store, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    item = _object(content)
    (tmp_path / "a").write_bytes(content)
    upload = _upload(store, item)
    expired = ObjectUpload(url=_tampered(upload.url), headers=upload.headers)
    with Transfer(None) as transfer:
        links = Links({item.digest: expired}, lambda: {item.digest: upload})
        transfer.put(item, links, Source.of(tmp_path / "a"), 0)
        url = store.presign_get(Digest(item.digest), 60)
        downloads = Links({item.digest: _tampered(url)}, lambda: {item.digest: url})
        with (tmp_path / "back").open("w+b") as sink:
            transfer.get(item, downloads, "a", sink)
    assert (tmp_path / "back").read_bytes() == content


def test_bytes_that_changed_are_refused_by_s3(store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"other")
    item = _object(b"bytes")
    links = Links({item.digest: _upload(store, item)}, dict)
    with Transfer(None) as transfer, pytest.raises(InvalidState, match=r"'a' \(400\)"):
        transfer.put(item, links, Source.of(tmp_path / "a"), 0)
    assert not store.has(Digest(item.digest))


def _tampered(url: str) -> str:
    return url.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
