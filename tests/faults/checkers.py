"""Checks of recorded client histories against the promises, as pure functions.

Each returns one sentence per violation, and nothing if the promise was kept.
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
    """A call that a client made, with its retries.

    Attributes:
        call: Unique name of the call, which is also its request id.
        kind: Kind of the call, e.g. "create_version".
        model: Name of the model or id of the run.
        started_s: Time when it was first sent, on the machine's monotonic clock.
        ended_s: Time of the first reply; infinity if its outcome is unknown.
        replies: A digest of each reply, equal for equal bytes.
        returned: The relevant part of the reply.
        asked: Arguments of the call.
        outcome: "ok"; "no" if it was refused without effect; "unknown" if it may have taken effect
            or may still do so.
        failures: Code and message of each refusal and failure on the way.
    """

    call: str
    kind: str
    model: str
    started_s: float
    ended_s: float
    replies: Sequence[str] = ()
    returned: Any = None
    asked: Sequence[Any] = ()
    outcome: str = "ok"
    failures: Sequence[tuple[str, str]] = ()

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def is_read(self) -> bool:
        return self.kind.startswith("read_")


@dataclass(frozen=True)
class Version:
    """A version as read back at the end."""

    number: int
    made_by: str
    stage: str


@dataclass(frozen=True)
class Event:
    """An event of a model's history: the fields that its hash covers, and the hash."""

    covered: Mapping[str, Any]
    hash: str

    @property
    def revision(self) -> int:
        revision: int = self.covered["revision"]
        return revision


@dataclass(frozen=True)
class Holders:
    """The holders of stages in one reply to an observer."""

    model: str
    stages: Mapping[str, Sequence[int]] = field(default_factory=dict)


def lost_writes(acknowledged: Iterable[str], found: Iterable[str]) -> list[str]:
    """P3: acknowledged writes can be read."""
    return [f"{name} was acknowledged and is missing" for name in set(acknowledged) - set(found)]


def repeated_effects(done: Iterable[Done], found: Iterable[str]) -> list[str]:
    """P4: one call has one effect and one answer, however often it was sent."""
    effects = Counter(found)
    return [f"{call} had {times} effects" for call, times in effects.items() if times > 1] + [
        f"{item.call} got different answers" for item in done if len(set(item.replies)) > 1
    ]


def wrong_numbers(created: Sequence[Done], versions: Sequence[Version]) -> list[str]:
    """P1: the numbers of one model are 1, 2, 3, … and never smaller than an earlier call's.

    Args:
        created: Acknowledged calls.
        versions: All versions.
    """
    numbers = [version.number for version in versions]
    wrong = []
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        wrong.append(f"the numbers are {sorted(numbers)}")
    made_by = {version.number: version.made_by for version in versions}
    wrong += [
        f"{item.call} returned {item.returned}, which {made_by.get(item.returned)} made"
        for item in created
        if made_by.get(item.returned) != item.call
    ]
    return wrong + _out_of_order(created)


def _out_of_order(created: Sequence[Done]) -> list[str]:
    """Return calls that ended before another started, but got the greater number."""
    wrong = []
    ended = sorted(created, key=lambda item: item.ended_s)
    greatest, position = 0, 0
    for item in sorted(created, key=lambda item: item.started_s):
        while position < len(ended) and ended[position].ended_s < item.started_s:
            greatest = max(greatest, ended[position].returned)
            position += 1
        if item.returned <= greatest:
            wrong.append(f"{item.call} got {item.returned} after {greatest} had been given")
    return wrong


def wrong_holders(seen: Iterable[Holders], always_held: Mapping[str, str]) -> list[str]:
    """P2: at most one holder of each exclusive stage in every single reply.

    Args:
        seen: Replies to observers.
        always_held: By model, a stage that no call leaves vacant: it has exactly one holder.
    """
    wrong = []
    for holders in seen:
        for stage in EXCLUSIVE_STAGES:
            count = len(holders.stages.get(stage, ()))
            if count > 1:
                wrong.append(f"{holders.model}: {holders.stages[stage]} were all in {stage}")
            if count == 0 and always_held.get(holders.model) == stage:
                wrong.append(f"{holders.model}: no version was in {stage}")
    return wrong


