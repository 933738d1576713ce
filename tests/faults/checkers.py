"""What must hold of a history that clients recorded: pure functions that return what does not.

Each returns one sentence a violation, and nothing when the promise was kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EXCLUSIVE_STAGES = ("Staging", "Production")


@dataclass(frozen=True)
class Done:
    """A call that was acknowledged, sent as often as it took.

    Attributes:
        call: Its own name, which no other call has.
        kind: What it did, e.g. "create_version".
        model: To which model; empty for tracking.
        started_s: When it was first sent, on the machine's monotonic clock.
        ended_s: When it was first acknowledged.
        replies: A digest of each reply, the same for the same bytes.
        number: The version it made or moved; 0 for none.
    """

    call: str
    kind: str
    model: str
    started_s: float
    ended_s: float
    replies: Sequence[str]
    number: int = 0


@dataclass(frozen=True)
class Version:
    """A version as it is read back."""

    number: int
    made_by: str
    stage: str


@dataclass(frozen=True)
class Event:
    """A row of a model's history: every member that its hash covers, and the hash."""

    covered: Mapping[str, Any]
    hash: str

    @property
    def revision(self) -> int:
        revision: int = self.covered["revision"]
        return revision


@dataclass(frozen=True)
class Holders:
    """Who held which stage in one reply that an observer got."""

    model: str
    stages: Mapping[str, Sequence[int]] = field(default_factory=dict)


def lost_writes(acknowledged: Iterable[str], found: Iterable[str]) -> list[str]:
    """P3: what was acknowledged can be read."""
    return [f"{name} was acknowledged and is gone" for name in set(acknowledged) - set(found)]


def repeated_effects(done: Iterable[Done], found: Iterable[str]) -> list[str]:
    """P4: one call has one effect and one answer, however often it was sent."""
    effects = Counter(found)
    return [f"{call} had {times} effects" for call, times in effects.items() if times > 1] + [
        f"{item.call} got different answers" for item in done if len(set(item.replies)) > 1
    ]


def wrong_numbers(created: Sequence[Done], versions: Sequence[Version]) -> list[str]:
    """P1: the numbers of one model are 1, 2, 3, … and never smaller than an earlier call's."""
    numbers = [version.number for version in versions]
    wrong = []
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        wrong.append(f"the numbers are {sorted(numbers)}")
    made_by = {version.number: version.made_by for version in versions}
    wrong += [
        f"{item.call} was told {item.number}, which {made_by.get(item.number)} made"
        for item in created
        if made_by.get(item.number) != item.call
    ]
    return wrong + _out_of_order(created)


def _out_of_order(created: Sequence[Done]) -> list[str]:
    """Calls that ended before another started, and yet got the greater number."""
    wrong = []
    ended = sorted(created, key=lambda item: item.ended_s)
    greatest, position = 0, 0
    for item in sorted(created, key=lambda item: item.started_s):
        while position < len(ended) and ended[position].ended_s < item.started_s:
            greatest = max(greatest, ended[position].number)
            position += 1
        if item.number <= greatest:
            wrong.append(f"{item.call} got {item.number} after {greatest} had been given")
    return wrong


def wrong_holders(seen: Iterable[Holders], always_held: Mapping[str, str]) -> list[str]:
    """P2: at most one holder of each exclusive stage in every single reply.

    Args:
        seen: What observers saw.
        always_held: A stage, by model, that no call ever left empty: it has exactly one.
    """
    wrong = []
    for holders in seen:
        for stage in EXCLUSIVE_STAGES:
            count = len(holders.stages.get(stage, ()))
            if count > 1:
                wrong.append(f"{holders.model}: {holders.stages[stage]} were all in {stage}")
            if count == 0 and always_held.get(holders.model) == stage:
                wrong.append(f"{holders.model}: nobody was in {stage}")
    return wrong


def wrong_events(events: Sequence[Event], done: Iterable[Done], table: Any) -> list[str]:
    """P5: one event a change, in an unbroken chain, and together they give the tables.

    Args:
        events: The history of one model, oldest first.
        done: Its acknowledged changes.
        table: What the tables say, as far as the document of the history says it.
    """
    wrong = _broken_chain(events)
    told = Counter(event.covered["action"] for event in events)
    happened = Counter(_ACTIONS[item.kind] for item in done)
    if told != happened:
        wrong.append(f"the events are {dict(told)}, the changes were {dict(happened)}")
    document: Any = {}
    for event in events:
        document = merged(document, json.loads(event.covered["after"]))
    if _within(document, table) != table:
        wrong.append(f"the events give {_within(document, table)}, the tables say {table}")
    return wrong


_ACTIONS = {
    "create_model": "MODEL_CREATED",
    "create_version": "VERSION_CREATED",
    "transition": "STAGE_CHANGED",
    "rollback": "STAGE_ROLLED_BACK",
}


def _broken_chain(events: Sequence[Event]) -> list[str]:
    wrong = []
    previous = "0" * 64
    for position, event in enumerate(events, start=1):
        if event.revision != position:
            wrong.append(f"event {event.revision} is where {position} should be")
        if event.covered["previous_hash"] != previous or event.hash != hash_of(event.covered):
            wrong.append(f"the hash chain breaks at event {event.revision}")
        previous = event.hash
    return wrong


def hash_of(covered: Mapping[str, Any]) -> str:
    """The hash as docs/history.md defines it, not as the registry computes it."""
    text = json.dumps(covered, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396: a JSON document after a merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _within(document: Any, pattern: Any) -> Any:
    """The part of a document that a pattern also has, with every version there is."""
    if not isinstance(pattern, dict) or not isinstance(document, dict):
        return document
    versions = {
        number: {key: version.get(key) for key in ("stage", "description")}
        for number, version in document.get("versions", {}).items()
    }
    return {"versions": versions}
