"""Models of a registry as plain objects, which remember everything."""

from __future__ import annotations

from dataclasses import dataclass, field

FOREIGN, PINNED = "s3://bucket", "runs:/run"
"""Sources of versions: files elsewhere, and files of a run."""


class Place:
    """A stage or an alias that remembers its holders and what rollbacks took out."""

    def __init__(self) -> None:
        self.holder: int | None = None
        self.entries: list[int] = []
        self.out: set[int] = set()

    def enter(self, number: int) -> None:
        """Make a version the holder by choice; a version that stays is chosen again."""
        if self.holder != number:
            self.entries.append(number)
        self.holder = number
        self.out.discard(number)

    def leave(self, number: int) -> None:
        if self.holder == number:
            self.holder = None

    def possible(self, ready: set[int]) -> list[int]:
        """Return the earlier holders, the last one first."""
        newest_first = dict.fromkeys(reversed(self.entries))
        return [number for number in newest_first if number in ready and number != self.holder]

    def reinstate(self, number: int) -> None:
        if self.holder is not None:
            self.out.add(self.holder)
        self.holder = number
        self.entries.append(number)


@dataclass
class Version:
    number: int
    source: str
    made_ms: int
    changed_ms: int
    stage: str = "None"
    revision: int = 1
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def is_pinned(self) -> bool:
        return self.source != FOREIGN


@dataclass
class Model:
    name: str
    made_ms: int
    changed_ms: int
    next_number: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        return self.places.setdefault(name, Place())
