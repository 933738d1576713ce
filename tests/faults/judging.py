"""Each promise, judged on a record of what clients did: what was broken, and nothing if it held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.chaos import Record
from tests.faults.checkers import (
    Done,
    lost_writes,
    repeated_effects,
    wrong_events,
    wrong_holders,
    wrong_numbers,
    wrong_points,
    wrong_watches,
)
from tests.faults.client import MOVED, VERSIONS_AT_START
from tests.faults.histories import (
    unexplained_holders,
    unexplained_numbers,
    unexplained_points,
    unexplained_texts,
)

CHANGES = {"create_model", "create_version", "move", "promote", "roll_back", "edit"}
"""Kinds of calls that change the registry."""


def numbers(record: Record) -> list[str]:
    """P1: numbers are unique, dense, and in the order of the calls."""
    wrong = []
    for model in _numbered(record):
        created = record.acknowledged("create_version", model)
        wrong += wrong_numbers(created, record.versions[model])
        wrong += unexplained_numbers(_by_clients(record), model, VERSIONS_AT_START)
    return wrong


def holders(record: Record) -> list[str]:
    """P2 and P11: at most one holder at any time, and one order explains the observed holders."""
    held = _models(record, "held")
    wrong = wrong_holders(record.seen, dict.fromkeys(held, "Production"))
    for model in held:
        wrong += unexplained_holders(_by_clients(record), model, holder=1)
    return wrong


def survival(record: Record) -> list[str]:
    """P3: what was acknowledged is there."""
    wrong = lost_writes(_names(record.acknowledged("create_run")), record.runs)
    for model in _numbered(record):
        created = record.acknowledged("create_version", model)
        wrong += lost_writes(_names(created), _makers(record, model))
    return wrong


def retries(record: Record) -> list[str]:
    """P4: one call has one effect and one answer, however often it was sent."""
    versions = [maker for model in _numbered(record) for maker in _makers(record, model)]
    return repeated_effects(record.done, [*versions, *record.runs])


def events(record: Record) -> list[str]:
    """P5: the events are the changes, in a chain that verifies, and they give the tables."""
    wrong = []
    for model, history in record.events.items():
        changes = [item for item in record.done if item.model == model and item.kind in CHANGES]
        table = {
            "versions": {
                str(version.number): {"stage": version.stage, "description": version.made_by}
                for version in record.versions[model]
            }
        }
        wrong += wrong_events(history, changes, table)
        if record.verified[model] != len(history):
            wrong.append(f"{model} verifies up to event {record.verified[model]}")
    return wrong


def watches(record: Record) -> list[str]:
    """P6: every watcher received every change once, in order."""
    of_all = sorted(
        (event.covered["clock"], event.hash)
        for history in record.events.values()
        for event in history
    )
    of_moved = [(event.revision, event.hash) for event in record.events[MOVED]]
    wrong = []
    for watcher, lines in record.watched.items():
        wrong += watched(watcher, lines, of_moved if watcher.endswith(MOVED) else of_all)
    return wrong


def watched(
    watcher: str, lines: Sequence[Mapping[str, Any]], history: Sequence[tuple[int, str]]
) -> list[str]:
    """P6, of one watcher: it received the history without a failure."""
    returned = [(line["position"], line["hash"]) for line in lines if "hash" in line]
    refused = [f"{watcher}: {line['refused']}" for line in lines if "refused" in line]
    return refused + wrong_watches(returned, history, watcher)


def edits(record: Record) -> list[str]:
    """P11: no edit is lost, and none is refused as stale that was not."""
    wrong = []
    for model in _models(record, "edited"):
        first = next(item.call for item in record.of("create_version", model))
        wrong += unexplained_texts(_by_clients(record), model, (1, first))
    return wrong


def points(record: Record) -> list[str]:
    """P12: each acknowledged point is there once, and batches are whole or not there."""
    wrong = []
    for run, found in record.points.items():
        wrong += wrong_points(record.of("add", run), found, run)
        wrong += unexplained_points(record.done, run)
    return wrong


def _by_clients(record: Record) -> list[Done]:
    """What was done after the ground was laid."""
    return [item for item in record.done if not item.call.startswith("start")]


def _models(record: Record, kind: str) -> list[str]:
    return [model for model in record.versions if model.startswith(kind)]


def _numbered(record: Record) -> list[str]:
    """The models whose versions say for ever which call made them."""
    return [MOVED, *_models(record, "held")] if MOVED in record.versions else []


def _makers(record: Record, model: str) -> list[str]:
    return [version.made_by for version in record.versions[model]]


def _names(done: list[Done]) -> list[str]:
    return [item.call for item in done]
