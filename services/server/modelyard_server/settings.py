"""What an embedded instance can be told, and every variable that anything of ours reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard_kit.artifacts.choosing import StoreSettings
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.logs import check_level
from modelyard_kit.settings import load, refuse_unknown, variables
from modelyard_server.role_settings import MAX_PORT, ROLES, check_max_upload, objects_in

SDK_VARIABLES = frozenset(
    {
        "MODELYARD_CACHE",
        "MODELYARD_EXPERIMENT_ID",
        "MODELYARD_EXPERIMENT_NAME",
        "MODELYARD_PROGRESS",
        "MODELYARD_REGISTRY_URI",
        "MODELYARD_RUN_ID",
        "MODELYARD_TLS_CA_FILE",
        "MODELYARD_TLS_CERT_FILE",
        "MODELYARD_TLS_KEY_FILE",
        "MODELYARD_TOKEN",
        "MODELYARD_TRACKING_URI",
    }
)
"""Read by the SDK; a server may be started from a shell that has them set."""

SERVING_VARIABLES = frozenset({"MODELYARD_SERVING_MAX_BODY_BYTES", "MODELYARD_SERVING_TIMEOUT_S"})
"""Read by `modelyard models serve`, which may be started from the same shell."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the whole platform in one process.

    Attributes:
        home: Folder of everything it keeps; made if it is not there, for its owner only.
        host: Where HTTP and gRPC listen; a public address needs `token_file`.
        port: Of HTTP; 0 chooses a free one.
        grpc_port: Of gRPC; 0 chooses a free one.
        public_url: Under which clients elsewhere reach HTTP, if not by host and port.
        token_file: Holds the bearer token that every call must carry.
        artifacts: Where objects are: a folder, `s3://bucket` or `s3://bucket/prefix`; by default in
            the home.
        s3_endpoint: The URL of an S3 server other than Amazon's.
        s3_public_endpoint: The same as clients reach it.
        s3_region: Of the bucket.
        max_upload_bytes: The largest file one HTTP request may bring, when its digest is not known
            beforehand, as MLflow's clients upload.
        log_level: Of the log on stderr: DEBUG, INFO, WARNING or ERROR.
        reflection: Whether gRPC clients may ask for the contract, as grpcurl does.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 5000
    grpc_port: int = 50051
    public_url: str = ""
    token_file: Path | None = None
    artifacts: str = ""
    s3_endpoint: str = ""
    s3_public_endpoint: str = ""
    s3_region: str = ""
    max_upload_bytes: int = 5 << 30
    log_level: str = "WARNING"
    reflection: bool = False

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("grpc_port", self.grpc_port)):
            if not 0 <= port <= MAX_PORT:
                raise InvalidArgument(f"Invalid {name} {port}: expected 0 to {MAX_PORT}.")
        check_max_upload(self.max_upload_bytes)
        check_level(self.log_level)

    @property
    def store(self) -> StoreSettings:
        s3 = (self.s3_endpoint, self.s3_public_endpoint, self.s3_region)
        return StoreSettings(self.artifacts or objects_in(self.home), *s3)


ROLE_VARIABLES = frozenset(name for kind in ROLES.values() for name in variables(kind).values())
"""Read by services in processes of their own, which may be started from the same shell."""

KNOWN_VARIABLES = (
    SDK_VARIABLES | SERVING_VARIABLES | ROLE_VARIABLES | set(variables(Settings).values())
)


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from `MODELYARD_*`; an empty variable is as good as unset.

    Raises:
        InvalidArgument: A variable is unknown, or its value is of another type.
    """
    refuse_unknown(environ, KNOWN_VARIABLES)
    given = {name: text for name, text in environ.items() if text}
    return load(Settings, {"MODELYARD_HOME": "~/.modelyard", **given})
