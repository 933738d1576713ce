"""The choice of the store that keeps the objects of an installation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from modelyard.redaction import redacted
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.artifacts.signing import UrlSigner
from modelyard_kit.artifacts.store import ArtifactStore
from modelyard_kit.errors import FailedPrecondition, InvalidArgument

_S3 = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?:[A-Za-z0-9_.-]+/)*")
_MAX_PREFIX_CHARACTERS = 512
_ENDPOINT = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Location of the objects. Credentials of S3 are read as boto3 reads them.

    Attributes:
        artifacts: A folder, `s3://bucket` or `s3://bucket/prefix`.
        s3_endpoint: URL of an S3 server other than Amazon's; empty for Amazon's.
        s3_public_endpoint: URL of the same server for clients; empty if it is `s3_endpoint`.
        s3_region: Region of the bucket; by default `us-east-1` with an endpoint, else the region
            that boto3 is configured with.
    """

    artifacts: str
    s3_endpoint: str = ""
    s3_public_endpoint: str = ""
    s3_region: str = ""

    def __post_init__(self) -> None:
        _check_endpoint("MODELYARD_S3_ENDPOINT", self.s3_endpoint)
        _check_endpoint("MODELYARD_S3_PUBLIC_ENDPOINT", self.s3_public_endpoint)


def open_store(settings: StoreSettings, signer: UrlSigner) -> ArtifactStore:
    """Open the store of an installation.

    Args:
        settings: Location of the store.
        signer: Signs the URLs of a store that has no HTTP interface of its own.

    Raises:
        InvalidArgument: The settings do not name a store.
        FailedPrecondition: The bucket does not exist, or the credentials or the permissions of the
            folder do not allow its use.
        Unavailable: The endpoint cannot be reached.
    """
    if not settings.artifacts.startswith(_S3):
        return _local(settings.artifacts, signer)
    bucket, prefix = _bucket_and_prefix(settings.artifacts)
    try:
        from modelyard_kit.artifacts.s3 import S3Store
    except ModuleNotFoundError as error:
        raise FailedPrecondition(
            "Artifacts in S3 need boto3: pip install 'modelyard[s3]'."
        ) from error
    store = S3Store(
        bucket,
        prefix,
        endpoint=settings.s3_endpoint,
        public_endpoint=settings.s3_public_endpoint,
        region=settings.s3_region,
    )
    store.check_access()
    return store


def _local(folder: str, signer: UrlSigner) -> LocalStore:
    if not folder or "://" in folder:
        raise InvalidArgument(
            f"Invalid MODELYARD_ARTIFACTS '{redacted(folder)}': expected a folder, s3://bucket or "
            "s3://bucket/prefix."
        )
    try:
        return LocalStore(Path(folder), signer)
    except OSError as error:
        raise FailedPrecondition(
            f"The folder of artifacts '{folder}' cannot be used: {error.strerror}."
        ) from error


def _bucket_and_prefix(location: str) -> tuple[str, str]:
    """Return the bucket, and the prefix with a slash at its end unless it is empty."""
    bucket, _, prefix = location.removeprefix(_S3).partition("/")
    if "@" in location:  # a secret key may hold slashes
        bucket = redacted(location)
    if not _BUCKET.fullmatch(bucket):
        raise InvalidArgument(
            f"Invalid MODELYARD_ARTIFACTS: '{bucket}' is not the name of a "
            "bucket; expected s3://bucket or s3://bucket/prefix, without credentials."
        )
    prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _MAX_PREFIX_CHARACTERS:
        raise InvalidArgument(
            f"Invalid prefix '{prefix[:_MAX_PREFIX_CHARACTERS]}' in MODELYARD_ARTIFACTS: expected "
            f"at most {_MAX_PREFIX_CHARACTERS} letters, digits and . _ - in segments joined by /."
        )
    return bucket, prefix


def _check_endpoint(variable: str, endpoint: str) -> None:
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        raise InvalidArgument(
            f"Invalid {variable} '{redacted(endpoint)}': expected http(s)://host or "
            "http(s)://host:port, without a path or credentials."
        )
