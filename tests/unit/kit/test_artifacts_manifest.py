import json
import unicodedata

import pytest

from modelyard_kit.artifacts import Digest, Manifest, ManifestFile, ManifestPart, logical_path
from modelyard_kit.errors import InvalidArgument

A, B = Digest.of(b"a"), Digest.of(b"b")
MANIFEST = Manifest(
    [
        ManifestFile("model/é.bin", 3, B, (ManifestPart(A, 1), ManifestPart(B, 2))),
        ManifestFile("MLmodel", 1, A),
    ]
)


def test_a_manifest_has_one_canonical_form() -> None:
    assert MANIFEST.to_bytes().decode() == (
        f'{{"files":[{{"path":"MLmodel","sha256":"{A}","size":1}},'
        f'{{"parts":[{{"sha256":"{A}","size":1}},{{"sha256":"{B}","size":2}}],'
        f'"path":"model/é.bin","sha256":"{B}","size":3}}],"version":1}}'
    )
    assert MANIFEST.digest == Digest.of(MANIFEST.to_bytes())


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST
    assert Manifest.from_bytes(Manifest([]).to_bytes()).files == ()


def test_the_order_in_which_files_come_does_not_matter() -> None:
    assert Manifest(reversed(MANIFEST.files)).digest == MANIFEST.digest


def one_file(**changes: object) -> bytes:
    file = {"path": "x", "sha256": A, "size": 1} | changes
    return json.dumps({"files": [file], "version": 1}, separators=(",", ":")).encode()


def test_the_file_that_the_next_test_damages_is_valid() -> None:
    assert Manifest.from_bytes(one_file()).files == (ManifestFile("x", 1, A),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b"[]",
        b'"files"',
        b"{}",
        b'{"files":{},"version":1}'.replace(b"{}", b"3"),
        b'{"files":["x"],"version":1}',
        b'{"files":[[]],"version":1}',
        b'{"files":[],"version":2}',
        b'{"files":[]}',
        b'{"files":[],"version":1} ',
        b'{"files":[],"version":1,"x":1}',
        b'{"files":[],"files":[],"version":1}',
        b'{"version":1,"files":[]}',
        one_file().replace(b'"x"', b'"\\u0078"'),
        one_file(size=True),
        one_file(size="1"),
        one_file(size=1.0),
        one_file(size=-1),
        one_file(size=None),
        one_file(path=3),
        one_file(path="../x"),
        one_file(sha256="abc"),
        one_file(parts=[]),
        one_file(parts=None),
        one_file(parts=[{}]),
        one_file(parts=["x"]),
        one_file(note="x"),
        MANIFEST.to_bytes().decode().encode("utf-16"),
    ],
)
def test_anything_but_the_canonical_form_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^(Invalid|The file)"):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([ManifestFile("x", 1, A), ManifestFile("x", 1, B)], "'x' occurs twice in the manifest"),
        (
            [ManifestFile("x", 1, A), ManifestFile("x!", 1, A), ManifestFile("x/y/z", 1, A)],
            "'x' is both a file and a folder, which contains 'x/y/z'",
        ),
        ([ManifestFile("x", 3, A, (ManifestPart(A, 1),))], "have 1 bytes in total, expected 3"),
        ([ManifestFile("x", 0, A, (ManifestPart(A, 1), ManifestPart(A, -1)))], "negative size"),
        ([ManifestFile("/etc/passwd", 1, A)], "Invalid artifact path '/etc/passwd'"),
        ([ManifestFile("x", 1, A)] * 100_001, "Too many files: 100001, expected at most 100000"),
    ],
)
def test_files_that_no_folder_could_hold_are_refused(
    files: list[ManifestFile], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Manifest(files)


@pytest.mark.parametrize(
    "path",
    [
        "MLmodel",
        "model/data/model.skops",
        "a b+c=d@e (1), [2]{3}~'!$&*^.txt",
        ".hidden/..name/...",
        "ünï/模型/🙂",
        "/".join("x" * 32),
        "x" * 255,
        "images/loss%step%7%timestamp%1795398406296%2f8bda4-00.png",
        "100 % sure",
        "val_loss:0.2.ckpt",
        'what?#;"<>|*\\.md',
        "..\\x/C:x/con/NUL.txt",
        " lead/trail /dots./...",
        "line\nbreak\ttab\x1b[31m\x7f\x85",
        "https%3A%2F%2Fhost%2Fpath/%2e%2e/a%00",
        "a\u202eb\u200b\ufffd",
        unicodedata.normalize("NFD", "é"),
    ],
)
def test_every_name_of_a_file_system_is_allowed(path: str) -> None:
    assert logical_path(path) == path


def test_the_composed_and_the_decomposed_form_of_a_name_are_two_files() -> None:
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    manifest = Manifest(ManifestFile(name, 1, A) for name in names)
    assert {file.path for file in Manifest.from_bytes(manifest.to_bytes()).files} == set(names)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "it is empty"),
        ("/etc/passwd", "without a leading /"),
        ("..", "the segment '..' is not allowed"),
        ("a/../b", "the segment '..' is not allowed"),
        ("./a", "the segment '.' is not allowed"),
        ("a//b", "the segment '' is not allowed"),
        ("a/", "the segment '' is not allowed"),
        ("a\0b", r"the character '\x00' is not allowed"),
        ("a\ud800b", "it is not UTF-8"),
        ("/".join("x" * 33), "it has 33 segments, expected at most 32"),
        ("x" * 256, "a segment has 256 characters, expected at most 255"),
        ("/".join(["é" * 200] * 3), "it has 1202 bytes, expected at most 1024"),
    ],
)
def test_a_path_outside_the_grammar_is_refused_with_the_rule_it_breaks(
    path: str, message: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        logical_path(path)

    assert refusal.value.message.startswith(f"Invalid artifact path {path[:120]!r}: ")
    assert message in refusal.value.message
