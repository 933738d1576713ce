"""Expiring URLs for a store that has no HTTP front of its own: the gateway answers them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.errors import PermissionDenied

Method = Literal["GET", "PUT"]

MIN_SECRET_BYTES = 32

_FORGED = "The signature of this artifact URL is not valid; ask for a new URL"
_EXPIRED = "This artifact URL has expired; ask for a new URL"


@dataclass(frozen=True)
class Grant:
    """What a valid URL allows.

    Attributes:
        digest: The object.
        size_bytes: The exact size to upload; None for a GET.
        filename: The name to save a download under, chosen by whoever uploaded the file.
    """

    digest: Digest
    size_bytes: int | None
    filename: str | None


class UrlSigner:
    """Makes URLs that carry their own permission, and checks them.

    The form is ``{base_url}/artifacts/objects/<digest>?method=…&expires=<unix s>&signature=<hex>``
    with ``size`` for a PUT and ``filename`` where one was given. The signature is an
    HMAC-SHA-256 over the digest and all other parameters.

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

    def put_url(self, digest: Digest, size_bytes: int, expires_at_s: int) -> str:
        """An URL to upload an object until `expires_at_s`, in seconds of Unix time."""
        return self._url(
            digest, {"method": "PUT", "size": str(size_bytes), "expires": str(expires_at_s)}
        )

    def verify(
        self, method: Method, digest: Digest, query: Mapping[str, str], now_s: float
    ) -> Grant:
        """Checks the URL of a request.

        Args:
            method: How it was requested; a HEAD is a GET.
            digest: The last segment of its path.
            query: Its parameters, decoded once.
            now_s: Unix time in seconds.

        Raises:
            PermissionDenied: The URL was not made here for this method and digest, or has expired.
        """
        parameters = dict(query)
        signature = parameters.pop("signature", "")
        expected = self._signature(digest, parameters)
        # As bytes: compare_digest refuses str that is not ASCII.
        genuine = hmac.compare_digest(signature.encode(), expected.encode())
        if not genuine or parameters["method"] != method:
            raise PermissionDenied(_FORGED)
        if now_s >= int(parameters["expires"]):
            raise PermissionDenied(_EXPIRED)
        size = parameters.get("size")
        return Grant(digest, None if size is None else int(size), parameters.get("filename"))

    def _url(self, digest: Digest, parameters: dict[str, str]) -> str:
        signed = {**parameters, "signature": self._signature(digest, parameters)}
        return f"{self._base_url()}/artifacts/objects/{digest}?{urlencode(signed)}"

    def _signature(self, digest: Digest, parameters: Mapping[str, str]) -> str:
        message = f"{digest}?{urlencode(sorted(parameters.items()))}"
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
