"""`modelyard restore`: restore a backup into new databases and a store.

Exit codes: 0 done; 1 refused or failed, and the databases are unchanged; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

from modelyard.command_line import Parser
from modelyard_kit.artifacts import ArtifactStore, Digest
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import DataLoss, Error, InvalidArgument
from modelyard_server.admin import installation
from modelyard_server.admin.backups import contents, objects
from modelyard_server.admin.backups.loading import loaded, require_empty, verify_histories
from modelyard_server.admin.identities import join_restored
from modelyard_server.admin.installation import Installation
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE
from modelyard_server.processes.home import Home, identity_file

_AT_ONCE = 1_000


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    try:
        options = _parser().parse_args(argv)
        summary = _restore(installation.chosen(options), options)
    except Error as error:
        print(f"modelyard restore: {error.message}", file=sys.stderr)
        return 1
    print(summary)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard restore",
        description="Restore a backup into empty databases and the store of MODELYARD_ARTIFACTS, "
        "or the home's. A backup of SQLite can be restored into PostgreSQL, and vice versa.",
        examples=("/backups/monday --home ./restored",),
    )
    parser.add_argument("folder", type=Path, help="folder of the backup")
    installation.add_arguments(parser)
    parser.add_argument(
        "--objects",
        type=Path,
        metavar="FOLDER",
        help="folder with the backed-up objects (default: in the folder of the backup)",
    )
    parser.add_argument(
        "--verify", action="store_true", help="also verify objects that are in the store already"
    )
    return parser


def _restore(target: Installation, options: argparse.Namespace) -> str:
    folder = options.folder.expanduser().resolve()
    backup = contents.read(folder)
    with ExitStack() as undo:
        if not target.urls.keys() >= MIGRATIONS_BY_SERVICE.keys():
            undo.enter_context(closing(Home(target.home)))
        databases = {area: _open(target, area, undo) for area in MIGRATIONS_BY_SERVICE}
        for area, database in databases.items():
            require_empty(database, MIGRATIONS_BY_SERVICE[area])
        store = target.open_store()
        kept = _kept_objects(folder, options.objects) or store
        sizes = objects.needed(folder, backup, kept)
        _require_all(sizes, kept, store)
        with ExitStack() as transactions:
            connections = {
                area: transactions.enter_context(
                    loaded(
                        databases[area], MIGRATIONS_BY_SERVICE[area], backup.services[area], folder
                    )
                )
                for area in ("registry", "tracking")
            }
            names = verify_histories(connections["registry"])
            _bring(sizes, kept, store, verify=options.verify)
            join_restored(connections, store)
        identity_file(target.home).unlink(missing_ok=True)  # the next start writes the backup's
    rows = sum(table.rows for dump in backup.services.values() for table in dump.tables.values())
    return (
        f"Restored {rows:,} rows and {len(sizes):,} objects as they were at {backup.began}; the "
        f"histories of {names:,} models verify."
    )


def _open(target: Installation, area: str, undo: ExitStack) -> Database:
    database = open_database(target.database_url(area))
    undo.callback(database.close)
    return database


def _kept_objects(folder: Path, named: Path | None) -> ArtifactStore | None:
    """Open the folder of a backup's objects; None if there is none and the store must have them."""
    kept = named or folder / "objects"
    if kept.is_dir():
        return objects.open_folder(kept)
    if named is None:
        return None
    raise InvalidArgument(f"The folder {named} given by --objects does not exist.")


def _require_all(sizes: Mapping[Digest, int], kept: ArtifactStore, store: ArtifactStore) -> None:
    """Refuse a backup whose objects are neither kept with it nor in the store.

    Raises:
        DataLoss: Objects are missing; reports their number and one digest.
    """
    missing: list[Digest] = []
    for batch in _batches(sizes):
        found = {**store.sizes_bytes(batch), **kept.sizes_bytes(batch)}
        missing += [digest for digest in batch if found.get(digest) != sizes[digest]]
    if missing:
        raise DataLoss(
            f"{len(missing):,} of the {len(sizes):,} objects of this backup are missing from it "
            f"and from the store, or have another size, for example {missing[0]}. Nothing was "
            "restored. If they were backed up to another folder, name it: --objects FOLDER.",
            digest=missing[0],
        )


def _bring(
    sizes: Mapping[Digest, int], kept: ArtifactStore, store: ArtifactStore, *, verify: bool
) -> None:
    """Copy the objects that the store lacks, verified; with `verify`, verify the others, too.

    Raises:
        DataLoss: An object is damaged.
    """
    for digest, size_bytes in sizes.items():
        copied = objects.copy(digest, size_bytes, kept, store)
        if verify and not copied and not store.verify(digest):
            raise DataLoss(
                f"The object {digest} in the store is damaged; nothing was restored. Delete it "
                "from the store, then restore again.",
                digest=digest,
            )


def _batches(digests: Mapping[Digest, int]) -> Iterator[Sequence[Digest]]:
    left = iter(digests)
    while batch := list(islice(left, _AT_ONCE)):
        yield batch
