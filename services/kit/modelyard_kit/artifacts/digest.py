"""Digests: objects are named by the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import re
from typing import Self

from modelyard_kit.errors import InvalidArgument

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SHOWN_CHARACTERS = 80


class Digest(str):
    """A SHA-256 as 64 lower-case hexadecimal digits, checked on construction.

    Raises:
        InvalidArgument: The text has another form.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _HEX_SHA256.fullmatch(text):
            raise InvalidArgument(
                f"Invalid digest {text[:_MAX_SHOWN_CHARACTERS]!r}: expected the SHA-256 as 64 "
                "lower-case hexadecimal digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the digest of some bytes."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def at(cls, key: str) -> Self | None:
        """Return the digest of the object that a store keeps at `key`; None for a foreign key."""
        name = key.rsplit("/", 1)[-1]
        if not _HEX_SHA256.fullmatch(name):
            return None
        digest = cls(name)
        return digest if digest.key == key else None

    @property
    def key(self) -> str:
        """Key of the object in a store; it contains no other input of clients."""
        return f"sha256/{self[:2]}/{self[2:4]}/{self}"
