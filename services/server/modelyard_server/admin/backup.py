"""`modelyard backup`: write the databases and objects of an installation to a folder.

May run while the platform is running. Exit codes: 0 done; 1 refused or failed, and the folder holds
no backup; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from modelyard.command_line import Parser
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.db.base import usable
from modelyard_kit.errors import DataLoss, Error, FailedPrecondition, NotFound
from modelyard_server.admin import installation
from modelyard_server.admin.backups import contents, objects
from modelyard_server.admin.backups.contents import Contents, ServiceDump
from modelyard_server.admin.backups.snapshot import dump, snapshot
from modelyard_server.admin.installation import Installation
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    try:
        options = _parser().parse_args(argv)
        summary = _backup(installation.chosen(options), options)
    except Error as error:
        print(f"modelyard backup: {error.message}", file=sys.stderr)
        return 1
    print(summary)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard backup",
        description="Write the databases and objects of an installation to a new folder. May run "
        "while the platform is running; the backup includes everything acknowledged before it "
        "began. The store is that of MODELYARD_ARTIFACTS, or the home's.",
        examples=("/backups/monday", "/backups/tuesday --objects /backups/objects"),
    )
    parser.add_argument("folder", type=Path, help="folder of the backup; must be new or empty")
    installation.add_arguments(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--objects",
        type=Path,
        metavar="FOLDER",
        help="folder for objects, shared by several backups; objects already there are not copied "
        "again (default: in the folder of the backup)",
    )
    where.add_argument(
        "--no-objects",
        action="store_true",
        help="leave objects out, if the store is versioned or replicated by itself",
    )
    return parser


def _backup(source: Installation, options: argparse.Namespace) -> str:
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    folder = _new_folder(options.folder)
    store = source.open_store()
    target = None
    if not options.no_objects:
        target = objects.open_folder(options.objects or folder / "objects")
        # Objects swept later are already copied, so that the second round misses none.
        objects.copy_all(store, target)
    services = _dump_databases(source, folder)
    written = Contents(version("modelyard"), began, services, None, None)
    if target is not None:
        sizes = _copy_needed(folder, written, store, target)
        written = Contents(version("modelyard"), began, services, len(sizes), sum(sizes))
    contents.write(folder, written)
    rows = sum(table.rows for dump in services.values() for table in dump.tables.values())
    kept = "without objects"
    if written.objects is not None:
        kept = f"{written.objects:,} objects of {written.objects_bytes:,} bytes"
    return f"Backed up to {folder}: {rows:,} rows, {kept}. The backup is as of {began}."


def _new_folder(folder: Path) -> Path:
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FailedPrecondition(
                f"{folder} is not empty, and a backup never overwrites files; name a new folder."
            )
        folder.chmod(0o700)
    except OSError as error:
        raise FailedPrecondition(f"{folder} cannot be used: {error.strerror}.") from None
    return folder


def _dump_databases(source: Installation, folder: Path) -> dict[str, ServiceDump]:
    services = {}
    # The registry first: the later dump of tracking then has all runs that its versions refer to.
    for area in ("registry", "tracking"):
        with usable(area), snapshot(source.database_url(area)) as connection:
            services[area] = dump(connection, MIGRATIONS_BY_SERVICE[area], folder)
    return services


def _copy_needed(
    folder: Path, written: Contents, store: ArtifactStore, target: ArtifactStore
) -> list[int]:
    """Copy the missing objects that the rows refer to; return the sizes of all of them."""
    try:
        for digest in objects.pinned(folder, written):
            size_bytes = target.size_bytes(digest) or store.size_bytes(digest)
            if size_bytes is not None:
                objects.copy(digest, size_bytes, store, target)
        sizes = objects.needed(folder, written, target)
        for digest, size_bytes in sizes.items():
            objects.copy(digest, size_bytes, store, target)
    except NotFound as error:
        raise DataLoss(
            f"{error.message}, but the databases refer to it. If a sweep ran for longer than the "
            "backup, back up again; otherwise the store has lost the object."
        ) from None
    return list(sizes.values())
