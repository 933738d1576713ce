"""TLS: what a service shows, whom it asks for a certificate, and whom it trusts.

Files are read again when they have changed: at the next connection of a server, at the next call of
a neighbour. Files that do not fit together, as while they are being replaced, leave the ones before
in use.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import grpc

from modelyard_kit.errors import InvalidArgument

logger = logging.getLogger(__name__)

CERT, KEY = "MODELYARD_TLS_CERT_FILE", "MODELYARD_TLS_KEY_FILE"
CA, CLIENT_CA = "MODELYARD_TLS_CA_FILE", "MODELYARD_TLS_CLIENT_CA_FILE"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a process has its certificates, as PEM; None for what it has not.

    Attributes:
        cert: The certificate it shows, with the chain up to its CA.
        key: The private key of that.
        ca: Authorities it trusts when it connects to other services, which then must speak TLS.
        client_ca: Whose certificates callers by gRPC must show.

    Raises:
        InvalidArgument: Some are given without those that they need.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    client_ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            given, missing = (CERT, KEY) if self.key is None else (KEY, CERT)
            raise InvalidArgument(f"{given} is set without {missing}; set both, or neither.")
        if self.client_ca is not None and self.cert is None:
            raise InvalidArgument(
                f"{CLIENT_CA} is set without {CERT} and {KEY}: only a TLS server can ask for "
                "certificates."
            )

    def server(self) -> ServerTls | None:
        """Return what a listening service shows; None if it listens without TLS.

        Raises:
            InvalidArgument: A file cannot be read or is not what it should be.
        """
        if self.cert is None or self.key is None:
            return None
        return ServerTls(self.cert, self.key, self.client_ca)

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Return how to connect neighbours; None for without TLS.

        Raises:
            InvalidArgument: A file cannot be read or is not what it should be.
        """
        if self.ca is None:
            return None
        roots = _read_ca(CA, self.ca)
        if self.cert is None or self.key is None:
            return grpc.ssl_channel_credentials(roots)
        _context(self.cert, self.key)
        return grpc.ssl_channel_credentials(roots, _read(KEY, self.key), _read(CERT, self.cert))

    def newest_credentials(self) -> Newest[grpc.ChannelCredentials | None] | None:
        """Return the same as the files are at each call, always one object until they change.

        Raises:
            InvalidArgument: As `channel_credentials`.
        """
        files = (self.cert, self.key, self.ca)
        return None if self.ca is None else Newest(files, self.channel_credentials)


class Newest(Generic[T]):
    """What files say now; what they said before while they do not fit together.

    Args:
        files: Which; None for one that is not used.
        load: Reads them; raises InvalidArgument if they cannot be used.
    """

    def __init__(self, files: Sequence[Path | None], load: Callable[[], T]) -> None:
        self._files = [file for file in files if file is not None]
        self._load = load
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._found = load()

    def __call__(self) -> T:
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                try:
                    self._found = self._load()
                except InvalidArgument as error:
                    logger.warning("changed TLS files are not used: %s", error.message)
                else:
                    logger.info("the TLS certificate was replaced")
            return self._found

    def _stamps(self) -> list[tuple[int, int, int]]:
        return [_stamp(file) for file in self._files]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The contents of the files that belong together, and the same as a context."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class ServerTls:
    """What a listening service shows, and whether it asks for a certificate in turn.

    Args:
        cert: PEM file.
        key: PEM file.
        client_ca: PEM file, or None to let callers stay without a certificate.

    Raises:
        InvalidArgument: A file cannot be read or is not what it should be; names its setting.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._newest = Newest((cert, key, client_ca), self._load)

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials for a gRPC port."""
        used = self._newest()

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal used
            newest = self._newest()
            if newest is used:
                return None
            used = newest
            return _configuration(newest)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(used),
            changed,  # type: ignore[arg-type]  # None for no change, as its documentation says
            require_client_authentication=self._client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Return a context for an HTTPS port, which asks for no certificate."""
        context = _context(self._cert, self._key)

        def use_newest(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
            connection.context = self._newest().context

        context.sni_callback = use_newest  # called at each handshake, also of clients without SNI
        return context

    def _load(self) -> _Shown:
        return _Shown(
            _read(CERT, self._cert),
            _read(KEY, self._key),
            None if self._client_ca is None else _read_ca(CLIENT_CA, self._client_ca),
            _context(self._cert, self._key),
        )


def _configuration(shown: _Shown) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(shown.key, shown.cert)], shown.client_ca)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgument(
            f"{setting} names a file that cannot be read: {error.strerror}."
        ) from None


def _read_ca(setting: str, path: Path) -> bytes:
    data = _read(setting, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise InvalidArgument(f"{setting} names a file without a PEM certificate.") from None
    return data


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    _read(CERT, cert)
    _read(KEY, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    no_password: Callable[[], str] = str  # it would be asked for on the terminal
    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidArgument(
                f"The key of {KEY} is not of the certificate of {CERT}."
            ) from None
        raise InvalidArgument(
            f"{CERT} and {KEY} must name a PEM certificate and its unencrypted private key."
        ) from None
    except OSError as error:
        raise InvalidArgument(f"{CERT} or {KEY} cannot be read: {error.strerror}.") from None
    return context
