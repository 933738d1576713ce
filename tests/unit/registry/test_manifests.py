"""Manifests that the registry remembers."""

from __future__ import annotations

import pytest
from tests.support.stores.memory import MemoryStore

from modelyard_kit.artifacts import Digest, Manifest
from modelyard_kit.artifacts.manifest import ManifestFile
from modelyard_kit.artifacts.signing import UrlSigner
from modelyard_kit.errors import DataLoss
from modelyard_registry.servicer.manifests import Manifests


def empty_store() -> MemoryStore:
    return MemoryStore(UrlSigner(b"s" * 32, lambda: "http://gateway.test"))


def stored(store: MemoryStore, name: str) -> Digest:
    manifest = Manifest([ManifestFile(name, 1, Digest.of(name.encode()))])
    data = manifest.to_bytes()
    store.put(manifest.digest, [data], len(data))
    return manifest.digest


def test_manifests_that_were_not_read_for_the_longest_are_forgotten_for_others() -> None:
    store = empty_store()
    first, second, third = (stored(store, name) for name in "abc")
    size_bytes = Manifests(store, lambda: 0).read(first).ByteSize()

    class Two(Manifests):
        max_bytes = 2 * size_bytes

    manifests = Two(store, lambda: 0)
    for digest in (first, second, first, third):
        manifests.read(digest)
    for digest in (first, second, third):
        store.delete(digest)

    assert manifests.read(first).manifest
    assert manifests.read(third).manifest
    with pytest.raises(DataLoss, match=f"The manifest {second} is missing"):
        manifests.read(second)


def test_a_manifest_that_was_read_again_counts_once() -> None:
    store = empty_store()
    first, second = stored(store, "a"), stored(store, "b")
    size_bytes = Manifests(store, lambda: 0).read(first).ByteSize()

    class Two(Manifests):
        max_bytes = 2 * size_bytes

    times = [0, 5_000, 10_000, 10_001, 10_002]
    manifests = Two(store, iter(times).__next__)
    for digest in (first, first, first, second):
        manifests.read(digest)
    store.delete(first)
    assert manifests.read(first).manifest


@pytest.mark.parametrize("later_ms", [5_000, -1])
def test_a_manifest_is_read_again_when_its_time_is_up_or_the_clock_was_set_back(
    later_ms: int,
) -> None:
    store, times = empty_store(), iter([0, later_ms])
    digest = stored(store, "a")
    manifests = Manifests(store, times.__next__)
    manifests.read(digest)
    store.delete(digest)
    with pytest.raises(DataLoss, match="is missing from the store"):
        manifests.read(digest)
