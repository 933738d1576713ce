"""Checks of an installation on the machine of its services."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from sqlalchemy import URL, Connection, make_url

from modelyard.internal import instances
from modelyard.redaction import redacted
from modelyard_kit.artifacts.marks import INSTALLATION, shown
from modelyard_kit.auth.grants import read_token
from modelyard_kit.db.base import usable
from modelyard_kit.db.identity import id_in
from modelyard_kit.db.migrations import current, current_in
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import Error, FailedPrecondition
from modelyard_kit.rpc.channel import connect
from modelyard_kit.settings.declarations import load
from modelyard_kit.settings.table import ServiceSettings
from modelyard_kit.tls import TlsFiles
from modelyard_server.admin.backups.snapshot import snapshot
from modelyard_server.admin.doctor.finding import Finding, fail, guarded, ok, warn
from modelyard_server.admin.identities import described
from modelyard_server.admin.installation import Installation
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE, missing
from modelyard_server.processes.home import identity_file
from modelyard_server.processes.running import tls_files

_OTHERS = 0o077
_GIB = 1 << 30
_LOW_BYTES, _FULL_BYTES = 5 * _GIB, _GIB // 4
_TIMEOUT_S = 3.0
_CALLED = ("TRACKING", "REGISTRY", "SERVING")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check(here: Installation, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the settings, the home and the databases of an installation."""
    if here.home.exists():
        yield from _home(here.home)
        yield _disk(here.home)
    if here.settings.token_file is not None:
        yield from guarded("token file", _ONE_LINE, lambda: _token_file(here.settings.token_file))
    for area in MIGRATIONS_BY_SERVICE:
        remedy = f"See MODELYARD_{area.upper()}_DATABASE_URL."
        yield from guarded(f"database of {area}", remedy, partial(_database, here, area))
    yield from _sqlite(here)
    yield from guarded("store", _STORE, lambda: _store(here))
    with suppress(Error):  # of a part that cannot be read, which has been reported
        yield _identity(here)
    if here.is_in_home:
        yield from _ports(here)
    yield from guarded("TLS files", _PEM, partial(_tls, environ))
    yield from _public_url(here)
    yield from guarded("services", _PEM, partial(_services, environ))


_ONE_LINE = "Put one line of at least 16 random characters into it, e.g. of `openssl rand -hex 32`."
_STORE = "See MODELYARD_ARTIFACTS and, for S3, MODELYARD_S3_ENDPOINT and the AWS_* credentials."


_RESTORE = (
    "Restore a backup: modelyard restore BACKUP --home NEW. Without one, start with an empty home."
)
_TOGETHER = (
    "Correct the settings of the part that differs, or restore it. A part that is new joins when "
    "the services start. Only if all belong together: modelyard migrate --adopt"
)
_PEM = "Name PEM files that the service may read, such as those of cert-manager or openssl."


def _home(home: Path) -> Iterator[Finding]:
    status = home.stat()
    if status.st_uid != os.geteuid():
        summary = f"{home} belongs to another user"
        yield fail(
            "home", summary, f"Run the platform as that user, or: chown -R {os.geteuid()} {home}"
        )
    elif not os.access(home, os.W_OK | os.X_OK):
        yield fail("home", f"{home} is not writable", f"chmod u+rwx {home}")
    elif status.st_mode & _OTHERS:
        yield warn("home", f"other users may read {home}", f"chmod 700 {home}")
    else:
        yield ok("home", f"{home}, for its owner only")


def _disk(home: Path) -> Finding:
    free_bytes = shutil.disk_usage(home).free
    summary = f"{free_bytes / _GIB:.1f} GiB free on the disk of {home}"
    if free_bytes < _FULL_BYTES:
        return fail("disk", summary, "Free some space: writes are refused when the disk is full.")
    if free_bytes < _LOW_BYTES:
        return warn(
            "disk", summary, "Free some space; `modelyard gc --dry-run` shows unused objects."
        )
    return ok("disk", summary)


def _token_file(path: Path | None) -> Iterator[Finding]:
    if path is None:
        return
    read_token(path)
    if path.stat().st_mode & _OTHERS:
        yield warn("token file", f"other users may read {path}", f"chmod 600 {path}")
    else:
        yield ok("token file", f"{path}, for its owner only")


def _database(here: Installation, area: str) -> Iterator[Finding]:
    url, tree, check_name = (
        here.database_url(area),
        MIGRATIONS_BY_SERVICE[area],
        f"database of {area}",
    )
    if not isinstance(url, URL) and make_url(url).drivername != "sqlite":
        with closing(open_database(url, pool_size=1)) as database:
            found = current(database, tree)
            with usable(area, database.remedy), database.engine.connect() as connection:
                risk = database.risk(connection)
        if risk:
            yield fail(check_name, risk, "Change the setting in the server's postgresql.conf.")
    elif isinstance(url, URL) and missing(area, here.home):
        yield fail(check_name, missing(area, here.home), _RESTORE)
        return
    elif not Path(make_url(url).database or "").is_file():
        yield ok(check_name, "does not exist yet; created at the first start")
        return
    else:
        try:
            with usable(area), snapshot(url) as connection:  # the file may be open in the service
                _refuse_damaged(connection)
                found = current_in(connection, tree)
        except FailedPrecondition as error:
            yield fail(check_name, error.message, _RESTORE)
            return
    yield _revision(check_name, found, tree.head, is_own=here.is_in_home)


