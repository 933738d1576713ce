"""Clients of S3, and what an operator is told at start when they cannot work."""

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

if TYPE_CHECKING:  # published apart, for development
    from types_boto3_s3 import S3Client

_CONNECT_S = 3
_READ_S = 20
_ATTEMPTS = 3
_CONNECTIONS = 48  # the threads of the edge's doors, and of a service, that use one store
_DEFAULT_REGION = "us-east-1"
_FORBIDDEN, _NOT_FOUND = 403, 404
_NOT_NOW = {429, 503}
_UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_SKEWED = "RequestTimeTooSkewed"


def connect(bucket: str, endpoint: str, region: str) -> S3Client:
    """Make a client, which any thread may use; nothing is sent yet.

    Raises:
        FailedPrecondition: The region is not known, or boto3 cannot read its settings.
    """
    try:
        return _connected(bucket, endpoint, region)
    except BotoCoreError as error:
        raise FailedPrecondition(
            f"boto3 refuses its settings: {error}; correct the AWS_* variables or the files that "
            "they name."
        ) from error


def _connected(bucket: str, endpoint: str, region: str) -> S3Client:
    session = boto3.Session(botocore_session=_session(), region_name=region or None)
    region = session.region_name or (_DEFAULT_REGION if endpoint else "")
    if not region:
        raise FailedPrecondition(
            f"The region of the bucket '{bucket}' is not known; set MODELYARD_S3_REGION."
        )
    # What they log at DEBUG has signatures in it, which are permissions.
    for name in ("botocore", "urllib3"):
        library = logging.getLogger(name)
        library.setLevel(max(logging.INFO, library.getEffectiveLevel()))
    by_path = bool(endpoint) or "." in bucket  # such a host would not fit Amazon's certificate
    client: S3Client = session.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint or None,
        config=Config(
            signature_version="s3v4",  # the default one leaves If-None-Match out of what it signs
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_CONNECTIONS,
            s3={"addressing_style": "path" if by_path else "virtual"},
            # The digest is the checksum; further ones are not known to every server.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return client


@cache
def _descriptions() -> Loader:
    """Those of the services of AWS, which take half a second to read."""
    return create_loader()


def _session() -> botocore.session.Session:
    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return session


def refuse_unusable(client: S3Client, bucket: str, prefix: str) -> None:
    """Ask for the first key of a bucket, which shows whether it can be used.

    Raises:
        FailedPrecondition: It is not there, is elsewhere, or the credentials do not permit it.
        Unavailable: The endpoint cannot be reached or does not answer as S3 does.
    """
    try:
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}sha256/", MaxKeys=1)
    except ClientError as error:
        raise _refusal(error, bucket) from error
    except NoCredentialsError as error:
        raise FailedPrecondition(
            f"There are no credentials for the bucket '{bucket}'; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or whatever else boto3 reads."
        ) from error
    except (BotoCoreError, HTTPClientError) as error:
        raise Unavailable(
            f"The artifact store at {client.meta.endpoint_url} cannot be reached: {error}. See "
            "MODELYARD_S3_ENDPOINT and, for TLS, AWS_CA_BUNDLE, which names whom to trust."
        ) from error
    region = listed["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    # The client follows a bucket to its region, but the URLs it signs lead to its own.
    if region and region != client.meta.region_name:
        raise FailedPrecondition(
            f"The bucket '{bucket}' is in the region {region}, not {client.meta.region_name}; set "
            f"MODELYARD_S3_REGION={region}."
        )


def _refusal(error: ClientError, bucket: str) -> Error:
    code = code_of(error)
    if code == _SKEWED:
        return FailedPrecondition(
            f"The clock of this machine differs from that of the artifact store ({code}); set it."
        )
    if code in _UNKNOWN:
        return FailedPrecondition(
            f"The artifact store does not accept the credentials ({code}); correct "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or whatever else boto3 reads."
        )
    if status_of(error) == _FORBIDDEN:
        return FailedPrecondition(
            f"The credentials do not permit to use the bucket '{bucket}' ({code}); they need "
            "s3:ListBucket on it, and s3:GetObject, s3:PutObject and s3:DeleteObject in it."
        )
    if status_of(error) == _NOT_FOUND:
        return FailedPrecondition(
            f"There is no bucket '{bucket}' ({code}); make it, or correct MODELYARD_ARTIFACTS."
        )
    return Unavailable(f"The artifact store refuses to list the bucket '{bucket}': {error}")


def sender() -> Send:
    """Return what uploads to presigned URLs, trusting whom the clients trust."""
    bundle = _session().get_config_variable("ca_bundle")
    session = URLLib3Session(verify=bundle or True, timeout=_READ_S)

    def send(upload: PresignedPut, data: bytes) -> int:
        headers = {**upload.headers, "Content-Length": str(len(data))}
        request = AWSRequest("PUT", upload.url, headers, data).prepare()
        with kit_errors():
            status: int = session.send(request).status_code
        if status in _NOT_NOW:
            raise Unavailable("The artifact store is too busy to be tried; try again.")
        return status

    return send
