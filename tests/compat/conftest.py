"""A platform for the clients of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.processes.up_process import Up, up


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("platform") / "home") as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def tracking_uri(platform: Up) -> str:
    return str(platform.instance["http"])
