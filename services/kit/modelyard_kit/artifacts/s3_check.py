"""Tests of the guarantees that a store enforces: S3-compatible servers differ in them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.store import ArtifactStore, PresignedPut

logger = logging.getLogger(__name__)

_OBJECT_BYTES = 64
_REFUSED = range(400, 500)
_ACCEPTED = range(200, 300)

Send = Callable[[PresignedPut, bytes], int]
"""Uploads bytes to a presigned URL and returns the HTTP status."""


@dataclass(frozen=True, slots=True)
class Enforced:
    """The properties of presigned uploads that a store enforces.

    Attributes:
        uploads: Whether it accepts the bytes that the URL was signed for.
        checksums: Whether it refuses other bytes.
        no_overwriting: Whether it refuses a second upload of the same object.
        signatures: Whether it refuses a URL whose lifetime was altered.
    """

    uploads: bool
    checksums: bool
    no_overwriting: bool
    signatures: bool

    @property
    def everything(self) -> bool:
        return self.uploads and self.checksums and self.no_overwriting and self.signatures


def find_out(
    store: ArtifactStore, presign: Callable[[Digest, int], PresignedPut], send: Send
) -> Enforced:
    """Test the properties with a temporary object, which is deleted at the end.

    Expiry cannot be tested without waiting. Instead the lifetime in a URL is altered, which the
    store refuses only if it checks the signature of lifetimes.

    Raises:
        Unavailable: The store cannot be reached, or refuses this service.
    """
    data, other = (secrets.token_bytes(_OBJECT_BYTES) for _ in range(2))
    digest = Digest.of(data)
    put = presign(digest, len(data))

    def is_refused(upload: PresignedPut, sent: bytes) -> bool:
        refused = send(upload, sent) in _REFUSED and not store.has(digest)
        store.delete(digest)
        return refused

    try:
        signatures = is_refused(PresignedPut(_longer(put.url), put.headers), data)
        checksums = is_refused(put, other)
        uploads = send(put, data) in _ACCEPTED and store.has(digest) and store.verify(digest)
        no_overwriting = send(put, data) in _REFUSED
    finally:
        store.delete(digest)
    return Enforced(uploads, checksums, no_overwriting, signatures)


def report(enforced: Enforced) -> None:
    """Log the properties that a store enforces, and the consequence of missing ones."""
    if enforced.everything:
        logger.info("The artifact store refuses wrong bytes, overwriting and altered URLs.")
        return
    if not enforced.uploads:
        logger.error(
            "The artifact store refuses uploads to presigned URLs, so clients cannot upload. Check "
            "that MODELYARD_S3_REGION is the region of the bucket, and that the credentials permit "
            "s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket."
        )
        return
    accepted = [
        defect
        for defect, is_refused in (
            ("wrong bytes", enforced.checksums),
            ("overwriting", enforced.no_overwriting),
            ("altered URLs", enforced.signatures),
        )
        if not is_refused
    ]
    logger.warning(
        "The artifact store accepts %s: uploads of clients are read and hashed again before they "
        "are used.",
        ", ".join(accepted),
    )


def _longer(url: str) -> str:
    (expires,) = parse_qs(urlsplit(url).query)["X-Amz-Expires"]
    return url.replace(f"X-Amz-Expires={expires}", f"X-Amz-Expires={int(expires) + 1}")
