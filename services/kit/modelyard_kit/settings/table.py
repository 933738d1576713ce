"""Every setting of every program, declared once.

The settings of a program are a dataclass composed of groups that programs share. `--help`,
docs/settings.md (by tools/settings_page.py), the refusal of unknown variables and the checks of
`modelyard doctor` are derived from these declarations. The SDK, which does not import this package,
reads its variables itself; a test verifies that they are those of `ClientSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelyard_kit.settings import checks
from modelyard_kit.settings.declarations import Settings, setting


def _log_level(default: str) -> str:
    return setting(
        "`DEBUG`, `INFO` (a line per RPC or prediction), `WARNING` or `ERROR`",
        default=default,
        check=checks.log_level,
    )


def _log_format() -> str:
    return setting(
        "`text`, a readable line, or `json`, an object per line",
        default="",
        shown="text on a terminal, JSON elsewhere",
        check=checks.log_format,
    )


def _public_url(default: str, shown: str) -> str:
    return setting(
        "URL at which clients reach the HTTP edge; signed URLs begin with it, except those of S3",
        default=default,
        shown=shown,
        check=checks.public_url,
    )


def _listen(default: str, protocol: str = "gRPC") -> str:
    return setting(f"`host:port` of {protocol}", default=default, check=checks.address)


def _monitoring() -> str:
    return setting(
        "`host:port` of `/livez`, `/readyz` and `/metrics`, plain HTTP without a token",
        default="",
        shown="off",
        check=checks.address,
    )


def _target(service: str, default: str, shown: str = "") -> str:
    return setting(
        f"address of {service} as a gRPC target: `host:port`, `dns:///host:port`, "
        "`ipv4:10.0.0.1:50051,10.0.0.2:50051`",
        default=default,
        shown=shown,
        check=checks.target,
    )


def _public_target(service: str) -> str:
    return setting(
        f"gRPC target of {service} that the gateway announces to clients",
        default="",
        shown="the target",
        check=checks.target,
    )


def _database_url(service: str) -> str:
    return setting(
        f"database of {service}: `postgresql://user@host/database` or `sqlite:////folder/file.db`",
        default="",
        shown="a SQLite file in the home",
    )


@dataclass(frozen=True, kw_only=True)
class HomeSettings(Settings):
    """The home, the default location of all data."""

    home: Path = setting(
        "the home: folder of the databases and artifacts without another location and, without a "
        "token, of the secret of signed URLs; without a tracking URI, the client uses the platform "
        "in it",
        default=Path("~/.modelyard"),
    )


@dataclass(frozen=True, kw_only=True)
class TokenSettings(Settings):
    """Authentication of calls."""

    token_file: Path | None = setting(
        "file that holds the bearer token: clients send it, servers require it of callers, and "
        "need it to listen on a public address",
        default=None,
        shown="none, no authentication",
    )


@dataclass(frozen=True, kw_only=True)
class SecretTokenSettings(TokenSettings):
    """A token given as a file or as a value."""

    token: str = setting(
        "the bearer token itself; it takes precedence over the file",
        default="",
        shown="none",
        has_flag=False,
    )


@dataclass(frozen=True, kw_only=True)
class TlsSettings(Settings):
    """TLS of clients and services."""

    tls_ca_file: Path | None = setting(
        "certificates of the authorities to trust when connecting, PEM; if set, services connect "
        "to each other by TLS only",
        default=None,
        shown="clients: the system's authorities; services: connect without TLS",
    )
    tls_cert_file: Path | None = setting(
        "certificate to present, PEM: by services to callers, and by clients and services to "
        "servers that request one",
        default=None,
        shown="none",
    )
    tls_key_file: Path | None = setting(
        "private key of that certificate, PEM, not encrypted", default=None, shown="none"
    )


@dataclass(frozen=True, kw_only=True)
class ArtifactSettings(HomeSettings):
    """The artifact store, the same for all programs that share it."""

    artifacts: str = setting(
        "location of the objects: a folder, `s3://bucket` or `s3://bucket/prefix`",
        default="",
        shown="`objects` in the home",
    )
    s3_endpoint: str = setting("URL of an S3 server other than Amazon's", default="")
    s3_public_endpoint: str = setting("URL of the S3 server for clients, if it differs", default="")
    s3_region: str = setting(
        "region of the bucket; credentials are read as boto3 reads them (`AWS_*`)", default=""
    )


@dataclass(frozen=True, kw_only=True)
class UploadSettings(Settings):
    """Limits of the HTTP edge."""

    max_upload_bytes: int = setting(
        "largest file in one HTTP request without a digest declared beforehand, as uploaded by "
        "MLflow's clients",
        default=5 << 30,
        shown="5 GiB",
        check=checks.at_least_one,
    )


@dataclass(frozen=True, kw_only=True)
class ReflectionSettings(Settings):
    """Reflection of gRPC servers."""

    reflection: bool = setting(
        "whether to serve the contract to gRPC clients such as grpcurl; they need the token, if "
        "there is one",
        default=False,
        shown="off",
    )


@dataclass(frozen=True, kw_only=True)
class DeletionSettings(Settings):
    """Protection of registered models."""

    deletion_protection: str = setting(
        "`off`; `staged` refuses to delete a version in Staging or Production, and a model with "
        "one, without `force`",
        default="off",
        check=checks.one_of("off", "staged"),
    )


@dataclass(frozen=True, kw_only=True)
class UpSettings(
    DeletionSettings, ReflectionSettings, UploadSettings, TokenSettings, ArtifactSettings
):
    """`modelyard up`: all services in one process, under one home."""

    host: str = setting("address of HTTP and gRPC; a public one needs a token", default="127.0.0.1")
    port: int = setting(
        "port of HTTP; 0 chooses a free one", default=5000, check=checks.between(0, checks.MAX_PORT)
    )
    grpc_port: int = setting(
        "port of gRPC; 0 chooses a free one",
        default=50051,
        check=checks.between(0, checks.MAX_PORT),
    )
    public_url: str = _public_url("", "its own address")
    log_level: str = _log_level("WARNING")
    log_format: str = _log_format()


@dataclass(frozen=True, kw_only=True)
class TrackingDatabaseSettings(Settings):
    """The database of tracking."""

    tracking_database_url: str = _database_url("tracking")


@dataclass(frozen=True, kw_only=True)
class RegistryDatabaseSettings(Settings):
    """The database of the registry."""

    registry_database_url: str = _database_url("the registry")


@dataclass(frozen=True, kw_only=True)
class AdminSettings(RegistryDatabaseSettings, TrackingDatabaseSettings, UpSettings):
    """Commands for administrators, which use the home, store and databases directly."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(ReflectionSettings, TlsSettings, TokenSettings):
    """Settings of every service in a process of its own."""

    tls_client_ca_file: Path | None = setting(
        "certificates of the authorities of callers, PEM; gRPC callers must present a certificate "
        "of one of them",
        default=None,
        shown="callers need none",
    )
    log_level: str = _log_level("INFO")
    log_format: str = _log_format()
    drain_delay_s: float = setting(
        "seconds from the report of not ready until new calls are refused at shutdown; at most 600",
        default=0.0,
        check=checks.between(0, 600),
    )


