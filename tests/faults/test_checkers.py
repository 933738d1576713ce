"""Each checker finds the fault in a history that is known to be bad."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.faults.checkers import (
    Done,
    Event,
    Holders,
    Version,
    hash_of,
    lost_writes,
    merged,
    repeated_effects,
    unexpected,
    wrong_events,
    wrong_holders,
    wrong_numbers,
    wrong_points,
    wrong_watches,
)


def created(call: str, number: int, started_s: float, ended_s: float) -> Done:
    return Done(call, "create_version", "iris", started_s, ended_s, ["r"], number)


GOOD = [created("a", 1, 0, 2), created("b", 3, 1, 3), created("c", 2, 1, 4)]
VERSIONS = [Version(1, "a", "None"), Version(2, "c", "None"), Version(3, "b", "Production")]


def event(revision: int, action: str, after: dict[str, Any], previous: str) -> Event:
    covered = {
        "revision": revision,
        "action": action,
        "request_id": f"call-{revision}",
        "after": json.dumps(after),
        "previous_hash": previous,
    }
    return Event(covered, hash_of(covered))


def history() -> list[Event]:
    first = event(1, "MODEL_CREATED", {"model": {"description": ""}}, "0" * 64)
    made = {"versions": {"1": {"stage": "None", "description": "a"}}}
    second = event(2, "VERSION_CREATED", made, first.hash)
    moved = {"versions": {"1": {"stage": "Staging"}}}
    return [first, second, event(3, "STAGE_CHANGED", moved, second.hash)]


CHANGES = [
    replace(GOOD[0], call=f"call-{number}", kind=kind)
    for number, kind in enumerate(("create_model", "create_version", "promote"), start=1)
]
TABLE = {"versions": {"1": {"stage": "Staging", "description": "a"}}}


def test_good_histories_pass() -> None:
    assert lost_writes(["a", "b"], ["b", "a", "unacknowledged"]) == []
    assert repeated_effects(GOOD, ["a", "b", "c"]) == []
    assert wrong_numbers(GOOD, VERSIONS) == []
    assert wrong_holders([Holders("iris", {"Production": [1]})], {"iris": "Production"}) == []
    assert wrong_events(history(), CHANGES, TABLE) == []


def test_a_lost_write_is_found() -> None:
    assert lost_writes(["a", "b"], ["a"]) == ["b was acknowledged and is missing"]


def test_a_second_effect_is_found() -> None:
    assert repeated_effects(GOOD, ["a", "b", "b", "c"]) == ["b had 2 effects"]


def test_a_second_answer_is_found() -> None:
    assert repeated_effects([replace(GOOD[0], replies=["r", "s"])], ["a"]) == [
        "a got different answers"
    ]


@pytest.mark.parametrize("numbers", [(1, 2, 2), (1, 2, 4), (2, 3, 4), (0, 1, 2)])
def test_a_number_that_is_repeated_or_left_out_is_found(numbers: tuple[int, ...]) -> None:
    versions = [replace(v, number=n) for v, n in zip(VERSIONS, numbers, strict=True)]

    assert f"the numbers are {list(numbers)}" in wrong_numbers([], versions)


def test_a_number_given_to_two_calls_is_found() -> None:
    assert wrong_numbers([*GOOD, created("d", 3, 1, 5)], VERSIONS) == ["d returned 3, which b made"]


def test_a_number_that_goes_backwards_is_found() -> None:
    later = [created("a", 2, 0, 1), created("b", 1, 2, 3)]

    assert wrong_numbers(later, [Version(2, "a", "None"), Version(1, "b", "None")]) == [
        "b got 1 after 2 had been given"
    ]


def test_two_holders_in_one_reply_are_found() -> None:
    seen = [Holders("iris", {"Production": [1], "Staging": [2, 3]})]

    assert wrong_holders(seen, {}) == ["iris: [2, 3] were all in Staging"]


def test_a_gap_in_the_middle_of_a_promotion_is_found() -> None:
    assert wrong_holders([Holders("iris")], {"iris": "Production"}) == [
        "iris: no version was in Production"
    ]


def test_a_change_without_an_event_is_found() -> None:
    wrong = wrong_events(history()[:2], CHANGES, TABLE)

    assert "call-3, whose outcome is ok, made 0 events" in wrong
    assert any("the tables have" in sentence for sentence in wrong)


def test_an_event_without_a_change_is_found() -> None:
    assert wrong_events(history(), CHANGES[:2], TABLE) == [
        "call-3 made an event STAGE_CHANGED, and no call did that"
    ]


def test_an_event_of_a_call_that_was_refused_is_found() -> None:
    refused = [*CHANGES[:2], replace(CHANGES[2], outcome="no")]

    assert wrong_events(history(), refused, TABLE) == ["call-3, whose outcome is no, made 1 events"]


def test_a_call_with_unknown_outcome_has_at_most_one_event() -> None:
    unknown = [*CHANGES[:2], replace(CHANGES[2], outcome="unknown")]
    before = {"versions": {"1": {"stage": "None", "description": "a"}}}

    assert wrong_events(history(), unknown, TABLE) == []
    assert wrong_events(history()[:2], unknown, before) == []


def test_two_events_of_one_call_are_found() -> None:
    first, second, third = history()
    covered = {**third.covered, "revision": 4, "previous_hash": third.hash}
    again = Event(covered, hash_of(covered))

    assert wrong_events([first, second, third, again], CHANGES, TABLE) == [
        "call-3, whose outcome is ok, made 2 events"
    ]


def test_an_event_that_was_rewritten_is_found() -> None:
    events = history()
    events[1] = Event({**events[1].covered, "after": "{}"}, events[1].hash)

    assert "the hash chain breaks at event 2" in wrong_events(events, CHANGES, TABLE)


def test_an_event_that_was_rewritten_with_its_hash_is_found() -> None:
    events = history()
    covered = {**events[1].covered, "after": "{}"}
    events[1] = Event(covered, hash_of(covered))

    assert "the hash chain breaks at event 3" in wrong_events(events, CHANGES, TABLE)


def test_an_event_that_is_missing_in_the_middle_is_found() -> None:
    events = history()
    del events[1]

    assert "event 3 is where 2 should be" in wrong_events(events, CHANGES, TABLE)


def test_a_table_that_no_event_explains_is_found() -> None:
    other = {"versions": {"1": {"stage": "Production", "description": "a"}}}
    more: dict[str, Any] = {
        "versions": {**TABLE["versions"], "2": {"stage": "None", "description": "b"}}
    }

    tables: list[dict[str, Any]] = [other, more, {"versions": {}}]
    for table in tables:
        assert any("the tables have" in s for s in wrong_events(history(), CHANGES, table))


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "b"}, ["c"], ["c"]),
    ],
)
def test_a_merge_patch_is_applied_as_its_standard_says(
    document: Any, patch: Any, result: Any
) -> None:
    assert merged(document, patch) == result


EVENTS = [(1, "a"), (2, "b"), (3, "c")]


def test_a_watch_of_everything_passes() -> None:
    assert wrong_watches(EVENTS, EVENTS, "w") == []


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ([EVENTS[0], EVENTS[2]], "w: never received event 2"),
        (EVENTS[:2], "w: never received event 3"),
        ([EVENTS[0], *EVENTS], "w: received twice or out of order: [1]"),
        ([EVENTS[1], EVENTS[0], EVENTS[2]], "w: received twice or out of order: [2, 1, 3]"),
        ([EVENTS[0], (2, "x"), EVENTS[2]], "w: never received event 2"),
    ],
    ids=["skipped", "behind", "twice", "out of order", "another event"],
)
def test_a_watch_that_is_not_the_history_is_found(
    returned: list[tuple[int, str]], expected: str
) -> None:
    assert expected in wrong_watches(returned, EVENTS, "w")


def logged(call: str, *steps: int, outcome: str = "ok") -> Done:
    return Done(call, "add", "run", 0, 1, asked=steps, outcome=outcome)


def test_points_that_were_logged_pass() -> None:
    calls = [logged("a", 1), logged("b", 2, 3), logged("c", 4, outcome="unknown")]

    assert wrong_points(calls, [1, 2, 3], "run") == []
    assert wrong_points(calls, [4, 3, 2, 1], "run") == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([1, 2], "run: b was acknowledged, of (2, 3) [2] are there"),
        ([2, 3], "run: a was acknowledged, of (1,) [] are there"),
        ([1, 1, 2, 3], "run: point 1 is there 2 times"),
        ([1, 2, 3, 4], "run: of the batch c (4, 5) [4] are there"),
        ([1, 2, 3, 6], "run: d was refused, and [6] are there"),
        ([1, 2, 3, 7], "run: no call logged point 7"),
    ],
)
def test_points_that_are_wrong_are_found(found: list[int], expected: str) -> None:
    calls = [
        *(logged("a", 1), logged("b", 2, 3)),
        *(logged("c", 4, 5, outcome="unknown"), logged("d", 6, outcome="no")),
    ]

    assert wrong_points(calls, found, "run") == [expected]


@pytest.mark.parametrize(
    ("kind", "code", "words", "in_a_calm", "under_fire"),
    [
        ("promote", "ABORTED", "Holder mismatch: Production is held by no version", False, False),
        ("promote", "ABORTED", "Gave up after 4 conflicting transactions", True, True),
        ("move", "ABORTED", "anything", True, True),
        ("move", "UNAVAILABLE", "the server is down", True, False),
        ("move", "INTERNAL", "Received RST_STREAM", True, False),
        ("move", "INTERNAL", "internal error (request id x)", True, True),
        ("roll_back", "FAILED_PRECONDITION", "Nothing to roll back to", False, False),
    ],
)
def test_a_failure_that_nothing_provoked_is_found(
    kind: str, code: str, words: str, *, in_a_calm: bool, under_fire: bool
) -> None:
    calls = [Done("a", kind, "iris", 0, 1, failures=[(code, words)])]

    assert bool(unexpected(calls, calm=True)) is in_a_calm
    assert bool(unexpected(calls, calm=False)) is under_fire
