"""TLS: the certificates that a process presents, requires and trusts.

Changed files are read again: by a server at its next connection, by a client at its next call.
While files do not fit together, as during their replacement, the previous ones stay in use.
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
    """The PEM files of a process; None for a file that is not configured.

    Attributes:
        cert: Certificate to present, with the chain up to its CA.
        key: Private key of the certificate.
        ca: Authorities to trust when connecting to other services, which then must use TLS.
        client_ca: Authorities of the certificates that gRPC callers must present.

    Raises:
        InvalidArgument: A file is given without another one that it needs.
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
        """Return the certificate for listening ports; None means plaintext.

        Raises:
            InvalidArgument: A file cannot be read or has other contents than expected.
        """
        if self.cert is None or self.key is None:
            return None
        return ServerTls(self.cert, self.key, self.client_ca)

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Return the credentials for connecting to other services; None means plaintext.

        Raises:
            InvalidArgument: A file cannot be read or has other contents than expected.
        """
        if self.ca is None:
            return None
        roots = _read_ca(CA, self.ca)
        if self.cert is None or self.key is None:
            return grpc.ssl_channel_credentials(roots)
        _context(self.cert, self.key)
        return grpc.ssl_channel_credentials(roots, _read(KEY, self.key), _read(CERT, self.cert))

    def newest_credentials(self) -> Newest[grpc.ChannelCredentials | None] | None:
        """Return a function that returns `channel_credentials` of the files as they are now.

        It returns the same object until the files change. None means plaintext.

        Raises:
            InvalidArgument: As `channel_credentials`.
        """
        files = (self.cert, self.key, self.ca)
        return None if self.ca is None else Newest(files, self.channel_credentials)


class Newest(Generic[T]):
    """The current contents of a set of files, or the previous ones while those are invalid.

    Args:
        files: The files to watch; None for one that is not used.
        load: Reads the files; raises InvalidArgument if they cannot be used.
    """

    def __init__(self, files: Sequence[Path | None], load: Callable[[], T]) -> None:
        self._files = [file for file in files if file is not None]
        self._load = load
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._loaded = load()

    def __call__(self) -> T:
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                try:
                    self._loaded = self._load()
                except InvalidArgument as error:
                    logger.warning("changed TLS files are not used: %s", error.message)
                else:
                    logger.info("the TLS certificate was replaced")
            return self._loaded

    def _stamps(self) -> list[tuple[int, int, int]]:
        return [_stamp(file) for file in self._files]


@dataclass(frozen=True, slots=True)
class _Certificate:
    """The contents of the files that belong together, and an SSL context made of them."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class ServerTls:
    """The certificate of listening ports, and whether callers need one.

    Args:
        cert: PEM file of the certificate.
        key: PEM file of its private key.
        client_ca: PEM file of the authorities of callers; None if callers need no certificate.

    Raises:
        InvalidArgument: A file cannot be read or has other contents than expected; the message
            names its setting.
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
            changed,  # type: ignore[arg-type]  # None for no change, as gRPC documents
            require_client_authentication=self._client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Return a context for an HTTPS port, which requires no certificate of clients."""
        context = _context(self._cert, self._key)

        def use_newest(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
            connection.context = self._newest().context

        context.sni_callback = use_newest  # called at each handshake, also of clients without SNI
        return context

    def _load(self) -> _Certificate:
        return _Certificate(
            _read(CERT, self._cert),
            _read(KEY, self._key),
            None if self._client_ca is None else _read_ca(CLIENT_CA, self._client_ca),
            _context(self._cert, self._key),
        )


def _configuration(certificate: _Certificate) -> grpc.ServerCertificateConfiguration:
    chain = [(certificate.key, certificate.cert)]
    return grpc.ssl_server_certificate_configuration(chain, certificate.client_ca)


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
    no_password: Callable[[], str] = str  # else OpenSSL prompts for it on the terminal
    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidArgument(
                f"The private key of {KEY} does not belong to the certificate of {CERT}."
            ) from None
        raise InvalidArgument(
            f"{CERT} and {KEY} must name a PEM certificate and its unencrypted private key."
        ) from None
    except OSError as error:
        raise InvalidArgument(f"{CERT} or {KEY} cannot be read: {error.strerror}.") from None
    return context
