import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.errors import DataLoss

SIGNER = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1:5000")
DATA = b"weights" * 100_000
DIGEST = Digest.of(DATA)

INTERRUPTED_UPLOAD = """
import sys
from pathlib import Path
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.local import LocalStore

def chunks():
    yield b"weights" * 50_000
    print("half", flush=True)
    sys.stdin.read()

store = LocalStore(Path(sys.argv[1]), UrlSigner(b"s" * 32, lambda: ""))
store.put(Digest(sys.argv[2]), chunks(), 700_000)
"""


def leftovers(root: Path) -> list[Path]:
    return list((root / "incoming").iterdir())


def test_only_the_owner_can_read_folders_and_files_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        LocalStore(tmp_path / "home" / "store", SIGNER).put(DIGEST, [DATA], len(DATA))
    finally:
        os.umask(before)

    made = list((tmp_path / "home").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert [path.stat().st_mode & 0o777 for path in made if path.is_file()] == [0o400]


def test_an_object_lies_under_its_digest_and_nothing_else_is_left(tmp_path: Path) -> None:
    LocalStore(tmp_path, SIGNER).put(DIGEST, [DATA], len(DATA))

    assert (tmp_path / "sha256" / DIGEST[:2] / DIGEST[2:4] / DIGEST).read_bytes() == DATA
    assert leftovers(tmp_path) == []


def test_a_second_store_on_the_folder_finds_what_the_first_put(tmp_path: Path) -> None:
    LocalStore(tmp_path, SIGNER).put(DIGEST, [DATA], len(DATA))

    assert LocalStore(tmp_path, SIGNER).verify(DIGEST)


def test_damaged_bytes_do_not_verify_and_are_made_good_by_another_put(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, SIGNER)
    store.put(DIGEST, [DATA], len(DATA))
    path = tmp_path / DIGEST.key
    path.chmod(0o600)
    path.write_bytes(b"X" + DATA[1:])
    assert not store.verify(DIGEST)

    store.put(DIGEST, [DATA], len(DATA))

    assert store.verify(DIGEST)


def test_bytes_that_vanish_under_a_reader_are_data_loss_not_a_short_read(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, SIGNER)
    data = DATA * 4  # more than one chunk
    digest = Digest.of(data)
    store.put(digest, [data], len(data))

    with store.open(digest) as chunks:
        next(chunks)
        (tmp_path / digest.key).chmod(0o600)
        os.truncate(tmp_path / digest.key, 0)
        with pytest.raises(DataLoss, match="lost its last"):
            list(chunks)


def test_a_process_killed_during_an_upload_leaves_no_object(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED_UPLOAD, str(tmp_path), DIGEST]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)

    store = LocalStore(tmp_path, SIGNER)
    assert not store.has(DIGEST)
    store.put(DIGEST, [DATA], len(DATA))
    assert store.verify(DIGEST)


def test_a_start_sweeps_stale_uploads_and_nothing_else(tmp_path: Path) -> None:
    LocalStore(tmp_path, SIGNER).put(DIGEST, [DATA], len(DATA))
    incoming = tmp_path / "incoming"
    stale, running, foreign = (
        incoming / "upload-stale.part",
        incoming / "upload-running.part",
        incoming / "notes.txt",
    )
    for path in (stale, running, foreign):
        path.write_bytes(b"x")
    two_hours_ago = time.time() - 7200
    os.utime(stale, (two_hours_ago, two_hours_ago))
    os.utime(foreign, (two_hours_ago, two_hours_ago))

    store = LocalStore(tmp_path, SIGNER)

    assert sorted(leftovers(tmp_path)) == sorted([running, foreign])
    assert store.verify(DIGEST)


FULL_DISK = """
import resource
import sys
from pathlib import Path
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.errors import ResourceExhausted

store = LocalStore(Path(sys.argv[1]), UrlSigner(b"s" * 32, lambda: ""))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put(Digest(sys.argv[2]), [b"weights" * 100_000], 700_000)
except ResourceExhausted as error:
    print(error.message)
"""


def test_a_full_disk_is_reported_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), DIGEST],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == (
        "The disk of the artifact store is full; nothing was kept. Free some space, then try "
        "again.\n"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_listing_contains_objects_only(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, SIGNER)
    store.put(DIGEST, [DATA], len(DATA))
    for foreign in ("notes.txt", f"{DIGEST[:2]}/{DIGEST}", f"00/00/{DIGEST}", "a/b/c/d"):
        path = tmp_path / "sha256" / foreign
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not ours")

    assert [found.digest for found in store.list_objects()] == [DIGEST]


class UnreadableDisk(io.RawIOBase):
    """A file whose sectors cannot be read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, _buffer: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def close(self) -> None:
        self._file.close()
        super().close()


class StoreOnUnreadableDisk(LocalStore):
    def _file(self, digest: Digest) -> io.BufferedReader:
        return io.BufferedReader(UnreadableDisk(self._path(digest)))


def test_an_object_that_the_disk_cannot_read_is_damaged(tmp_path: Path) -> None:
    store = StoreOnUnreadableDisk(tmp_path, SIGNER)
    digest = Digest.of(b"bytes")
    store.put(digest, [b"bytes"], 5)

    assert not store.verify(digest)
    with (
        pytest.raises(DataLoss, match=f"cannot read the object {digest}"),
        store.open(digest) as chunks,
    ):
        list(chunks)
