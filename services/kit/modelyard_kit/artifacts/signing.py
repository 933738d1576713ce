"""Signed URLs with an expiry, which the gateway answers for a store without HTTP interface."""

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
    """The access that a valid URL grants.

    Attributes:
        digest: Digest of the object.
        size_bytes: Exact size of the upload; None for a GET.
        filename: Name to save a download under, chosen by the uploader; None for no name.
        sender: Principal that receives a receipt for the upload; empty for none.
    """

    digest: Digest
    size_bytes: int | None
    filename: str | None
    sender: str = ""


class UrlSigner:
    """Creates and verifies URLs that carry their own permission.

    The form is ``{base_url}/artifacts/objects/<digest>?method=…&expires=<unix s>&signature=<hex>``
    with ``size`` for a PUT, and ``sender`` and ``filename`` if given, or
    ``{base_url}/artifacts/files/<logical path>?…`` for a file without a digest yet, or of several
    objects. The signature is an HMAC-SHA-256 over the digest or path and all other parameters.

    Args:
        secret: At least 32 bytes, the same in every process that creates or verifies URLs.
        base_url: Returns the gateway's URL, which may be known only after start.
    """

    def __init__(self, secret: bytes, base_url: Callable[[], str]) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"expected a secret of at least {MIN_SECRET_BYTES} bytes")
        self._secret = secret
        self._base_url = base_url

    @property
    def base_url(self) -> str:
        """URL at which clients reach the gateway."""
        return self._base_url()

    def get_url(self, digest: Digest, expires_at_s: int, filename: str | None = None) -> str:
        """Return a URL to download an object until `expires_at_s`, Unix time in seconds."""
        extra = {} if filename is None else {"filename": filename}
        return self._url(digest, {"method": "GET", "expires": str(expires_at_s), **extra})

    def put_url(
        self, digest: Digest, size_bytes: int, expires_at_s: int, sender: str | None = None
    ) -> str:
        """Return a URL to upload an object.

        Args:
            digest: Digest of the object.
            size_bytes: Exact size of the object.
            expires_at_s: Expiry of the URL, Unix time in seconds.
            sender: Principal that receives a receipt; None for none.
        """
        extra = {} if sender is None else {"sender": sender}
        signed = {"method": "PUT", "size": str(size_bytes), "expires": str(expires_at_s)}
        return self._url(digest, {**signed, **extra})

    def receipt(self, digest: Digest, sender: str) -> bytes:
        """Return an unforgeable proof that a sender had the bytes of an object.

        It is stored as an object, so that every service finds it, and swept as an object without
        owners.
        """
        return self._signature(digest, {"method": "RECEIPT", "sender": sender}).encode()

    def file_url(self, method: Method, path: str, expires_at_s: int, **extra: str) -> str:
        """Return a URL to download or upload the file at a logical path.

        Args:
            method: Operation that the URL permits.
            path: Path in an artifact tree, with the owner of the tree.
            expires_at_s: Expiry of the URL, Unix time in seconds.
            extra: Further parameters to sign.
        """
        signed = self.sign(path, {"method": method, "expires": str(expires_at_s), **extra})
        return f"{self._base_url()}/artifacts/files/{quote(path)}?{urlencode(signed)}"

    def verify(
        self, method: Method, digest: Digest, query: Mapping[str, str], now_s: float
    ) -> UrlGrant:
        """Verify the URL of a request for an object.

        Args:
            method: Method of the request; a HEAD counts as GET.
            digest: Last segment of the URL's path.
            query: Parameters of the URL, decoded once.
            now_s: Current Unix time in seconds.

        Raises:
            PermissionDenied: The URL was not signed for this method and digest, or has expired.
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
        """Return parameters with their signature added.

        Args:
            subject: Digest or logical path that the parameters apply to.
            parameters: Parameters, among them ``method`` and ``expires`` (Unix time in seconds).
        """
        return {**parameters, "signature": self._signature(subject, parameters)}

    def check(
        self, method: Method, subject: str, signed: Mapping[str, str], now_s: float
    ) -> dict[str, str]:
        """Return the signed parameters without the signature.

        Raises:
            PermissionDenied: The parameters were not signed for this method and subject, or have
                expired.
        """
        parameters = dict(signed)
        signature = parameters.pop("signature", "")
        expected = self._signature(subject, parameters)
        # As bytes: compare_digest does not accept non-ASCII text.
        genuine = hmac.compare_digest(signature.encode(), expected.encode())
        if not genuine or parameters["method"] != method:
            raise PermissionDenied(_FORGED)
        if now_s >= int(parameters["expires"]):
            raise PermissionDenied(_EXPIRED)
        return parameters

    @staticmethod
    def sender_in(url: str) -> str:
        """Return the principal that receives a receipt for uploads to a URL; empty for none."""
        return parse_qs(urlsplit(url).query).get("sender", [""])[0]

    def _url(self, digest: Digest, parameters: dict[str, str]) -> str:
        signed = self.sign(digest, parameters)
        return f"{self._base_url()}/artifacts/objects/{digest}?{urlencode(signed)}"

    def _signature(self, subject: str, parameters: Mapping[str, str]) -> str:
        message = f"{subject}?{urlencode(sorted(parameters.items()))}"
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