@dataclass(frozen=True, kw_only=True)
class TrackingTargetSettings(Settings):
    """The address of tracking for its callers."""

    tracking_target: str = _target("tracking", "127.0.0.1:50051")


@dataclass(frozen=True, kw_only=True)
class RegistryTargetSettings(Settings):
    """The address of the registry for its callers."""

    registry_target: str = _target("the registry", "127.0.0.1:50052")


@dataclass(frozen=True, kw_only=True)
class SigningSettings(ArtifactSettings):
    """Settings of services that sign URLs of artifacts."""

    public_url: str = _public_url("http://127.0.0.1:5000", "")


@dataclass(frozen=True, kw_only=True)
class TrackingSettings(
    RegistryTargetSettings, TrackingDatabaseSettings, SigningSettings, ServiceSettings
):
    """`modelyard tracking`."""

    tracking_listen: str = _listen("127.0.0.1:50051")
    tracking_monitoring: str = _monitoring()


@dataclass(frozen=True, kw_only=True)
class RegistrySettings(
    DeletionSettings,
    TrackingTargetSettings,
    RegistryDatabaseSettings,
    SigningSettings,
    ServiceSettings,
):
    """`modelyard registry`."""

    registry_listen: str = _listen("127.0.0.1:50052")
    registry_monitoring: str = _monitoring()


