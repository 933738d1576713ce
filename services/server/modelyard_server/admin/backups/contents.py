"""The document of a backup, `backup.json`; written last, so that without it there is no backup."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelyard_kit.errors import DataLoss, InvalidArgument

FORMAT = 1
_NAME = "backup.json"


@dataclass(frozen=True, slots=True)
class TableFile:
    """The rows of one table.

    Attributes:
        file: Path of the file, relative to the backup.
        columns: Names of the columns, in the order of the values of a row.
        rows: Number of rows.
        sha256: SHA-256 of the file, 64 hexadecimal digits.
    """

    file: str
    columns: list[str]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ServiceDump:
    """Snapshot of a service's database.

    Attributes:
        revision: Revision of the schema.
        tables: Tables by name, each after those that it refers to.
    """

    revision: str
    tables: Mapping[str, TableFile]


@dataclass(frozen=True, slots=True)
class Contents:
    """Content of a backup.

    Attributes:
        modelyard: Version of Modelyard that wrote the backup.
        began: Start of the backup, UTC; everything acknowledged before is included.
        services: Dumps of the databases, by area.
        objects: Number of objects the databases refer to; None if objects were left out.
        objects_bytes: Total size of these objects, bytes.
    """

    modelyard: str
    began: str
    services: Mapping[str, ServiceDump]
    objects: int | None
    objects_bytes: int | None


def write(folder: Path, contents: Contents) -> None:
    """Write the document durably, which completes the backup."""
    document = {"format": FORMAT, **asdict(contents)}
    document["sha256"] = _digest(document)
    unfinished = folder / f".{_NAME}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / _NAME)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(folder: Path) -> Contents:
    """Read the document and check every file that it names.

    Raises:
        InvalidArgument: The folder holds no backup, or one of a newer version.
        DataLoss: The backup is damaged; names the file.
    """
    try:
        document = json.loads((folder / _NAME).read_bytes())
        claimed = document.pop("sha256")
        intact = claimed == _digest(document)
        version = document.pop("format")
    except FileNotFoundError:
        raise InvalidArgument(
            f"{folder} holds no complete backup: {_NAME}, which is written last, is missing. Make "
            "another backup."
        ) from None
    except OSError as error:
        raise InvalidArgument(f"The backup in {folder} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, AttributeError):
        intact = False
    if not intact:
        raise _damaged(_NAME)
    if version != FORMAT:
        raise InvalidArgument(
            f"The backup in {folder} has the format {version}; this version reads {FORMAT}. Use "
            "the version that wrote it, or a newer one."
        )
    contents = _contents(document)
    for dump in contents.services.values():
        for table in dump.tables.values():
            _check(folder, table)
    return contents


def _check(folder: Path, table: TableFile) -> None:
    try:
        with (folder / table.file).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        found = ""
    if found != table.sha256:
        raise _damaged(table.file)


def _damaged(file: str) -> DataLoss:
    return DataLoss(
        f"The backup is damaged: {file} is missing or was changed. Nothing was restored; use "
        "another backup.",
        file=file,
    )


def _contents(document: dict[str, Any]) -> Contents:
    services = {
        area: ServiceDump(
            dump["revision"],
            {name: TableFile(**table) for name, table in dump["tables"].items()},
        )
        for area, dump in document.pop("services").items()
    }
    return Contents(services=services, **document)


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