def wrong_events(events: Sequence[Event], done: Iterable[Done], table: Any) -> list[str]:
    """P5: one event a change, in an unbroken chain, and together they give the tables.

    Args:
        events: The history of one model, oldest first.
        done: All calls that would change it. An acknowledged call has one event, a refused call
            none, and a call with unknown outcome at most one.
        table: The content of the tables, as far as the document has it.
    """
    wrong = _broken_chain(events)
    returned = Counter((event.covered["request_id"], event.covered["action"]) for event in events)
    asked = {(item.call, ACTIONS[item.kind]): item for item in done}
    wrong += [
        f"{call} made an event {action}, and no call did that"
        for call, action in returned.keys() - asked.keys()
    ]
    for made, item in asked.items():
        allowed = {"ok": (1,), "no": (0,), "unknown": (0, 1)}[item.outcome]
        if returned[made] not in allowed:
            wrong.append(
                f"{item.call}, whose outcome is {item.outcome}, made {returned[made]} events"
            )
    document: Any = {}
    for event in events:
        document = merged(document, json.loads(event.covered["after"]))
    if _within(document, table) != table:
        wrong.append(f"the events give {_within(document, table)}, the tables have {table}")
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
"""The action of the event of each kind of call."""


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
    """Return the hash as docs/history.md defines it, independently of the registry."""
    text = json.dumps(covered, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def merged(document: Any, patch: Any) -> Any:
    """Return a JSON document after a merge patch (RFC 7396)."""
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
    """Return the part of a document that a pattern also has, with all versions."""
    if not isinstance(pattern, dict) or not isinstance(document, dict):
        return document
    versions = {
        number: {key: version.get(key) for key in ("stage", "description")}
        for number, version in document.get("versions", {}).items()
    }
    return {"versions": versions}


def wrong_watches(
    returned: Sequence[tuple[int, str]], events: Sequence[tuple[int, str]], watcher: str
) -> list[str]:
    """P6: a watcher receives every change once, in order.

    Args:
        returned: Position and hash of each received event, in order.
        events: Position and hash of all events, oldest first.
        watcher: Name of the watcher, for messages.
    """
    if list(returned) == list(events):
        return []
    wrong = [f"{watcher} received {len(returned)} events, there are {len(events)}"]
    positions = [position for position, _ in returned]
    if sorted(set(positions)) != positions:
        repeated = [p for p, times in Counter(positions).items() if times > 1]
        wrong.append(f"{watcher}: received twice or out of order: {repeated or positions}")
    wrong += [
        f"{watcher}: never received event {position}"
        for position, hash_ in events
        if (position, hash_) not in set(returned)
    ]
    return wrong


def wrong_points(done: Iterable[Done], found: Sequence[int], run: str) -> list[str]:
    """P12: each acknowledged point is stored once, and of a batch all points or none.

    Args:
        done: Calls that log to one metric of a run; `asked` are the steps.
        found: Steps that are read back.
        run: Name of the run, for messages.
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
    return wrong + [f"{run}: no call logged point {step}" for step in count.keys() - sent]


def unexpected(done: Iterable[Done], *, calm: bool) -> list[str]:
    """Only failures that the workload and the faults provoke occur.

    Args:
        done: All calls.
        calm: Whether there were no faults, so that each call has a reply.
    """
    wrong = []
    for item in done:
        for code, words in item.failures:
            provoked = (code, item.kind) in _PROVOKED and not words.startswith(_COLLIDED)
            unanswered = code in _UNANSWERED and not words.startswith(_BUG) and not calm
            if not provoked and not unanswered:
                wrong.append(f"{item.call} ({item.kind}) was answered {code}: {words}")
    return wrong


_PROVOKED = {("ABORTED", "promote"), ("ABORTED", "edit"), ("FAILED_PRECONDITION", "roll_back")}
_COLLIDED = ("Gave up after", "Another transaction")
_UNANSWERED = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL"}
_BUG = "internal error"
