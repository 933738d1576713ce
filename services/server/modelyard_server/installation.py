"""Where the parts of an installation are, for commands that work on them from outside."""

from __future__ import annotations

import argparse
import dataclasses
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.artifacts.choosing import open_store
from modelyard_server.home import resolved
from modelyard_server.settings import Settings

AREAS = ("tracking", "registry")
"""The services that have a database."""


def no_urls() -> UrlSigner:
    """Return what signs URLs of a store that nobody is given URLs of."""
    return UrlSigner(secrets.token_bytes(32), str)


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation, as its settings describe it.

    Attributes:
        settings: Of the home, and of the store.
        urls: Of the databases that are not in the home, by area.
    """

    settings: Settings
    urls: Mapping[str, str]

    @property
    def home(self) -> Path:
        return resolved(self.settings.home)

    @property
    def is_in_home(self) -> bool:
        """Whether all of its databases are in the home."""
        return not self.urls

    def database_url(self, area: str) -> str | URL:
        if area in self.urls:
            return self.urls[area]
        return URL.create("sqlite", database=str(self.home / f"{area}.db"))

    def open_store(self) -> ArtifactStore:
        """Open where the objects are.

        Raises:
            Error: It cannot be used; says why.
        """
        return open_store(self.settings.store, no_urls())


def add_arguments(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """Let a command be told which installation it is about."""
    parser.add_argument("--home", type=Path, default=settings.home, help="(%(default)s)")
    for area in AREAS:
        variable = f"MODELYARD_{area.upper()}_DATABASE_URL"
        parser.add_argument(
            f"--{area}-database-url",
            metavar="URL",
            default=os.environ.get(variable, ""),
            help=f"the database of {area}, if it is not in the home [{variable}]",
        )


def chosen(settings: Settings, options: argparse.Namespace) -> Installation:
    """Return the installation that arguments and settings name."""
    given = {area: getattr(options, f"{area}_database_url") for area in AREAS}
    return Installation(
        dataclasses.replace(settings, home=options.home),
        {area: url for area, url in given.items() if url},
    )
