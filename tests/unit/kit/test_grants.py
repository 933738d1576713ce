"""Token files as editors, shells and secret stores of any system write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard_kit.auth.grants import read_service_token, read_token
from modelyard_kit.errors import InvalidArgument

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    "content",
    [
        TOKEN.encode(),
        f"{TOKEN}\n".encode(),
        f"{TOKEN}\r\n".encode(),
        f"  {TOKEN}\t\n\n".encode(),
        f"{TOKEN}\r\n".encode("utf-8-sig"),
    ],
)
def test_a_token_is_read_whatever_wrote_its_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    assert read_token(path) == TOKEN


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"too-short",
        f"{TOKEN}\n{TOKEN}\n".encode(),
        f"{TOKEN}\r{TOKEN}".encode(),
        f"{TOKEN}\n".encode("utf-16"),
        f"{TOKEN}-ä".encode(),
        f"{TOKEN}-ä".encode("latin-1"),
        f"{TOKEN}\0".encode(),
    ],
)
def test_a_file_whose_content_no_header_can_carry_is_refused_without_quoting_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match="at least 16 printable ASCII characters") as refused:
        read_token(path)
    assert TOKEN not in str(refused.value)


def test_an_api_token_is_refused_as_the_service_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    assert read_service_token(path) == TOKEN
    named = f"modelyard_0123456789_{'s' * 43}"
    path.write_text(named)
    assert read_token(path) == named
    with pytest.raises(InvalidArgument, match="holds an API token") as refused:
        read_service_token(path)
    assert named not in str(refused.value)
