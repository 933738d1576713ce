"""Connections to S3, and their check at start with messages for the operator."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader, create_loader

from modelyard_kit.artifacts.s3_check import Send
from modelyard_kit.artifacts.s3_errors import code_of, kit_errors, status_of
from modelyard_kit.artifacts.store import PresignedPut
from modelyard_kit.errors import Error, FailedPrecondition, Unavailable

if TYPE_CHECKING:  # stubs, installed for development only
    from types_boto3_s3 import S3Client

_CONNECT_S = 3
_READ_S = 20
_ATTEMPTS = 3
_CONNECTIONS = 48  # threads of the artifact routes, and of a service, that share one store
_DEFAULT_REGION = "us-east-1"
_FORBIDDEN, _NOT_FOUND = 403, 404
_BUSY = {429, 503}
_BAD_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_SKEWED = "RequestTimeTooSkewed"


def connect(bucket: str, endpoint: str, region: str) -> S3Client:
    """Create a thread-safe client, without connecting yet.

    Raises:
        FailedPrecondition: The region is not known, or boto3 cannot read its settings.
    """
    try:
        return _connected(bucket, endpoint, region)
    except BotoCoreError as error:
        raise FailedPrecondition(
            f"The configuration of boto3 is invalid: {error}; correct the AWS_* variables or the "
            "files that they name."
        ) from error


def _connected(bucket: str, endpoint: str, region: str) -> S3Client:
    session = boto3.Session(botocore_session=_session(), region_name=region or None)
    region = session.region_name or (_DEFAULT_REGION if endpoint else "")
    if not region:
        raise FailedPrecondition(
            f"The region of the bucket '{bucket}' is not known; set MODELYARD_S3_REGION."
        )
    # Their DEBUG logs contain signatures, which grant access.
    for name in ("botocore", "urllib3"):
        library = logging.getLogger(name)
        library.setLevel(max(logging.INFO, library.getEffectiveLevel()))
    # With a dot in the bucket's name, its host would not match Amazon's certificate.
    by_path = bool(endpoint) or "." in bucket
    client: S3Client = session.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint or None,
        config=Config(
            signature_version="s3v4",  # the default one does not sign If-None-Match
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_CONNECTIONS,
            s3={"addressing_style": "path" if by_path else "virtual"},
            # The digest is the checksum; other algorithms are not supported by every server.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return client


@cache
def _descriptions() -> Loader:
    """Return the loader of AWS service descriptions, which take half a second to read."""
    return create_loader()


def _session() -> botocore.session.Session:
    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return session


def refuse_unusable(client: S3Client, bucket: str, prefix: str) -> None:
    """Check that a bucket can be used, by listing its first key.

    Raises:
        FailedPrecondition: The bucket does not exist, is in another region, or the credentials do
            not permit its use.
        Unavailable: The endpoint cannot be reached, or is not an S3 server.
    """
    try:
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}sha256/", MaxKeys=1)
    except ClientError as error:
        raise _refusal(error, bucket) from error
    except NoCredentialsError as error:
        raise FailedPrecondition(
            f"There are no credentials for the bucket '{bucket}'; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or another source of credentials that boto3 reads."
        ) from error
    except (BotoCoreError, HTTPClientError) as error:
        raise Unavailable(
            f"The artifact store at {client.meta.endpoint_url} cannot be reached: {error}. Check "
            "MODELYARD_S3_ENDPOINT and, for TLS, AWS_CA_BUNDLE, the file of trusted authorities."
        ) from error
    region = listed["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    # The client follows redirects to the bucket's region, but signs URLs for its own region.
    if region and region != client.meta.region_name:
        raise FailedPrecondition(
            f"The bucket '{bucket}' is in the region {region}, not {client.meta.region_name}; set "
            f"MODELYARD_S3_REGION={region}."
        )


def _refusal(error: ClientError, bucket: str) -> Error:
    code = code_of(error)
    if code == _SKEWED:
        return FailedPrecondition(
            "The clock of this machine differs from that of the artifact store "
            f"({code}); synchronize it."
        )
    if code in _BAD_CREDENTIALS:
        return FailedPrecondition(
            f"The artifact store does not accept the credentials ({code}); correct "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or another source that boto3 reads."
        )
    if status_of(error) == _FORBIDDEN:
        return FailedPrecondition(
            f"The credentials do not permit the use of the bucket '{bucket}' ({code}); they need "
            "s3:ListBucket on it, and s3:GetObject, s3:PutObject and s3:DeleteObject in it."
        )
    if status_of(error) == _NOT_FOUND:
        return FailedPrecondition(
            f"There is no bucket '{bucket}' ({code}); create it, or correct MODELYARD_ARTIFACTS."
        )
    return Unavailable(f"The artifact store refuses to list the bucket '{bucket}': {error}")


def sender() -> Send:
    """Return a function that uploads to presigned URLs, with the same trusted authorities."""
    bundle = _session().get_config_variable("ca_bundle")
    session = URLLib3Session(verify=bundle or True, timeout=_READ_S)

    def send(upload: PresignedPut, data: bytes) -> int:
        headers = {**upload.headers, "Content-Length": str(len(data))}
        request = AWSRequest("PUT", upload.url, headers, data).prepare()
        with kit_errors():
            status: int = session.send(request).status_code
        if status in _BUSY:
            raise Unavailable("The artifact store is too busy to be tested; try again.")
        return status

    return send