@dataclass(frozen=True, kw_only=True)
class ServingSettings(RegistryTargetSettings, ServiceSettings):
    """`modelyard serving`."""

    serving_listen: str = _listen("127.0.0.1:50053")
    serving_monitoring: str = _monitoring()


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(
    RegistryTargetSettings,
    TrackingTargetSettings,
    UploadSettings,
    ArtifactSettings,
    ServiceSettings,
):
    """`modelyard gateway`."""

    gateway_listen: str = _listen("127.0.0.1:5000", "HTTP, or HTTPS with a certificate")
    gateway_monitoring: str = _monitoring()
    public_url: str = _public_url("", "its own address")
    serving_target: str = _target("serving", "", shown="none, predictions are not routed")
    tracking_public_target: str = _public_target("tracking")
    registry_public_target: str = _public_target("the registry")
    serving_public_target: str = _public_target("serving")


@dataclass(frozen=True, kw_only=True)
class ModelServerSettings(SecretTokenSettings):
    """`modelyard models serve`."""

    log_level: str = _log_level("INFO")
    log_format: str = _log_format()
    serving_max_body_bytes: int = setting(
        "largest request, at most 256 MiB",
        default=16 << 20,
        shown="16 MiB",
        check=checks.between(1, 256 << 20),
    )
    serving_timeout_s: float = setting(
        "time limit of one request in seconds, including its time in the queue; at most 3600",
        default=60.0,
        check=checks.between(0.001, 3600),
    )
    serving_monitoring: str = _monitoring()
    serving_memory_bytes: int = setting(
        "memory that a model's process may have, in bytes",
        default=0,
        shown="three quarters of the machine's or container's",
        check=checks.between(0, 1 << 50),
    )


@dataclass(frozen=True, kw_only=True)
class ClientSettings(TlsSettings, SecretTokenSettings, HomeSettings):
    """The SDK and the commands that call a server."""

    tracking_uri: str = setting(
        "URI of the server: `http(s)://host:5000`, `grpc(s)://host:port`, also with a token: "
        "`https://user:token@host`",
        default="",
        shown="the home's",
    )
    registry_uri: str = setting("URI of another registry", default="", shown="the tracking URI")
    cache: Path = setting("folder of downloaded models", default=Path("~/.cache/modelyard"))
    progress: str = setting(
        "`1` always shows a progress bar for transfers over 8 MiB, `0` never; it needs rich",
        default="",
        shown="on a terminal",
    )
    experiment_name: str = setting("experiment of runs without one", default="", shown="Default")
    experiment_id: str = setting("id of that experiment, if no name is set", default="", shown="0")
    run_id: str = setting("run that the first `start_run()` resumes", default="", shown="none")
    timeout_s: float = setting(
        "seconds for which a call that changes something, such as `log_metric`, waits for a server "
        "that is away; calls that only read wait for 10 s; at most 86400",
        default=600.0,
        check=checks.between(0.001, 86_400),
    )
    enable_async_logging: bool = setting(
        "`true` logs in the background wherever `synchronous` is left out", default=False
    )
    quiet: bool = setting(
        "`1` turns off the lines on stderr about runs, logged models, registered versions and "
        "the local instance",
        default=False,
        shown="off",
    )
