"""Locations of the parts of an installation, for commands that work on them from outside."""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.artifacts.choosing import open_store
from modelyard_kit.settings.declarations import add_flags, load, refuse_unknown
from modelyard_kit.settings.programs import KNOWN_VARIABLES
from modelyard_kit.settings.table import AdminSettings
from modelyard_server.processes.home import resolved
from modelyard_server.processes.stores import store_settings

AREAS = ("tracking", "registry")
"""The services that have a database."""


def no_urls() -> UrlSigner:
    """Return a signer for a store whose URLs are not given out."""
    return UrlSigner(secrets.token_bytes(32), str)


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation as described by its settings.

    Attributes:
        settings: Settings of the home, the store and the databases.
    """

    settings: AdminSettings

    @property
    def urls(self) -> dict[str, str]:
        """URLs of the databases that are not in the home, by area."""
        urls = (self.settings.tracking_database_url, self.settings.registry_database_url)
        return {area: url for area, url in zip(AREAS, urls, strict=True) if url}

    @property
    def home(self) -> Path:
        return resolved(self.settings.home)

    @property
    def is_in_home(self) -> bool:
        """Whether all databases are in the home."""
        return not self.urls

    def database_url(self, area: str) -> str | URL:
        return self.urls.get(area) or URL.create("sqlite", database=str(self.home / f"{area}.db"))

    def open_store(self) -> ArtifactStore:
        """Open the object store.

        Raises:
            Error: The store cannot be used; names the reason.
        """
        return open_store(store_settings(self.settings), no_urls())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that locate an installation, or parts of one."""
    add_flags(parser, AdminSettings, only=("home", *(f"{area}_database_url" for area in AREAS)))


def chosen(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Installation:
    """Return the installation that arguments and settings describe.

    Raises:
        InvalidArgument: A variable is unknown, or a value is invalid for its setting.
    """
    refuse_unknown(environ, KNOWN_VARIABLES)
    return Installation(load(AdminSettings, environ, vars(options)))
