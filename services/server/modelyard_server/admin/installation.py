"""Where the parts of an installation are, for commands that work on them from outside."""

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
from modelyard_kit.settings.table import KNOWN_VARIABLES, AdminSettings
from modelyard_server.processes.home import resolved
from modelyard_server.processes.stores import store_settings

AREAS = ("tracking", "registry")
"""The services that have a database."""


def no_urls() -> UrlSigner:
    """Return what signs URLs of a store that nobody is given URLs of."""
    return UrlSigner(secrets.token_bytes(32), str)


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation, as its settings describe it.

    Attributes:
        settings: Of the home, the store and the databases.
    """

    settings: AdminSettings

    @property
    def urls(self) -> dict[str, str]:
        """The URLs of the databases that are not in the home, by area."""
        urls = (self.settings.tracking_database_url, self.settings.registry_database_url)
        return {area: url for area, url in zip(AREAS, urls, strict=True) if url}

    @property
    def home(self) -> Path:
        return resolved(self.settings.home)

    @property
    def is_in_home(self) -> bool:
        """Whether all of its databases are in the home."""
        return not self.urls

    def database_url(self, area: str) -> str | URL:
        return self.urls.get(area) or URL.create("sqlite", database=str(self.home / f"{area}.db"))

    def open_store(self) -> ArtifactStore:
        """Open where the objects are.

        Raises:
            Error: It cannot be used; says why.
        """
        return open_store(store_settings(self.settings), no_urls())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name an installation, or parts of one."""
    add_flags(parser, AdminSettings, only=("home", *(f"{area}_database_url" for area in AREAS)))


def chosen(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Installation:
    """Return the installation that arguments and settings name.

    Raises:
        InvalidArgument: A variable is unknown, or a value is refused by its setting.
    """
    refuse_unknown(environ, KNOWN_VARIABLES)
    return Installation(load(AdminSettings, environ, vars(options)))
