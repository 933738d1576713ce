"""The name of bytes: their SHA-256."""

from __future__ import annotations

import hashlib
import re
from typing import Self

from modelyard_kit.errors import InvalidArgument

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SHOWN_CHARACTERS = 80


class Digest(str):
    """A SHA-256 as 64 lower-case hexadecimal digits; having one means that it was checked.

    Raises:
        InvalidArgument: The text is anything else.
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
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def at(cls, key: str) -> Self | None:
        """The digest of the object that a store keeps at `key`; None for anybody else's key."""
        name = key.rsplit("/", 1)[-1]
        if not _HEX_SHA256.fullmatch(name):
            return None
        digest = cls(name)
        return digest if digest.key == key else None

    @property
    def key(self) -> str:
        """Where a store keeps the object; nothing else a client sends is ever part of it."""
        return f"sha256/{self[:2]}/{self[2:4]}/{self}"
