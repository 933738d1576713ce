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
    """A call that a client made, sent as often as it took.

    Attributes:
        call: Its own name, which no other call has; also its request id.
        kind: What it did, e.g. "create_version".
        model: To which model, or to which run.
        started_s: When it was first sent, on the machine's monotonic clock.
        ended_s: When it was first answered; infinity if nobody knows what became of it.
        replies: A digest of each reply, the same for the same bytes.
        told: What of the reply matters.
        asked: With which arguments.
        outcome: "ok"; "no": it was refused and did nothing; "unknown": it may have been done or
            not, and may still be done.
        said: Code and words of each refusal and failure on the way.
    """

    call: str
    kind: str
    model: str
    started_s: float
    ended_s: float
    replies: Sequence[str] = ()
    told: Any = None
    asked: Sequence[Any] = ()
    outcome: str = "ok"
    said: Sequence[tuple[str, str]] = ()

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def is_read(self) -> bool:
        return self.kind.startswith("read_")


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
    """P1: the numbers of one model are 1, 2, 3, … and never smaller than an earlier call's.

    Args:
        created: Those that were acknowledged.
        versions: All that there are.
    """
    numbers = [version.number for version in versions]
    wrong = []
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        wrong.append(f"the numbers are {sorted(numbers)}")
    made_by = {version.number: version.made_by for version in versions}
    wrong += [
        f"{item.call} was told {item.told}, which {made_by.get(item.told)} made"
        for item in created
        if made_by.get(item.told) != item.call
    ]
    return wrong + _out_of_order(created)


def _out_of_order(created: Sequence[Done]) -> list[str]:
    """Calls that ended before another started, and yet got the greater number."""
    wrong = []
    ended = sorted(created, key=lambda item: item.ended_s)
    greatest, position = 0, 0
    for item in sorted(created, key=lambda item: item.started_s):
        while position < len(ended) and ended[position].ended_s < item.started_s:
            greatest = max(greatest, ended[position].told)
            position += 1
        if item.told <= greatest:
            wrong.append(f"{item.call} got {item.told} after {greatest} had been given")
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
        done: All calls that would change it. One that was acknowledged has one event, one that was
            refused has none, one of which nobody knows has one at most.
        table: What the tables say, as far as the document of the history says it.
    """
    wrong = _broken_chain(events)
    told = Counter((event.covered["request_id"], event.covered["action"]) for event in events)
    asked = {(item.call, ACTIONS[item.kind]): item for item in done}
    wrong += [
        f"{call} made an event {action}, and no call did that"
        for call, action in told.keys() - asked.keys()
    ]
    for made, item in asked.items():
        allowed = {"ok": (1,), "no": (0,), "unknown": (0, 1)}[item.outcome]
        if told[made] not in allowed:
            wrong.append(f"{item.call}, whose outcome is {item.outcome}, made {told[made]} events")
    document: Any = {}
    for event in events:
        document = merged(document, json.loads(event.covered["after"]))
    if _within(document, table) != table:
        wrong.append(f"the events give {_within(document, table)}, the tables say {table}")
    return wrong


ACTIONS = {
    "create_model": "MODEL_CREATED",
    "create_version": "VERSION_CREATED",
    "delete_version": "VERSION_DELETED",
    "edit": "VERSION_UPDATED",
    "move": "STAGE_CHANGED",
    "promote": "STAGE_CHANGED",
    "roll_back": "STAGE_ROLLED_BACK",
}
"""The action of the event that a kind of call makes."""


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


def wrong_watches(
    told: Sequence[tuple[int, str]], events: Sequence[tuple[int, str]], watcher: str
) -> list[str]:
    """P6: a watcher is told of every change once, in order.

    Args:
        told: Position and hash of each event it was told of, in that order.
        events: The same of all events there are, oldest first.
        watcher: Its name, for people.
    """
    if list(told) == list(events):
        return []
    wrong = [f"{watcher} was told of {len(told)} events, there are {len(events)}"]
    positions = [position for position, _ in told]
    if sorted(set(positions)) != positions:
        repeated = [p for p, times in Counter(positions).items() if times > 1]
        wrong.append(f"{watcher}: told twice or out of order: {repeated or positions}")
    wrong += [
        f"{watcher}: never told of event {position}"
        for position, hash_ in events
        if (position, hash_) not in set(told)
    ]
    return wrong


def wrong_points(done: Iterable[Done], found: Sequence[int], run: str) -> list[str]:
    """P12: each acknowledged point is there once, and of a batch all points or none.

    Args:
        done: What was logged to one metric of a run; asked are the steps.
        found: The steps that are read back.
        run: For people.
    """
    count = Counter(found)
    wrong = [f"{run}: point {step} is there {n} times" for step, n in count.items() if n > 1]
    sent: set[int] = set()
    for item in done:
        sent.update(item.asked)
        there = [step for step in item.asked if step in count]
        if item.is_ok and len(there) < len(item.asked):
            wrong.append(f"{run}: {item.call} was acknowledged, of {item.asked} {there} are there")
        elif there and len(there) < len(item.asked):
            wrong.append(f"{run}: of the batch {item.call} {item.asked} {there} are there")
        elif there and item.outcome == "no":
            wrong.append(f"{run}: {item.call} was refused, and {there} are there")
    return wrong + [f"{run}: nobody logged point {step}" for step in count.keys() - sent]


def unexpected(done: Iterable[Done], *, calm: bool) -> list[str]:
    """No failure but those that the workload and the faults provoke.

    Args:
        done: All calls.
        calm: Whether nothing was done to the services, so that each call has an answer.
    """
    wrong = []
    for item in done:
        for code, words in item.said:
            provoked = (code, item.kind) in _PROVOKED and not words.startswith(_COLLIDED)
            unanswered = code in _UNANSWERED and not words.startswith(_BUG) and not calm
            if not provoked and not unanswered:
                wrong.append(f"{item.call} ({item.kind}) was answered {code}: {words}")
    return wrong


_PROVOKED = {("ABORTED", "promote"), ("ABORTED", "edit"), ("FAILED_PRECONDITION", "roll_back")}
_COLLIDED = ("Gave up after", "Another transaction")
_UNANSWERED = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL"}
_BUG = "internal error"
