"""Report of a migration: counts, and every difference between the two sides."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from modelyard_mlflow.source import Unreachable

_SHOWN_PER_KIND = 10
_INCOMPLETE = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the two sides.

    Args:
        kind: Kind of difference, e.g. `value-cut`; docs/migrating.md lists all kinds.
        subject: Resource concerned, e.g. `run 3f…`.
        detail: The difference and its reason.
    """

    kind: str
    subject: str
    detail: str


@dataclass(slots=True)
class Report:
    """Counts and differences, collected during a migration.

    Args:
        source: Address of the source, without credentials.
        destination: Address of the destination.
        dry_run: Whether nothing was written.
    """

    source: str
    destination: str
    dry_run: bool = False
    created: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    is_whole: bool = True
    """Whether nothing was left out that the destination could have stored."""
    _seen: set[Difference] = field(default_factory=set)

    def count(self, noun: str, number: int = 1, *, created: bool) -> None:
        """Count resources, points, files or bytes, as created or as present already."""
        (self.created if created else self.found)[noun] += number

    def note(self, kind: str, subject: str, detail: str) -> None:
        """Record a difference; repetitions are ignored."""
        # Names of files that are not UTF-8 are shown with their bytes escaped.
        text = detail.encode("utf-8", "backslashreplace").decode()
        difference = Difference(kind, subject, text)
        if difference not in self._seen:
            self._seen.add(difference)
            self.differences.append(difference)

    def leave_out(self, kind: str, subject: str, detail: str) -> None:
        """Record a resource or a file that was not migrated."""
        self.is_whole = False
        self.note(kind, subject, detail)

    @property
    def exit_code(self) -> int:
        return 0 if self.is_whole or self.dry_run else _INCOMPLETE

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        document = {
            "source": self.source,
            "target": self.destination,
            "dry_run": self.dry_run,
            "written": {noun: count for noun, count in self.created.items() if count},
            "already_there": {noun: count for noun, count in self.found.items() if count},
            "differences": [asdict(difference) for difference in self.differences],
        }
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def summary(self) -> str:
        """Return a readable summary: counts, and the first differences of each kind."""
        verb = "Would write" if self.dry_run else "Written"
        lines = [
            f"From {self.source} to {self.destination}",
            f"{verb}: {_counts(self.created) or 'nothing'}",
            f"Already there, and now up to date: {_counts(self.found) or 'nothing'}",
        ]
        if not self.differences:
            return "\n".join([*lines, "No differences."])
        by_kind: dict[str, list[Difference]] = {}
        for difference in self.differences:
            by_kind.setdefault(difference.kind, []).append(difference)
        lines.append(f"Differences: {len(self.differences)}")
        if self.exit_code:
            lines.append("Not everything was migrated; run the command again to complete it.")
        for kind, found in by_kind.items():
            lines.append(f"  {kind} ({len(found)})")
            lines += [f"    {item.subject}: {item.detail}" for item in found[:_SHOWN_PER_KIND]]
            if len(found) > _SHOWN_PER_KIND:
                lines.append(
                    f"    … and {len(found) - _SHOWN_PER_KIND} more; --report FILE writes them all"
                )
        return "\n".join(lines)


@contextmanager
def written(report: Report, path: Path | None) -> Iterator[None]:
    """Write a report to `path`, if given, at the end of the block, also if it fails or is stopped.

    Raises:
        Unreachable: The file cannot be written; the block is not entered.
    """
    if path is None:
        yield
        return
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise Unreachable(f"The report {path} cannot be written: {error.strerror}.") from None
    try:
        yield
    finally:
        report.write(path)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{noun} {count:,}" for noun, count in counter.items() if count)
