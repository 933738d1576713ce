"""Objects are read only up to their last chunk unless their bytes have their digest."""

from __future__ import annotations

import pytest
from tests.support.stores.memory import MemoryStore

from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.store import CHUNK_BYTES, Evidence
from modelyard_kit.artifacts.verifying import Verifier
from modelyard_kit.errors import DataLoss, NotFound, Unavailable

DATA = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
DIGEST = Digest.of(DATA)


class CountedStore(MemoryStore):
    """A store that counts reads, can be damaged, and can vouch for its objects."""

    def __init__(self) -> None:
        super().__init__(UrlSigner(b"s" * 32, str))
        self.reads = 0
        self.vouches = False
        self.put(DIGEST, [DATA], len(DATA))

    def verify(self, digest: Digest) -> bool:
        self.reads += 1
        return super().verify(digest)

    def evidence(self, digest: Digest) -> Evidence:
        return Evidence(super().evidence(digest).stamp, is_verified=self.vouches)


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def flipped(at: int) -> bytes:
    return DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]


def read(verifier: Verifier, start: int = 0, end: int = len(DATA)) -> bytes:
    with verifier.open(DIGEST, start, end, len(DATA)) as chunks:
        return b"".join(chunks)


def test_intact_bytes_come_whole_and_in_ranges() -> None:
    verifier = Verifier(CountedStore(), Counting())
    assert read(verifier) == DATA
    assert read(verifier, 5, 10) == DATA[5:10]


@pytest.mark.parametrize("at", [0, len(DATA) // 2, len(DATA) - 1])
def test_the_last_chunk_of_a_damaged_object_never_comes(at: int) -> None:
    store, damages = CountedStore(), Counting()
    store.damage(DIGEST, flipped(at))
    received = b""
    verifier = Verifier(store, damages)

    with (
        pytest.raises(DataLoss, match=DIGEST),
        verifier.open(DIGEST, 0, len(DATA), len(DATA)) as chunks,
    ):
        for chunk in chunks:
            received += chunk

    assert len(received) == len(DATA) - CHUNK_BYTES
    assert damages.count == 1
    with pytest.raises(DataLoss, match=DIGEST):
        read(verifier, 5, 10)


def test_an_object_is_read_once_for_many_ranges_until_it_is_written_again() -> None:
    store = CountedStore()
    verifier = Verifier(store, Counting())
    assert [read(verifier, at, at + 2) for at in range(9)] == [DATA[at : at + 2] for at in range(9)]
    assert store.reads == 1

    store.damage(DIGEST, flipped(100))

    with pytest.raises(DataLoss):
        read(verifier, 0, 2)


def test_an_object_is_read_again_after_a_while_and_when_asked_to() -> None:
    store = CountedStore()
    verifier = Verifier(store, Counting())
    for reread in (False, False, True):
        assert verifier.is_intact(DIGEST, reread=reread)
    assert store.reads == 2

    class Forgetful(Verifier):
        remembered_s = 0.0

    forgetful = Forgetful(store, Counting())
    assert forgetful.is_intact(DIGEST)
    assert forgetful.is_intact(DIGEST)
    assert store.reads == 4


def test_a_damaged_object_is_not_read_for_each_request_until_it_is_written_again() -> None:
    store, damages = CountedStore(), Counting()
    store.damage(DIGEST, flipped(7))
    verifier = Verifier(store, damages)
    for _ in range(3):
        with pytest.raises(DataLoss):
            read(verifier, 0, 2)
        with pytest.raises(DataLoss):
            read(verifier)
        with pytest.raises(DataLoss):
            verifier.refuse_known_damaged(DIGEST)
    assert (store.reads, damages.count) == (1, 1)

    store.put(DIGEST, [DATA], len(DATA))

    verifier.refuse_known_damaged(DIGEST)
    assert read(verifier) == DATA
    assert read(verifier, 0, 2) == DATA[:2]


def test_only_some_objects_are_remembered() -> None:
    class Small(Verifier):
        max_remembered = 1

    store, other = CountedStore(), b"another object"
    store.put(Digest.of(other), [other], len(other))
    small = Small(store, Counting())
    for digest in (DIGEST, Digest.of(other), DIGEST):
        assert small.is_intact(digest)
    assert store.reads == 3


def test_an_object_that_the_store_itself_verified_is_read_only_when_asked_to() -> None:
    store = CountedStore()
    store.vouches = True
    store.damage(DIGEST, flipped(7))
    verifier = Verifier(store, Counting())
    assert verifier.is_intact(DIGEST)
    assert not verifier.is_intact(DIGEST, reread=True)


def test_damaged_and_missing_objects_are_told_apart() -> None:
    store, gone = CountedStore(), Digest.of(b"gone")
    store.damage(DIGEST, flipped(7))
    verifier = Verifier(store, Counting())
    assert verifier.damaged_among([DIGEST, gone], lambda: True) == {DIGEST: False, gone: True}
    with pytest.raises(NotFound):
        verifier.is_intact(gone)


def test_nothing_more_is_read_when_the_caller_has_gone() -> None:
    store = CountedStore()
    with pytest.raises(Unavailable, match="try again"):
        Verifier(store, Counting()).damaged_among([DIGEST], lambda: False)
    assert store.reads == 0
