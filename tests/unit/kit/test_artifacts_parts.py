"""The splitting of files into objects."""

import hashlib

from modelyard_kit.artifacts import PART_BYTES, Digest, PartHasher


def test_files_up_to_a_part_are_one_object_and_larger_ones_several() -> None:
    for size_bytes, parts in ((0, 0), (1, 0), (PART_BYTES, 0), (PART_BYTES + 1, 2)):
        hasher = PartHasher()
        hasher.update(bytes(size_bytes))
        file = hasher.file("a")
        assert (file.size_bytes, len(file.parts)) == (size_bytes, parts)
        assert sum(part.size_bytes for part in file.parts) in {0, size_bytes}


def test_the_chunks_a_file_comes_in_make_no_difference() -> None:
    block = hashlib.sha256(b"").digest() * 1000
    whole, pieces = PartHasher(), PartHasher()
    data = block * (PART_BYTES // len(block) + 1)

    whole.update(data)
    for at in range(0, len(data), 1_000_003):
        pieces.update(data[at : at + 1_000_003])

    file = whole.file("a")
    assert pieces.file("a") == file
    assert file.digest == Digest.of(data)
    assert [part.digest for part in file.parts] == [
        Digest.of(data[:PART_BYTES]),
        Digest.of(data[PART_BYTES:]),
    ]
