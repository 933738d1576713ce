"""The tag that protects a model from deletion, for clients that know tags only."""

from __future__ import annotations

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.names import shown

PROTECTION_TAG = "modelyard.deletion_protection"
_VALUES = {"true": True, "false": False}


def protects(value: str) -> bool:
    """Return whether a value of `PROTECTION_TAG` protects the model; upper case counts too.

    Raises:
        InvalidArgument: The value is neither `true` nor `false`.
    """
    protection = _VALUES.get(value.lower())
    if protection is None:
        raise InvalidArgument(
            f"Invalid value {shown(value)} of the tag '{PROTECTION_TAG}': expected 'true' or "
            "'false'.",
            field="value",
            key=PROTECTION_TAG,
        )
    return protection