def _refuse_damaged(connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
    if found != ["ok"]:
        raise FailedPrecondition(f"The database is damaged: {' '.join(' '.join(found).split())}")


def _revision(check_name: str, found: str | None, head: str, *, is_own: bool) -> Finding:
    if found == head:
        return ok(check_name, f"at revision {head}")
    if (found or "") > head:
        summary = f"at revision {found}; this version supports revisions up to {head}"
        return fail(check_name, summary, "Use the newer version of Modelyard that migrated it.")
    summary = f"at revision {found or 'none'}; this version requires {head}"
    if is_own:
        return warn(check_name, summary, "`modelyard up` migrates it at its start.")
    return fail(check_name, summary, "modelyard migrate")


def _sqlite(here: Installation) -> Iterator[Finding]:
    if all(area in here.urls for area in MIGRATIONS_BY_SERVICE):
        return
    version = sqlite3.sqlite_version_info
    is_fixed = version >= (3, 51, 3) or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in ((3, 44, 6), (3, 50, 7))
    )
    if is_fixed:
        yield ok("SQLite", sqlite3.sqlite_version)
        return
    yield warn(
        "SQLite",
        f"{sqlite3.sqlite_version} has a bug that can damage a database when two connections "
        "write and reset the log at the same instant (fixed in 3.44.6, 3.50.7 and 3.51.3); "
        "Modelyard avoids it: one process owns each file, and one connection at a time writes",
        "Use a Python with a newer SQLite when available, and keep backups: modelyard backup",
    )


def _store(here: Installation) -> Iterator[Finding]:
    store = here.open_store()
    if store.trusted:
        yield ok("store", "usable; the store itself refuses wrong bytes")
    else:
        yield ok("store", "usable; uploads are read again and hashed to detect wrong bytes")


def _identity(here: Installation) -> Finding:
    """Compare the ids of databases, store and home."""
    ids: dict[str, str | None] = {"the artifact store": here.open_store().mark(INSTALLATION)}
    if identity_file(here.home).exists():
        ids["the home"] = identity_file(here.home).read_text(errors="replace")
    for area, tree in MIGRATIONS_BY_SERVICE.items():
        url = here.database_url(area)
        if isinstance(url, URL) and not Path(url.database or "").is_file():
            continue
        with usable(area), snapshot(url) as connection:
            if current_in(connection, tree) == tree.head:
                ids[f"the database of {area}"] = id_in(connection, area)
    different = set(ids.values())
    if different == {None}:
        return ok("identity", "none yet; created when the services start first")
    if len(different) == 1:
        return ok("identity", f"all parts belong to the installation {shown(different.pop())}")
    return fail("identity", described(ids.items()), _TOGETHER)


def _ports(here: Installation) -> Iterator[Finding]:
    if instances.running(here.home) is not None:
        yield ok("ports", "not tested: the platform is running in this home")
        return
    settings = here.settings
    for name, port in (("port", settings.port), ("grpc_port", settings.grpc_port)):
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                summary = f"cannot listen on {settings.host}:{port}: {error.strerror}"
                remedy = f"Stop what listens there, or set MODELYARD_{name.upper()} to another."
                yield fail("ports", summary, remedy)
                continue
        yield ok("ports", f"{settings.host}:{port} is free")


def _tls(environ: Mapping[str, str]) -> Iterator[Finding]:
    files = _tls_files(environ)
    shown, trusted = files.server(), files.channel_credentials()
    if shown is not None or trusted is not None:
        yield ok("TLS files", "usable")


def _tls_files(environ: Mapping[str, str]) -> TlsFiles:
    return tls_files(load(ServiceSettings, environ))


def _public_url(here: Installation) -> Iterator[Finding]:
    url = here.settings.public_url
    if not url:
        return
    parts = urlsplit(url)
    if parts.hostname in _LOOPBACK and not _is_loopback(here.settings.host):
        summary = (
            f"MODELYARD_PUBLIC_URL {url} is a loopback address; remote clients cannot reach it"
        )
        yield fail("public URL", summary, "Set it to a name that remote clients can resolve.")
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        summary = (
            f"MODELYARD_PUBLIC_URL {url} is not encrypted: tokens and models can be read in transit"
        )
        yield warn(
            "public URL", summary, "Terminate TLS at a proxy, or set MODELYARD_TLS_CERT_FILE."
        )
    else:
        yield ok("public URL", url)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _services(environ: Mapping[str, str]) -> Iterator[Finding]:
    named = {role: environ.get(f"MODELYARD_{role}_TARGET") for role in _CALLED}
    targets = {role: target for role, target in named.items() if target}
    credentials = _tls_files(environ).channel_credentials() if targets else None
    or_tls = ", or MODELYARD_TLS_CA_FILE" if credentials else ""
    for role, target in targets.items():
        shown = redacted(target)
        if _answers(target, credentials):
            yield ok("services", f"{role.lower()} answers at {shown}")
        else:
            summary = f"{role.lower()} does not answer at {shown}"
            yield fail(
                "services", summary, f"Start it, or correct MODELYARD_{role}_TARGET{or_tls}."
            )


def _answers(target: str, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether a service answers at a target, in any syntax of gRPC."""
    with connect(target, credentials=credentials) as channel:
        ready = grpc.channel_ready_future(channel)
        try:
            ready.result(timeout=_TIMEOUT_S)
        except grpc.FutureTimeoutError:
            return False
        finally:
            ready.cancel()
    return True
