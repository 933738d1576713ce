"""Information about logged models, by URI."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from modelyard._extras import require_extra
from modelyard.exceptions import InvalidParameter
from modelyard.models._enforce import enforce_schema
from modelyard.models._folder import is_uri, local_model
from modelyard.models.model import MLMODEL_FILE_NAME, Model, ModelInfo
from modelyard.models.signature import ModelSignature
from modelyard.types.schema import Schema

_LOGGED_MODEL = re.compile(r"models:/+(m-[0-9a-f]{32})")


def _require() -> None:
    require_extra("modelyard.models", "sklearn", "numpy", "pandas", "yaml")


def get_model_info(model_uri: str) -> ModelInfo:
    """Return the content of a model's MLmodel file without loading the model.

    Args:
        model_uri: URI or folder, as for `modelyard.pyfunc.load_model`.

    Raises:
        NotFound: The model does not exist.
    """
    _require()
    return Model.load(local_model(model_uri).path).info(str(model_uri))


def set_signature(model_uri: str, signature: ModelSignature) -> None:
    """Replace the signature of a logged model; versions registered before keep theirs.

    Args:
        model_uri: `models:/m-<id>`, `runs:/<run_id>/<name>` or a model folder. A registered
            version never changes: register the logged model again instead.
        signature: The new signature.

    Raises:
        InvalidParameter: The URI names a registered version, or `signature` is not a signature.
        NotFound: The model does not exist.
    """
    _require()
    if not isinstance(signature, ModelSignature):
        raise InvalidParameter(
            f"signature must be a ModelSignature, got {type(signature).__name__}."
        )
    if not is_uri(model_uri):
        _rewrite(local_model(model_uri).path, signature)
        return
    if model_uri.startswith("models:") and not _LOGGED_MODEL.fullmatch(model_uri):
        raise InvalidParameter(
            f"The signature of '{model_uri}' cannot be set: a registered version never changes. "
            "Set it on the logged model, models:/m-<id> or runs:/<run_id>/<name>, and register "
            "that as a new version."
        )
    _replace(model_uri, signature)


def _replace(model_uri: str, signature: ModelSignature) -> None:
    """Replace the MLmodel file of a logged model."""
    from modelyard._artifacts import operations
    from modelyard._transport import connections

    with tempfile.TemporaryDirectory(prefix="modelyard-") as temporary:
        found = operations.fetch_model(model_uri, temporary)
        file = _rewrite(found.path, signature)
        if found.model_id:
            owner, folder = operations.Owner(model_id=found.model_id), None
        else:
            location = operations.locate(model_uri)
            if location.owner is None:
                raise InvalidParameter(f"'{model_uri}' is not a logged model.")
            owner, folder = location.owner, location.path
        operations.upload(connections.tracking_uri(), owner, file, folder)


def _rewrite(folder: Path, signature: ModelSignature) -> Path:
    model = Model.load(folder)
    model.signature = signature
    model.save(folder)
    return folder / MLMODEL_FILE_NAME


def validate_schema(data: Any, expected_schema: Schema) -> None:
    """Check that `data` fits a schema.

    Args:
        data: Data as for `PyFuncModel.predict`.
        expected_schema: Inputs or outputs of a signature.

    Raises:
        InvalidParameter: The data does not fit the schema; names the mismatch.
    """
    _require()
    enforce_schema(data, expected_schema)
