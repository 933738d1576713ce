"""Single objects between files and a store that answers as told."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard import _transfer
from modelyard._transfer import File, Object
from modelyard.exceptions import DataLoss, InvalidState, NotFound, Unavailable


class _Store(http.server.BaseHTTPRequestHandler):
    answers: list[tuple[int, bytes]]
    received: list[bytes]

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer()

    def _answer(self) -> None:
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[tuple[str, type[Any]]]:
    handler = type("Handler", (_Store,), {"answers": [], "received": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/object", handler
        server.shutdown()
        thread.join()


def _get(url: str, wanted: bytes, sink: Path) -> None:
    digest = hashlib.sha256(wanted).hexdigest()
    with sink.open("w+b") as file:
        _transfer.get(Object(digest, len(wanted)), url, "some/file", file)


def test_a_transfer_is_tried_again(store: tuple[str, type[Any]], tmp_path: Path) -> None:
    url, handler = store
    handler.answers += [(503, b""), (200, b"bytes")]
    _get(url, b"bytes", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"bytes"
    handler.answers += [(500, b""), (200, b"")]
    _transfer.put(url, {"x": "y"}, tmp_path / "got", 1, 3)
    assert handler.received == [b"yte", b"yte"]


def test_an_object_that_is_there_already_is_fine(
    store: tuple[str, type[Any]], tmp_path: Path
) -> None:
    url, handler = store
    (tmp_path / "a").write_bytes(b"bytes")
    handler.answers += [(412, b"")]
    _transfer.put(url, {}, tmp_path / "a", 0, 5)
    handler.answers += [(400, b"")]
    with pytest.raises(InvalidState, match="'a' \\(400\\)"):
        _transfer.put(url, {}, tmp_path / "a", 0, 5)


@pytest.mark.parametrize("body", [b"bytez", b"byte", b"bytes and more"])
def test_other_bytes_than_asked_for_are_refused(
    store: tuple[str, type[Any]], tmp_path: Path, body: bytes
) -> None:
    url, handler = store
    handler.answers += [(200, body)] * 4
    with pytest.raises(DataLoss, match="'some/file'"):
        _get(url, b"bytes", tmp_path / "got")


def test_a_store_that_refuses_or_stays_down_is_said(
    store: tuple[str, type[Any]], tmp_path: Path
) -> None:
    url, handler = store
    handler.answers += [(403, b"")]
    with pytest.raises(NotFound, match=r"'some/file' \(403\)"):
        _get(url, b"bytes", tmp_path / "got")
    handler.answers += [(503, b"")] * 4
    with pytest.raises(Unavailable, match="503"):
        _get(url, b"bytes", tmp_path / "got")


def test_only_http_urls_are_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"bytes")
    with pytest.raises(ValueError, match="scheme 'file'"):
        _get((tmp_path / "secret").as_uri(), b"bytes", tmp_path / "got")


def test_a_file_of_exactly_64_mib_is_one_object(tmp_path: Path) -> None:
    with (tmp_path / "edge").open("wb") as file:
        file.truncate(64 << 20)
    assert len(_transfer.describe("edge", tmp_path / "edge").objects) == 1


def test_a_file_knows_its_size() -> None:
    assert File("a", "z", (Object("x", 3), Object("y", 4))).size_bytes == 7
