"""Behaviour common to all artifact stores."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.stores.memory import MemoryStore
from tests.support.stores.s3_servers import S3Server

from modelyard_kit.artifacts import ArtifactStore, Digest, UrlGrant, UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.artifacts.signing import Method
from modelyard_kit.errors import InvalidArgument, NotFound

SIGNER = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1:5000")
DATA = bytes(range(256)) * 10_000  # spans several chunks
DIGEST = Digest.of(DATA)


@pytest.fixture(params=["local", "memory", "moto", "seaweedfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "local":
        return LocalStore(tmp_path / "artifacts", SIGNER)
    if request.param == "memory":
        return MemoryStore(SIGNER)
    server: S3Server = request.getfixturevalue(request.param)
    return server.open_store(prefix="models/")


def read(store: ArtifactStore, digest: Digest, start: int = 0, end: int | None = None) -> bytes:
    with store.open(digest, start, end) as chunks:
        return b"".join(chunks)


def test_an_object_is_read_back_as_it_was_put(store: ArtifactStore) -> None:
    store.put(DIGEST, [DATA[:7], b"", DATA[7:]], len(DATA))

    assert store.has(DIGEST)
    assert store.size_bytes(DIGEST) == len(DATA)
    assert store.verify(DIGEST)
    assert read(store, DIGEST) == DATA


def test_an_empty_object_is_an_object(store: ArtifactStore) -> None:
    empty = Digest.of(b"")
    store.put(empty, [], 0)

    assert store.size_bytes(empty) == 0
    assert read(store, empty) == b""


def test_an_absent_object_has_no_size_and_cannot_be_read(store: ArtifactStore) -> None:
    assert not store.has(DIGEST)
    assert store.size_bytes(DIGEST) is None
    with pytest.raises(NotFound, match=DIGEST), store.open(DIGEST):
        pass
    with pytest.raises(NotFound, match=DIGEST):
        store.verify(DIGEST)


def test_putting_the_same_bytes_again_changes_nothing(store: ArtifactStore) -> None:
    store.put(DIGEST, [DATA], len(DATA))
    store.put(DIGEST, [DATA], len(DATA))

    assert read(store, DIGEST) == DATA


@pytest.mark.parametrize(
    ("sent", "size_bytes", "message"),
    [
        (b"x" * len(DATA), len(DATA), f"expected object {DIGEST}, got"),
        (DATA[:-1], len(DATA), f"Fewer bytes than declared .* got {len(DATA) - 1}"),
        (DATA + b"x", len(DATA), f"More bytes than declared .* expected {len(DATA)}"),
        (DATA, len(DATA) - 1, "More bytes than declared"),
        (DATA, len(DATA) + 1, "Fewer bytes than declared"),
    ],
)
def test_other_bytes_than_declared_are_refused_and_not_kept(
    store: ArtifactStore, sent: bytes, size_bytes: int, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        store.put(DIGEST, [sent], size_bytes)

    assert not store.has(DIGEST)


def test_knowing_the_digest_of_a_present_object_is_not_having_its_bytes(
    store: ArtifactStore,
) -> None:
    store.put(DIGEST, [DATA], len(DATA))

    with pytest.raises(InvalidArgument, match="Other bytes than declared"):
        store.put(DIGEST, [b"x" * len(DATA)], len(DATA))

    assert read(store, DIGEST) == DATA


def test_an_endless_upload_is_cut_off_at_the_declared_size(store: ArtifactStore) -> None:
    taken = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"x" * 1000

    with pytest.raises(InvalidArgument, match="More bytes than declared"):
        store.put(DIGEST, endless(), 5000)

    assert len(taken) == 6


def test_an_upload_whose_sender_fails_leaves_nothing(store: ArtifactStore) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[:1000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put(DIGEST, broken(), len(DATA))

    assert not store.has(DIGEST)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (0, 1), (5, 5), (5, None), (1_048_575, 1_048_577), (len(DATA), None), (0, len(DATA))],
)
def test_a_range_is_read_without_the_rest(
    store: ArtifactStore, start: int, end: int | None
) -> None:
    store.put(DIGEST, [DATA], len(DATA))

    assert read(store, DIGEST, start, end) == DATA[start:end]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (0, len(DATA) + 1), (10**9, None)])
def test_a_range_outside_the_object_is_refused(
    store: ArtifactStore, start: int, end: int | None
) -> None:
    store.put(DIGEST, [DATA], len(DATA))

    with (
        pytest.raises(InvalidArgument, match=f"the object has {len(DATA)} bytes"),
        store.open(DIGEST, start, end),
    ):
        pass


def test_a_deleted_object_is_missing_and_deleting_it_again_is_harmless(
    store: ArtifactStore,
) -> None:
    store.put(DIGEST, [DATA], len(DATA))
    store.delete(DIGEST)
    store.delete(DIGEST)

    assert not store.has(DIGEST)


def test_a_reader_keeps_its_bytes_while_the_object_is_deleted(store: ArtifactStore) -> None:
    store.put(DIGEST, [DATA], len(DATA))

    with store.open(DIGEST) as chunks:
        first = next(chunks)
        store.delete(DIGEST)
        assert first + b"".join(chunks) == DATA


def test_objects_put_at_once_from_many_threads_are_all_whole(store: ArtifactStore) -> None:
    contents = [bytes([number % 8]) * 50_000 for number in range(32)]

    def put(content: bytes) -> None:
        store.put(Digest.of(content), [content], len(content))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, contents))

    assert all(read(store, Digest.of(content)) == content for content in contents)


def test_objects_are_listed_in_the_order_of_their_digests(store: ArtifactStore) -> None:
    contents = {Digest.of(content): content for content in (b"x" * size for size in range(20))}
    started_ms = int(time.time()) * 1000  # a store may count whole seconds
    for digest, content in contents.items():
        store.put(digest, [content], len(content))
    ended_ms = time.time_ns() // 1_000_000

    listed = list(store.list_objects())
    assert [found.digest for found in listed] == sorted(contents)
    assert all(found.size_bytes == len(contents[found.digest]) for found in listed)
    assert all(started_ms <= found.modified_ms <= ended_ms for found in listed)

    assert list(store.list_objects(after=listed[4].digest)) == listed[5:]
    assert list(store.list_objects(after=listed[-1].digest)) == []


def test_an_empty_store_lists_nothing(store: ArtifactStore) -> None:
    assert list(store.list_objects()) == []


def test_a_deleted_object_is_not_listed(store: ArtifactStore) -> None:
    store.put(DIGEST, [DATA], len(DATA))
    store.delete(DIGEST)

    assert list(store.list_objects()) == []


@pytest.mark.parametrize("store", ["local", "memory"], indirect=True)
def test_presigned_urls_name_the_object_and_carry_their_permission(store: ArtifactStore) -> None:
    upload = store.presign_put(DIGEST, len(DATA), expires_s=60)
    download = store.presign_get(DIGEST, expires_s=60, filename="model & co.pkl")

    assert upload.headers == {}
    assert verify("PUT", upload.url) == UrlGrant(DIGEST, len(DATA), None)
    assert verify("GET", download) == UrlGrant(DIGEST, None, "model & co.pkl")


def verify(method: Method, url: str) -> UrlGrant:
    parts = urlsplit(url)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return SIGNER.verify(method, Digest(parts.path.rsplit("/", 1)[1]), query, time.time())


@pytest.mark.parametrize(
    "text",
    ["", "abc", DIGEST.upper(), DIGEST + "\n", f"sha256:{DIGEST}", "../" + DIGEST, "\uff10" * 64],
)
def test_only_64_lower_case_hexadecimal_digits_are_a_digest(text: str) -> None:
    with pytest.raises(InvalidArgument, match="expected the SHA-256 as 64 lower-case hexadecimal"):
        Digest(text)


def test_a_digest_is_the_sha256_and_its_key_is_derived_from_it_alone() -> None:
    assert hashlib.sha256(DATA).hexdigest() == DIGEST
    assert Digest("ab12" + "0" * 60).key == "sha256/ab/12/ab12" + "0" * 60


def test_a_mark_is_kept_beside_the_objects_and_set_once_unless_replaced(
    store: ArtifactStore,
) -> None:
    assert store.mark("installation") is None
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda text: store.set_mark("installation", text), "abcd"))
    first = store.mark("installation")
    assert first in {*"abcd"}
    store.set_mark("installation", "z")
    assert store.mark("installation") == first
    store.set_mark("installation", "z", replace=True)
    assert store.mark("installation") == "z"
    store.put(DIGEST, [DATA], len(DATA))
    assert [found.digest for found in store.list_objects()] == [DIGEST]
