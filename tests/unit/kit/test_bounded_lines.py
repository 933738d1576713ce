"""The first lines of a kind are logged, further ones once a second."""

from __future__ import annotations

from modelyard_kit.observability.bounded_lines import BoundedLines


def test_lines_of_one_kind_are_bounded_and_those_left_out_are_counted() -> None:
    now = [0.0]
    lines = BoundedLines(lambda: now[0])
    assert [lines.next() for _ in range(102)] == [0] * 100 + [None, None]
    now[0] += 1.5
    assert [lines.next() for _ in range(2)] == [2, None]
    now[0] += 1000
    assert [lines.next() for _ in range(101)] == [1] + [0] * 99 + [None]
