"""Reads and writes `model.skops`."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from modelyard._notices import notice
from modelyard.exceptions import InvalidParameter, ModelyardException
from modelyard.models._pickles import needs_module
from modelyard.models._quote import quote
from modelyard.sklearn._archive import Archive
from modelyard.sklearn._construction import BrokenState, build
from modelyard.sklearn._object_graph import attributes, objects_in
from modelyard.sklearn._trusted import TRUSTED_TYPES

# skops stores arrays uncompressed, so a file unpacks to little more than its size; a recompressed
# file shrinks by less than this factor.
_MAX_EXPANSION = 20
_ALWAYS_ALLOWED_BYTES = 256 * 2**20
# As objects, JSON takes up to 20 times its bytes.
_ALWAYS_ALLOWED_SCHEMA_BYTES = 16 * 2**20


def save(model: Any, path: Path, also_trusted: Collection[str] = ()) -> None:
    """Write `model` to `path`; refuse types that `load` would refuse.

    A notice says if loading the file takes `allow_pickle` for what it holds.

    Args:
        model: A scikit-learn estimator.
        path: File to write.
        also_trusted: Names of types, beyond those the loader trusts, that may be written. Loading
            them takes `allow_pickle`.

    Raises:
        InvalidParameter: skops cannot store the model, the loader does not trust a type in it, or
            it reads files.
    """
    import skops.io

    from modelyard.sklearn._checked import why_unchecked  # needs numpy, an extra

    try:
        skops.io.dump(model, path)
        reported = set(skops.io.get_untrusted_types(file=path))
        untrusted = sorted(reported - TRUSTED_TYPES.keys() - set(also_trusted))
    except Exception as unsupported:
        raise InvalidParameter(
            f"{type(model).__name__} cannot be stored with skops ({_one_line(unsupported)}). "
            "serialization_format='cloudpickle' stores it; loading it then needs allow_pickle."
        ) from unsupported
    if untrusted:
        raise InvalidParameter(
            f"{type(model).__name__} holds types that the loader does not trust: "
            f"{quote(untrusted)}. With skops_trusted_types=[...] naming them, or with "
            "serialization_format='cloudpickle', it is stored; loading it then needs allow_pickle."
        )
    if also_trusted:
        return
    _refuse_readers(model)
    reason = why_unchecked(model)
    if reason is not None:
        notice("Loading this %s will need allow_pickle: %s.", type(model).__name__, reason)


def _refuse_readers(model: Any) -> None:
    """Refuse a vectorizer that takes its input for names of files, where it is served."""
    for part in objects_in(model):
        taken_for = attributes(part).get("input")
        if isinstance(taken_for, str) and taken_for in {"file", "filename"}:
            raise InvalidParameter(
                f"{type(part).__name__} has input={taken_for!r}: it would read files where it is "
                "served. With input='content' it is stored; with serialization_format='cloudpickle'"
                " too, and loading it then needs allow_pickle."
            )


def untrusted_by_skops(path: Path) -> list[str]:
    """Return the types of a file that skops alone would not load, for MLflow's loader."""
    import skops.io

    return sorted(skops.io.get_untrusted_types(file=path))


def load(path: Path, *, any_type: bool = False) -> Any:
    """Load a file after checking its types and arrays.

    Args:
        path: A skops file; claims of the file or its model folder about trust are ignored.
        any_type: Whether every type in it is trusted, which lets the file run any code.

    Raises:
        InvalidParameter: The file is not a skops file, is damaged, holds an untrusted type, or its
            arrays contradict each other.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from modelyard.sklearn._checked import refuse_unchecked

    try:
        _refuse_bomb(path)
        trusted = set(TRUSTED_TYPES)
        if any_type:
            trusted.update(skops.io.get_untrusted_types(file=path))
        model = build(path, sorted(trusted))
        if not any_type:
            refuse_unchecked(model)
    except ModelyardException:
        raise
    except BrokenState as broken:
        raise InvalidParameter(
            f"The model was not loaded: {broken}. The file is damaged or forged; log the model "
            "again."
        ) from broken
    except ModuleNotFoundError as absent:
        raise needs_module(absent) from absent
    except UntrustedTypesFoundException as refused:
        untrusted = sorted(set(skops.io.get_untrusted_types(file=path)) - TRUSTED_TYPES.keys())
        raise InvalidParameter(
            f"The model was not loaded: it holds types that are not trusted: {quote(untrusted)}. "
            "If you trust its author, load it with allow_pickle=True (serve it with "
            "--allow-pickle)."
        ) from refused
    except Exception as damaged:  # a forged file can fail anywhere in skops, zipfile or numpy
        raise InvalidParameter(
            f"The model was not loaded: {path.name} is not a readable skops file "
            f"({type(damaged).__name__}). It is damaged or forged; log the model again."
        ) from damaged
    return model


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _refuse_bomb(path: Path) -> None:
    """Bound the unpacked size of a file; each reference to an array unpacks it once more."""
    expanded = _MAX_EXPANSION * path.stat().st_size
    allowed = max(_ALWAYS_ALLOWED_BYTES, expanded)
    allowed_schema = max(_ALWAYS_ALLOWED_SCHEMA_BYTES, expanded)
    with Archive(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        total = sum(sizes.values())
        schema = sizes.get("schema.json", 0)
        if schema > allowed_schema:
            total, allowed = schema, allowed_schema
        if total <= allowed:
            # A shared array is read once per id, a forged one at each reference.
            total += sum(sizes.get(name, 0) for name in _repeats(archive.read("schema.json")))
    if total > allowed:
        raise InvalidParameter(
            f"The model was not loaded: {path.name} unpacks to {total} bytes, more than the "
            f"{allowed} allowed for a file of its size."
        )


def _repeats(schema: bytes) -> list[str]:
    """Return the files that are referenced again under another id."""
    seen: set[tuple[str, int | None]] = set()
    names: set[str] = set()
    repeated: list[str] = []
    waiting = [json.loads(schema)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            name, identity = node.get("file"), node.get("__id__")
            if isinstance(name, str) and (identity is None or (name, identity) not in seen):
                if name in names:
                    repeated.append(name)
                names.add(name)
                seen.add((name, identity))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return repeated
