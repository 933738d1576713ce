"""What each service can be told when it runs in a process of its own."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from modelyard_kit.artifacts.choosing import StoreSettings
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.logs import check_level
from modelyard_kit.settings import PREFIX, load
from modelyard_kit.tls import TlsFiles
from modelyard_server.home import resolved

GATEWAY_URL = "http://127.0.0.1:5000"
MAX_PORT = 65535
_TARGETS = {"tracking_target", "registry_target", "serving_target"}
_MAX_DELAY_S = 600.0
_PUBLIC_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


def objects_in(home: Path) -> str:
    """Return the folder of artifacts in a home."""
    return str(resolved(home) / "objects")


def check_max_upload(max_upload_bytes: int) -> None:
    """Refuse a limit that no upload keeps to.

    Raises:
        InvalidArgument: It is below 1.
    """
    if max_upload_bytes < 1:
        raise InvalidArgument(
            f"Invalid MODELYARD_MAX_UPLOAD_BYTES {max_upload_bytes}: expected at least 1."
        )


def check_public_url(url: str) -> None:
    """Refuse a base of URLs that no client could follow.

    Raises:
        InvalidArgument: It is no URL of HTTP, or has more than a path.
    """
    if not _PUBLIC_URL.fullmatch(url):
        raise InvalidArgument(
            f"Invalid MODELYARD_PUBLIC_URL '{url.rpartition('@')[2]}': expected what clients use, "
            "e.g. https://models.example.com."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    """What every service in a process of its own can be told.

    Attributes:
        token_file: Holds the services' own bearer token; needed to listen on a public address.
        log_level: DEBUG, INFO (a line per RPC), WARNING or ERROR.
        drain_delay_s: How long to go on answering, not ready, before new calls are refused.
        tls_cert_file: The certificate it shows, PEM.
        tls_key_file: The key of that, PEM.
        tls_ca_file: Whom it trusts when it dials its neighbours, which then must speak TLS.
        tls_client_ca_file: Whose certificates callers by gRPC must show.
        reflection: Whether gRPC clients may ask for the contract, as grpcurl does.
    """

    token_file: Path | None = None
    log_level: str = "INFO"
    drain_delay_s: float = 0.0
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None
    tls_client_ca_file: Path | None = None
    reflection: bool = False

    def __post_init__(self) -> None:
        check_level(self.log_level)
        if not 0 <= self.drain_delay_s <= _MAX_DELAY_S:
            raise InvalidArgument(
                f"Invalid MODELYARD_DRAIN_DELAY_S {self.drain_delay_s:g}: expected 0 to "
                f"{_MAX_DELAY_S:g}."
            )
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_listen", "_monitoring")) and value:
                split_address(PREFIX + field.name.upper(), value)
            elif field.name in _TARGETS and not value:
                raise InvalidArgument(f"{PREFIX}{field.name.upper()} must not be empty.")
            elif field.name.endswith("_target") and value.startswith(("http:", "https:")):
                raise InvalidArgument(
                    f"Invalid {PREFIX}{field.name.upper()} '{value}': expected a target of gRPC, "
                    "e.g. registry:50052 or dns:///registry:50052."
                )
            elif field.name == "public_url" and value:
                check_public_url(value)

    @property
    def tls(self) -> TlsFiles:
        return TlsFiles(
            self.tls_cert_file, self.tls_key_file, self.tls_ca_file, self.tls_client_ca_file
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WithArtifacts(RoleSettings):
    """What services that read or sign artifacts can be told.

    Attributes:
        home: Where the rest is by default, and the secret of signed URLs if there is no token.
        artifacts: A folder, `s3://bucket` or `s3://bucket/prefix`; by default in the home.
        s3_endpoint: The URL of an S3 server other than Amazon's.
        s3_public_endpoint: The same as clients reach it.
        s3_region: Of the bucket.
        public_url: The gateway as clients reach it: signed URLs begin with it, unless S3 is meant.
    """

    home: Path = Path("~/.modelyard")
    artifacts: str = ""
    s3_endpoint: str = ""
    s3_public_endpoint: str = ""
    s3_region: str = ""
    public_url: str = ""

    @property
    def store(self) -> StoreSettings:
        s3 = (self.s3_endpoint, self.s3_public_endpoint, self.s3_region)
        return StoreSettings(self.artifacts or objects_in(self.home), *s3)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings(WithArtifacts):
    """`modelyard tracking`."""

    tracking_listen: str = "127.0.0.1:50051"
    tracking_monitoring: str = ""
    tracking_database_url: str = ""
    registry_target: str = "127.0.0.1:50052"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings(WithArtifacts):
    """`modelyard registry`."""

    registry_listen: str = "127.0.0.1:50052"
    registry_monitoring: str = ""
    registry_database_url: str = ""
    tracking_target: str = "127.0.0.1:50051"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings(RoleSettings):
    """`modelyard serving`."""

    serving_listen: str = "127.0.0.1:50053"
    serving_monitoring: str = ""
    registry_target: str = "127.0.0.1:50052"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings(WithArtifacts):
    """`modelyard gateway`.

    Attributes:
        tracking_public_target: What clients are told to dial; empty for the target itself. The
            others likewise.
        max_upload_bytes: The largest file one HTTP request may bring, when its digest is not known
            beforehand, as MLflow's clients upload.
    """

    gateway_listen: str = "127.0.0.1:5000"
    gateway_monitoring: str = ""
    tracking_target: str = "127.0.0.1:50051"
    registry_target: str = "127.0.0.1:50052"
    serving_target: str = "127.0.0.1:50053"
    tracking_public_target: str = ""
    registry_public_target: str = ""
    serving_public_target: str = ""
    max_upload_bytes: int = 5 << 30

    def __post_init__(self) -> None:
        # By name: with slots, dataclasses make the class anew, and `super()` would not find it.
        RoleSettings.__post_init__(self)
        check_max_upload(self.max_upload_bytes)


_HELP = {
    "token_file": "holds the services' own bearer token",
    "log_level": "DEBUG, INFO, WARNING, ERROR",
    "drain_delay_s": "how long to go on answering, not ready, before new calls are refused",
    "tls_cert_file": "certificate to show, PEM",
    "tls_key_file": "its key, PEM",
    "tls_ca_file": "whom to trust when dialling neighbours, PEM",
    "tls_client_ca_file": "whose certificates callers by gRPC must show, PEM",
    "reflection": "answer gRPC clients that ask for the contract, as grpcurl does",
    "home": "where the rest is by default",
    "artifacts": "a folder, s3://bucket or s3://bucket/prefix (default: in the home)",
    "s3_endpoint": "URL of an S3 server other than Amazon's",
    "s3_public_endpoint": "the same as clients reach it",
    "s3_region": "of the bucket",
    "public_url": "the gateway as clients reach it (default: http://127.0.0.1:5000)",
    "tracking_listen": "host:port of gRPC",
    "tracking_monitoring": "host:port of /livez, /readyz and /metrics (default: off)",
    "tracking_database_url": "postgresql://… or sqlite:////… (default: in the home)",
    "registry_target": "where the registry is, as gRPC writes it",
    "registry_listen": "host:port of gRPC",
    "registry_monitoring": "host:port of /livez, /readyz and /metrics (default: off)",
    "registry_database_url": "postgresql://… or sqlite:////… (default: in the home)",
    "tracking_target": "where tracking is, as gRPC writes it",
    "serving_listen": "host:port of gRPC",
    "serving_monitoring": "host:port of /livez, /readyz and /metrics (default: off)",
    "gateway_listen": "host:port of HTTP",
    "gateway_monitoring": "host:port of /livez, /readyz and /metrics (default: off)",
    "serving_target": "where serving is, as gRPC writes it",
    "tracking_public_target": "what clients are told to dial (default: the target)",
    "registry_public_target": "likewise",
    "serving_public_target": "likewise",
    "max_upload_bytes": "largest file one request of an MLflow client may bring",
}
"""What a flag says of itself, by its field."""

ROLES: dict[str, type[RoleSettings]] = {
    "tracking": TrackingSettings,
    "registry": RegistrySettings,
    "serving": ServingSettings,
    "gateway": GatewaySettings,
}
"""The settings of each service, by the word that starts it."""

Settings = TypeVar("Settings", bound=RoleSettings)


def read(
    kind: type[Settings], role: str, argv: Sequence[str], environ: Mapping[str, str]
) -> Settings:
    """Return what flags say, and the environment where they are silent.

    A field `tracking_listen` is `--listen` of `modelyard tracking`, or
    `MODELYARD_TRACKING_LISTEN`.

    Raises:
        InvalidArgument: A value is not what its setting takes.
    """
    parser = argparse.ArgumentParser(
        prog=f"modelyard {role}",
        description=f"Run the service `{role}` in a process of its own, until it is told to stop.",
    )
    for field in dataclasses.fields(kind):
        variable = PREFIX + field.name.upper()
        parser.add_argument(
            "--" + field.name.removeprefix(f"{role}_").replace("_", "-"),
            dest=variable,
            metavar=variable.removeprefix(PREFIX),
            help=_help(field, variable),
        )
    flags = {name: text for name, text in vars(parser.parse_args(argv)).items() if text is not None}
    given = {name: text for name, text in environ.items() if text}  # empty is as good as unset
    return load(kind, {**given, **flags})


def _help(field: dataclasses.Field[Any], variable: str) -> str:
    known = f" (default: {field.default})" if field.default not in ("", None) else ""
    return f"{_HELP[field.name]}{known} [{variable}]".replace("%", "%%")


def split_address(setting: str, address: str) -> tuple[str, int]:
    """Return the host and port of `host:port`; the host of IPv6 is in brackets.

    Raises:
        InvalidArgument: It is of another form; names the setting.
    """
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_number = port.isascii() and port.isdigit() and int(port) <= MAX_PORT
    if not (colon and bare and is_number) or (":" in bare) != host.startswith("["):
        raise InvalidArgument(
            f"Invalid {setting} '{address}': expected host:port, e.g. 127.0.0.1:50051."
        )
    return bare, int(port)
