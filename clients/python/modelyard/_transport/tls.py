"""TLS: trusted authorities and the client certificate.

The files are named by MODELYARD_TLS_CA_FILE, MODELYARD_TLS_CERT_FILE and MODELYARD_TLS_KEY_FILE, or
by MLflow's variables for the same.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.exceptions import InvalidParameter

_CA = ("MODELYARD_TLS_CA_FILE", "MLFLOW_TRACKING_SERVER_CERT_PATH")
_CERT = ("MODELYARD_TLS_CERT_FILE", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
_KEY = ("MODELYARD_TLS_KEY_FILE",)
_INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"

# By texts of OpenSSL and gRPC, the more specific first.
_REASONS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS; use http:// or grpc:// if that is intended",
    "certificate has expired": "its certificate has expired",
    "certificate is not yet valid": "its certificate is not valid yet; is the clock right?",
    "certificate is not valid for": "its certificate is for another name",
    "Hostname mismatch": "its certificate is for another name",
    "Hostname Verification Check failed": "its certificate is for another name",
    "CERTIFICATE_VERIFY_FAILED": (
        "its certificate was not signed by a trusted authority; set MODELYARD_TLS_CA_FILE to the "
        "certificate of the authority that signed it"
    ),
    "CERTIFICATE_REQUIRED": (
        "it requires a client certificate; set MODELYARD_TLS_CERT_FILE and MODELYARD_TLS_KEY_FILE"
    ),
}


@dataclass(frozen=True, slots=True)
class _Named:
    """A file, and the variable that named it."""

    variable: str
    path: str


def explained(failure: str) -> str | None:
    """Return a readable reason for a failure of TLS; None for any other failure.

    Args:
        failure: Error text of OpenSSL or gRPC.
    """
    return next((reason for text, reason in _REASONS.items() if text in failure), None)


def context(*, of_server: bool) -> ssl.SSLContext:
    """Return the SSL context for connections to a host.

    Args:
        of_server: Whether the host is the Modelyard server's: only the configured authority is
            trusted, if there is one, and the client certificate is presented. A store elsewhere may
            also have a certificate of a public authority, and is not sent the client certificate.

    Raises:
        InvalidParameter: A file cannot be used; names its variable.
    """
    authority, certificate, key = _files()
    made = ssl.create_default_context()
    if authority:
        if of_server:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(made, authority)
    if certificate and of_server:
        _show(made, certificate, key or certificate)
    return made


def channel_credentials() -> Any:
    """Return the `grpc.ChannelCredentials` for the Modelyard server.

    Raises:
        InvalidParameter: A file cannot be used; names its variable.
    """
    import grpc

    context(of_server=True)  # checks the files: gRPC would only report that it cannot connect
    authority, certificate, key = _files()
    return grpc.ssl_channel_credentials(
        _read(authority) if authority else None,
        _read(key or certificate) if certificate else None,
        _read(certificate) if certificate else None,
    )


def _files() -> tuple[_Named | None, _Named | None, _Named | None]:
    if os.environ.get(_INSECURE, "").lower() in {"true", "1"}:
        raise InvalidParameter(
            f"{_INSECURE} is not supported: an impostor could obtain the token. Set "
            "MODELYARD_TLS_CA_FILE to the certificate of the authority that signed the server's, "
            "or to the server's own."
        )
    authority, certificate, key = _named(*_CA), _named(*_CERT), _named(*_KEY)
    if key and not certificate:
        raise InvalidParameter(
            f"{key.variable} is set without {_CERT[0]}, the certificate that the key belongs to."
        )
    return authority, certificate, key


def _named(*variables: str) -> _Named | None:
    return next(
        (_Named(name, os.environ[name]) for name in variables if os.environ.get(name)), None
    )


def _read(file: _Named) -> bytes:
    try:
        return Path(file.path).read_bytes()
    except OSError as error:
        raise InvalidParameter(
            f"{file.variable} names '{file.path}', which cannot be read: {error.strerror}."
        ) from None


def _trust(made: ssl.SSLContext, authority: _Named) -> None:
    try:
        made.load_verify_locations(cadata=_read(authority).decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise InvalidParameter(
            f"{authority.variable} names '{authority.path}', which holds no PEM certificate; "
            "expected one that begins with -----BEGIN CERTIFICATE-----."
        ) from None


def _show(made: ssl.SSLContext, certificate: _Named, key: _Named) -> None:
    for file in (certificate, key):
        _read(file)  # OpenSSL does not report which of the two cannot be read
    try:
        made.load_cert_chain(certificate.path, key.path, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidParameter(
                f"The key in '{key.path}' ({key.variable}) does not belong to the certificate in "
                f"'{certificate.path}' ({certificate.variable})."
            ) from None
        raise InvalidParameter(
            f"'{certificate.path}' ({certificate.variable}) and '{key.path}' ({key.variable}) hold "
            "no certificate and key in PEM form; the key must not be encrypted."
        ) from None
