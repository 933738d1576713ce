"""Objects in a bucket of Amazon S3 or of an S3-compatible server."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from modelyard_kit.artifacts import s3_check
from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.s3_connection import connect, refuse_unusable, sender
from modelyard_kit.artifacts.s3_errors import kit_errors, status_of
from modelyard_kit.artifacts.store import (
    CHUNK_BYTES,
    MAX_MARK_BYTES,
    Evidence,
    ObjectInfo,
    PresignedPut,
    attachment,
    checked,
    checked_end,
    mark_key,
    no_object,
    refuse_when_full,
)
from modelyard_kit.errors import DataLoss, Unavailable

if TYPE_CHECKING:  # stubs, installed for development only
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_SPOOL_IN_MEMORY_BYTES = 8 << 20
_CHECK_EXPIRES_S = 60
_ASKED_AT_ONCE = 16
_NOT_FOUND, _OUT_OF_RANGE = 404, 416
_EXISTS = {409, 412}  # of a conditional request; 409 while another one is being decided


class S3Store:
    """An `ArtifactStore` in a bucket, at `<prefix>sha256/ab/cd/<digest>`.

    Clients upload to presigned URLs, which fix checksum and size and forbid overwriting. One test
    shows whether the server enforces this.

    Args:
        bucket: Name of the bucket.
        prefix: Prefix of each key; empty, or with a slash at its end.
        endpoint: URL of an S3 server other than Amazon's; empty for Amazon's.
        public_endpoint: URL of the same server for clients; empty if it is `endpoint`.
        region: Region of the bucket; by default `us-east-1` with an endpoint, else the region that
            boto3 is configured with.

    Raises:
        FailedPrecondition: The region is not known.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str = "",
        public_endpoint: str = "",
        region: str = "",
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._client = connect(bucket, endpoint, region)
        self._public = connect(bucket, public_endpoint, region) if public_endpoint else self._client
        self._askers = ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="s3")
        self._checking = threading.Lock()
        self._enforced: s3_check.Enforced | None = None

    def check_access(self) -> None:
        """Check at start that the bucket exists and can be used.

        Raises:
            FailedPrecondition: The bucket does not exist, is in another region, or the credentials
                do not permit its use; the message names the remedy.
            Unavailable: The endpoint cannot be reached.
        """
        refuse_unusable(self._client, self._bucket, self._prefix)

    @property
    def trusted(self) -> bool:
        try:
            return self.enforced().everything
        except Unavailable:
            return False

    def enforced(self) -> s3_check.Enforced:
        """Return the properties of presigned uploads that the server enforces; tested once.

        Raises:
            Unavailable: The server cannot be reached, or refuses this service.
        """
        with self._checking:
            if self._enforced is None:
                presign = partial(self._presigned_put, self._client, expires_s=_CHECK_EXPIRES_S)
                self._enforced = s3_check.find_out(self, presign, sender())
                s3_check.report(self._enforced)
            return self._enforced

    def has(self, digest: Digest) -> bool:
        return self.size_bytes(digest) is not None

    def size_bytes(self, digest: Digest) -> int | None:
        with kit_errors():
            try:
                return self._client.head_object(**self._at(digest))["ContentLength"]
            except ClientError as error:
                if status_of(error) == _NOT_FOUND:
                    return None
                raise

    def sizes_bytes(self, digests: Collection[Digest]) -> dict[Digest, int]:
        sizes = zip(digests, self._askers.map(self.size_bytes, digests), strict=True)
        return {digest: size for digest, size in sizes if size is not None}

    def put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        with SpooledTemporaryFile(_SPOOL_IN_MEMORY_BYTES) as spool:
            with refuse_when_full("for temporary files"):
                for chunk in checked(digest, chunks, size_bytes):
                    spool.write(chunk)  # `writelines` would keep all of it in memory
                spool.seek(0)
            # An existing object is replaced too: by the same bytes, which repairs a damaged copy.
            with kit_errors():
                self._client.put_object(
                    **self._at(digest), Body=spool, ChecksumSHA256=_checksum(digest)
                )

    @contextmanager
    def open(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        is_readable = start >= 0 and (end is None or end > start)
        response = self._get(digest, start, end) if is_readable else None
        if response is None:
            size_bytes = self.size_bytes(digest)
            if size_bytes is None:
                raise no_object(digest)
            checked_end(size_bytes, start, end)
            yield iter(())
            return
        with closing(response["Body"]) as body:
            _, _, size = response.get("ContentRange", "").rpartition("/")
            end = checked_end(int(size or response["ContentLength"]), start, end)
            yield _chunks(body, end - start)

    def _get(self, digest: Digest, start: int, end: int | None) -> GetObjectOutputTypeDef | None:
        """Return the response with an object or a range of it; None if the range is invalid."""
        with kit_errors():
            try:
                if start == 0 and end is None:
                    return self._client.get_object(**self._at(digest))
                last = "" if end is None else end - 1
                return self._client.get_object(**self._at(digest), Range=f"bytes={start}-{last}")
            except ClientError as error:
                if status_of(error) == _NOT_FOUND:
                    raise no_object(digest) from None
                if status_of(error) == _OUT_OF_RANGE:
                    return None
                raise

    def delete(self, digest: Digest) -> None:
        with kit_errors():
            self._client.delete_object(**self._at(digest))

    def verify(self, digest: Digest) -> bool:
        sha256 = hashlib.sha256()
        with self.open(digest) as chunks:
            for chunk in chunks:
                sha256.update(chunk)
        return sha256.hexdigest() == digest

    def evidence(self, digest: Digest) -> Evidence:
        with kit_errors():
            try:
                found = self._client.head_object(**self._at(digest), ChecksumMode="ENABLED")
            except ClientError as error:
                if status_of(error) == _NOT_FOUND:
                    raise no_object(digest) from None
                raise
        stamp = f"{found['ETag']} {found['LastModified'].timestamp()} {found['ContentLength']}"
        has_checksum = found.get("ChecksumSHA256") == _checksum(digest)
        return Evidence(stamp, is_verified=has_checksum and self.trusted)

    def list_objects(self, after: Digest | None = None) -> Iterator[ObjectInfo]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=f"{self._prefix}sha256/",
            StartAfter="" if after is None else self._prefix + after.key,
        )
        with kit_errors():
            for page in pages:
                for found in page.get("Contents", ()):
                    digest = Digest.at(found["Key"].removeprefix(self._prefix))
                    if digest is not None:
                        modified_ms = int(found["LastModified"].timestamp() * 1000)
                        yield ObjectInfo(digest, found["Size"], modified_ms)

    def mark(self, name: str) -> str | None:
        with kit_errors():
            try:
                response = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + mark_key(name)
                )
            except ClientError as error:
                if status_of(error) == _NOT_FOUND:
                    return None
                raise
            with closing(response["Body"]) as body:
                return body.read(MAX_MARK_BYTES).decode(errors="replace")

    def set_mark(self, name: str, text: str, *, replace: bool = False) -> None:
        key, data = self._prefix + mark_key(name), text.encode()
        with kit_errors():
            try:
                if replace:
                    self._client.put_object(Bucket=self._bucket, Key=key, Body=data)
                else:
                    self._client.put_object(
                        Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*"
                    )
            except ClientError as error:
                if status_of(error) not in _EXISTS:
                    raise

    def presign_get(self, digest: Digest, expires_s: int, filename: str | None = None) -> str:
        with kit_errors():
            return self._public.generate_presigned_url(
                "get_object",
                Params={
                    **self._at(digest),
                    "ResponseContentDisposition": attachment(filename),
                    "ResponseContentType": "application/octet-stream",
                },
                ExpiresIn=expires_s,
            )

    def presign_put(self, digest: Digest, size_bytes: int, expires_s: int) -> PresignedPut:
        return self._presigned_put(self._public, digest, size_bytes, expires_s=expires_s)

    def _presigned_put(
        self, client: S3Client, digest: Digest, size_bytes: int, *, expires_s: int
    ) -> PresignedPut:
        checksum = _checksum(digest)
        with kit_errors():
            url = client.generate_presigned_url(
                "put_object",
                Params={
                    **self._at(digest),
                    "ChecksumSHA256": checksum,
                    "ContentLength": size_bytes,
                    "IfNoneMatch": "*",
                },
                ExpiresIn=expires_s,
            )
        return PresignedPut(url, {"If-None-Match": "*", "x-amz-checksum-sha256": checksum})

    def _at(self, digest: Digest) -> _Location:
        return {"Bucket": self._bucket, "Key": self._prefix + digest.key}


class _Location(TypedDict):
    Bucket: str
    Key: str


def _checksum(digest: Digest) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _chunks(body: StreamingBody, size_bytes: int) -> Iterator[bytes]:
    left_bytes = size_bytes
    with kit_errors():
        while left_bytes:
            chunk = body.read(min(CHUNK_BYTES, left_bytes))
            if not chunk:
                raise DataLoss(f"An object lost its last {left_bytes} bytes while it was read")
            left_bytes -= len(chunk)
            yield chunk
