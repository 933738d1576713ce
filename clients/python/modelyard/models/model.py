"""The MLmodel file, which describes a model folder."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard._documents import Unreadable, read_file, read_yaml
from modelyard.exceptions import InvalidParameter, NotFound
from modelyard.models.signature import ModelSignature

MLMODEL_FILE_NAME = "MLmodel"

# Real ones have a few kilobytes; a signature of ten thousand columns has about one megabyte.
_MAX_BYTES = 4 * 2**20


def _utc_now() -> str:
    return str(dt.datetime.now(dt.UTC).replace(tzinfo=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A logged model.

    Attributes:
        model_uri: `models:/m-<id>`, or the folder of a model that was only saved.
        artifact_path: Name under which the model was logged.
        utc_time_created: Time of creation, such as `2026-01-31 12:00:00.000000`.
        registered_model_version: Number of the version, if registered in the same call.
    """

    model_uri: str
    model_id: str | None
    run_id: str | None
    artifact_path: str | None
    name: str | None
    flavors: dict[str, dict[str, Any]]
    signature: ModelSignature | None
    saved_input_example_info: dict[str, Any] | None
    metadata: dict[str, Any] | None
    model_uuid: str
    utc_time_created: str
    registered_model_version: int | None = None

    def __repr__(self) -> str:
        version = self.registered_model_version
        registered = "" if version is None else f", registered_model_version={version}"
        return f"ModelInfo(model_uri={self.model_uri!r}, name={self.name!r}{registered})"


@dataclass(slots=True, kw_only=True)
class Model:
    """The content of an MLmodel file.

    Attributes:
        artifact_path: Name under which the model was logged.
        flavors: Description of each flavour by name, such as `python_function` or `sklearn`.
        model_size_bytes: Size of all files of the folder except MLmodel, bytes.
        unknown: Keys of other writers; preserved when the file is rewritten.
    """

    artifact_path: str | None = None
    run_id: str | None = None
    model_id: str | None = None
    flavors: dict[str, dict[str, Any]] = field(default_factory=dict)
    signature: ModelSignature | None = None
    saved_input_example_info: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    model_size_bytes: int | None = None
    model_uuid: str = field(default_factory=lambda: uuid.uuid4().hex)
    utc_time_created: str = field(default_factory=_utc_now)
    unknown: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        name, flavors = self.artifact_path, sorted(self.flavors)
        return f"Model(name={name!r}, model_id={self.model_id!r}, flavors={flavors})"

    def to_dict(self) -> dict[str, Any]:
        written: dict[str, Any] = {
            "flavors": self.flavors,
            "is_signature_from_type_hint": False,
            "model_uuid": self.model_uuid,
            "prompts": None,
            "type_hint_from_example": False,
            "utc_time_created": self.utc_time_created,
            **self.unknown,
        }
        optional = {
            "artifact_path": self.artifact_path,
            "metadata": self.metadata,
            "model_id": self.model_id,
            "model_size_bytes": self.model_size_bytes,
            "run_id": self.run_id,
            "saved_input_example_info": self.saved_input_example_info,
            "signature": self.signature.to_dict() if self.signature else None,
        }
        written.update((key, value) for key, value in optional.items() if value is not None)
        return written

    @classmethod
    def from_dict(cls, read: dict[str, Any]) -> Model:
        """Read the keys of an MLmodel file.

        Raises:
            InvalidParameter: A key has a value of a wrong type.
        """
        known = set(cls.__dataclass_fields__) - {"unknown", "signature"}
        values = {key: read[key] for key in known & read.keys() if read[key] is not None}
        for key, value in values.items():
            wanted = _kind(key)
            # YAML reads an unquoted time as a time and a hexadecimal id of digits as a number.
            if wanted is str and not isinstance(value, dict | list):
                values[key] = str(value)
            elif not isinstance(value, wanted):
                raise _malformed(f"{key} is {type(value).__name__}")
        for name, flavor in values.get("flavors", {}).items():
            if not isinstance(name, str) or not isinstance(flavor, dict):
                raise _malformed("a flavor is not a mapping under a name")
        signature = read.get("signature")
        if signature is not None and not isinstance(signature, dict):
            raise _malformed("signature is not a mapping")
        return cls(
            **values,
            signature=ModelSignature.from_dict(signature) if signature else None,
            unknown={k: v for k, v in read.items() if k not in known and k != "signature"},
        )

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read an MLmodel file.

        Args:
            path: The file or its folder.

        Raises:
            NotFound: The file does not exist.
            InvalidParameter: The file is not a valid MLmodel file.
        """
        file = Path(path)
        file = file / MLMODEL_FILE_NAME if file.is_dir() else file
        if not file.is_file():
            raise NotFound("The folder is not a model: it has no MLmodel file.")
        try:
            read = read_yaml(read_file(file, _MAX_BYTES))
        except Unreadable as unreadable:
            raise _malformed(str(unreadable)) from unreadable
        if not isinstance(read, dict) or not isinstance(read.get("flavors"), dict):
            raise _malformed("it lists no flavors")
        return cls.from_dict(read)

    def save(self, path: str | Path) -> None:
        """Write the file; `path` is the file itself or its folder."""
        import yaml

        file = Path(path)
        file = file / MLMODEL_FILE_NAME if file.is_dir() else file
        file.write_text(yaml.safe_dump(self.to_dict(), allow_unicode=True), encoding="utf-8")

    def info(self, model_uri: str, registered_model_version: int | None = None) -> ModelInfo:
        return ModelInfo(
            model_uri=model_uri,
            model_id=self.model_id,
            run_id=self.run_id,
            artifact_path=self.artifact_path,
            name=self.artifact_path,
            flavors=self.flavors,
            signature=self.signature,
            saved_input_example_info=self.saved_input_example_info,
            metadata=self.metadata,
            model_uuid=self.model_uuid,
            utc_time_created=self.utc_time_created,
            registered_model_version=registered_model_version,
        )


def _kind(key: str) -> type:
    kinds: dict[str, type] = {
        "flavors": dict,
        "saved_input_example_info": dict,
        "metadata": dict,
        "model_size_bytes": int,
    }
    return kinds.get(key, str)


def _malformed(what: str) -> InvalidParameter:
    return InvalidParameter(f"The MLmodel file cannot be read: {what}.")
