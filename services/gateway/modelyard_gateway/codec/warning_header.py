"""Warnings of replies as the header `Warning`, so that the JSON stays MLflow's."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor

FIELD = "warnings"
_MAX_CHARACTERS = 1000


def has_warnings(kind: Descriptor) -> bool:
    """Whether replies of a type may have warnings."""
    return FIELD in kind.fields_by_name


def take(message: Any) -> dict[str, str]:
    """Remove the warnings of a reply, and return them as a header; empty if there are none."""
    texts = list(message.warnings)
    if not texts:
        return {}
    message.ClearField(FIELD)
    values: list[str] = []
    for shown, text in enumerate(texts):
        value = _value(text)
        if sum(map(len, values)) + len(value) > _MAX_CHARACTERS:
            values.append(_value(f"{len(texts) - shown} more"))
            break
        values.append(value)
    return {"warning": ", ".join(values)}


def _value(text: str) -> str:
    r"""Return a text as a warning value, in printable ASCII; other characters become `\u…`."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    ascii_only = printable.encode("ascii", "backslashreplace").decode()
    quoted = ascii_only.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 modelyard "{quoted}"'
