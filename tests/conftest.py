"""Servers that tests of one process share, and what is printed after the tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from pytest import TerminalReporter  # noqa: PT013 - named in a hook's signature
from tests.compat.environments import CLIENT
from tests.support import ram_disk
from tests.support.databases.dialects import DIALECTS, Dialect
from tests.support.processes.installed import build_wheel

from modelyard.internal import connections

# Each process of the suite collects all tests, and keeps them and the modules they import. Looking
# for garbage among them would take a third of that time, and a part of each test.
gc.disable()

if TYPE_CHECKING:  # imports boto3 and moto, which few tests need
    from tests.support.stores.s3_servers import S3Server

# Ignored where the suite runs in the background, and so by all processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ram_disk.use()
_TESTS = Path(__file__).parent
_LATER = {"compat": "clients", "e2e": "e2e", "faults": "faults"}
"""Marks of whole folders, which `make test` leaves to `make test-rest`."""
_TUTORIAL = {"e2e/test_seed.py", "e2e/test_readme.py", "compat/test_seed_unmodified.py"}
"""What `make test` runs of them: what users see first."""
_LONG_FIRST = ("faults", "compat", "e2e")
"""Folders of long modules: begun last, one would keep one core busy alone."""


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(_TESTS).parts[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what `make test` leaves to `make test-rest`."""
    folder, path = _folder(item), item.path.relative_to(_TESTS).as_posix()
    other_client = folder == "compat" and f"[{CLIENT}]" not in item.name
    if folder in _LATER and (path not in _TUTORIAL or other_client):
        item.add_marker(_LATER[folder])
    if "postgres" in item.nodeid.lower():  # by a parameter, a class or the name of a file
        item.add_marker("postgres")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long modules."""
    items.sort(key=lambda item: (*_LONG_FIRST, _folder(item)).index(_folder(item)))


def pytest_collection_finish() -> None:
    """Look for garbage from now on, except among what has been collected."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Which database: a test that asks for it runs once on each."""
    return cast(Dialect, request.param)


@pytest.fixture(scope="session")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the platform has run; tests change copies of it."""
    from tests.support.processes.in_process import start_once  # imports the server

    home = tmp_path_factory.mktemp("used") / "home"
    start_once(home)
    return home


@pytest.fixture(autouse=True)
def no_servers_of_other_tests() -> Iterator[None]:
    """No test calls a server that another one chose, or that had the same port."""
    with connections.isolated():
        yield


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that users install."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[S3Server]:
    """A SeaweedFS, which enforces what is signed; each test takes a bucket of its own."""
    from tests.support.stores import s3_servers

    with s3_servers.seaweedfs() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """A moto, which believes everything; each test takes a bucket of its own."""
    from tests.support.stores import s3_servers

    with s3_servers.moto() as server:
        yield server


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "unbuilt":
                terminalreporter.section("in the contract, not built yet")
                terminalreporter.write_line(str(value))
