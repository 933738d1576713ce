"""The number of connections follows from the limit of open files."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from modelyard_kit import descriptors


@pytest.fixture(autouse=True)
def limit_restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("files", "http", "rpc"),
    [(64, 16, 16), (256, 64, 64), (1024, 384, 384), (8192, 1024, 3968), (10_000, 1024, 4096)],
)
def test_connections_leave_files_for_the_process(files: int, http: int, rpc: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    assert (descriptors.for_http(), descriptors.for_rpc()) == (http, rpc)
