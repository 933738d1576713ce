"""Certificates for tests: an authority and its certificates, in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

from modelyard_kit.tls import TlsFiles


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    cert: Path
    key: Path


class Authority:
    """An authority and the folder of its files.

    Args:
        folder: Folder to create for the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._ca = trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def issue(self, name: str = "127.0.0.1") -> Issued:
        """Issue a certificate for a host, in place of an earlier one for it."""
        made = self._ca.issue_cert(name, "localhost")
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        issued.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        issued.key.write_bytes(made.private_key_pem.bytes())
        return issued

    def files(self, *, mutual: bool = False) -> TlsFiles:
        """Return the files of a process that trusts this authority and has its certificate."""
        issued = self.issue()
        return TlsFiles(issued.cert, issued.key, self.ca, self.ca if mutual else None)

    def variables(self, *, mutual: bool = False) -> dict[str, str]:
        """Return the same files as settings."""
        files = self.files(mutual=mutual)
        found = {
            "CERT": files.cert,
            "KEY": files.key,
            "CA": files.ca,
            "CLIENT_CA": files.client_ca,
        }
        return {f"MODELYARD_TLS_{name}_FILE": str(path) for name, path in found.items() if path}
