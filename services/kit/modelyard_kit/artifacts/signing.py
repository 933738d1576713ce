"""Expiring URLs for a store that has no HTTP front of its own: the gateway answers them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.errors import PermissionDenied

Method = Literal["GET", "PUT", "MULTIPART", "PART"]

MIN_SECRET_BYTES = 32

_FORGED = "The signature of this artifact URL is not valid; ask for a new URL"
_EXPIRED = "This artifact URL has expired; ask for a new URL"


@dataclass(frozen=True)
class UrlGrant:
    """What a valid URL allows.

    Attributes:
        digest: The object.
        size_bytes: The exact size to upload; None for a GET.
        filename: The name to save a download under, chosen by whoever uploaded the file.
        sender: Who gets a receipt for an upload; empty for nobody.
    """

    digest: Digest
    size_bytes: int | None
    filename: str | None
    sender: str = ""


class UrlSigner:
    """Makes URLs that carry their own permission, and checks them.

    The form is ``{base_url}/artifacts/objects/<digest>?method=…&expires=<unix s>&signature=<hex>``
    with ``size`` for a PUT, and ``sender`` and ``filename`` where they were given, or
    ``{base_url}/artifacts/files/<logical path>?…`` for a file that has no digest yet, or several
    objects. The signature is an HMAC-SHA-256 over the digest or path and all other parameters.

    Args:
        secret: At least 32 bytes, the same in every process that makes or checks the URLs.
        base_url: Tells the gateway's address, which may be known only after start.
    """

    def __init__(self, secret: bytes, base_url: Callable[[], str]) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"expected a secret of at least {MIN_SECRET_BYTES} bytes")
        self._secret = secret
        self._base_url = base_url

    def get_url(self, digest: Digest, expires_at_s: int, filename: str | None = None) -> str:
        """An URL to download an object until `expires_at_s`, in seconds of Unix time."""
        extra = {} if filename is None else {"filename": filename}
        return self._url(digest, {"method": "GET", "expires": str(expires_at_s), **extra})

    def put_url(
        self, digest: Digest, size_bytes: int, expires_at_s: int, sender: str | None = None
    ) -> str:
        """An URL to upload an object until `expires_at_s`, in seconds of Unix time.

        Args:
            digest: The object.
            size_bytes: Its size.
            expires_at_s: Until when.
            sender: Who gets a receipt.
        """
        extra = {} if sender is None else {"sender": sender}
        signed = {"method": "PUT", "size": str(size_bytes), "expires": str(expires_at_s)}
        return self._url(digest, {**signed, **extra})

    def receipt(self, digest: Digest, sender: str) -> bytes:
        """What only these services can write: that a sender had the bytes of an object.

        It is kept as an object, so that every service finds it, and is swept as what nothing
        refers to.
        """
        return self._signature(digest, {"method": "RECEIPT", "sender": sender}).encode()

    def file_url(self, method: Method, path: str, expires_at_s: int, **extra: str) -> str:
        """An URL to download or upload the file at a logical path until `expires_at_s`.

        Args:
            method: GET or PUT.
            path: Of an owner's tree, with the owner.
            expires_at_s: Seconds of Unix time.
            extra: Further parameters, signed too.
        """
        signed = self.sign(path, {"method": method, "expires": str(expires_at_s), **extra})
        return f"{self._base_url()}/artifacts/files/{quote(path)}?{urlencode(signed)}"

    def verify(
        self, method: Method, digest: Digest, query: Mapping[str, str], now_s: float
    ) -> UrlGrant:
        """Checks the URL of a request for an object.

        Args:
            method: How it was requested; a HEAD is a GET.
            digest: The last segment of its path.
            query: Its parameters, decoded once.
            now_s: Unix time in seconds.

        Raises:
            PermissionDenied: The URL was not made here for this method and digest, or has expired.
        """
        parameters = self.check(method, digest, query, now_s)
        size = parameters.get("size")
        return UrlGrant(
            digest,
            None if size is None else int(size),
            parameters.get("filename"),
            parameters.get("sender", ""),
        )

    def sign(self, subject: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Returns parameters with their signature.

        Args:
            subject: The digest or logical path they are about.
            parameters: With ``method`` and ``expires``, in seconds of Unix time.
        """
        return {**parameters, "signature": self._signature(subject, parameters)}

    def check(
        self, method: Method, subject: str, signed: Mapping[str, str], now_s: float
    ) -> dict[str, str]:
        """Returns the parameters that were signed, without the signature.

        Raises:
            PermissionDenied: They were not signed here for this method and subject, or have
                expired.
        """
        parameters = dict(signed)
        signature = parameters.pop("signature", "")
        expected = self._signature(subject, parameters)
        # As bytes: compare_digest refuses str that is not ASCII.
        genuine = hmac.compare_digest(signature.encode(), expected.encode())
        if not genuine or parameters["method"] != method:
            raise PermissionDenied(_FORGED)
        if now_s >= int(parameters["expires"]):
            raise PermissionDenied(_EXPIRED)
        return parameters

    @staticmethod
    def sender_in(url: str) -> str:
        """Who gets a receipt for what is uploaded to an URL; empty for nobody."""
        return parse_qs(urlsplit(url).query).get("sender", [""])[0]

    def _url(self, digest: Digest, parameters: dict[str, str]) -> str:
        signed = self.sign(digest, parameters)
        return f"{self._base_url()}/artifacts/objects/{digest}?{urlencode(signed)}"

    def _signature(self, subject: str, parameters: Mapping[str, str]) -> str:
        message = f"{subject}?{urlencode(sorted(parameters.items()))}"
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
