"""An input that asks for far more memory than it has bytes is refused before a table is made."""

import json
from typing import Any

import pytest

from modelyard_kit.errors import InvalidArgument
from modelyard_serving import cells
from modelyard_serving.scoring import parse_csv, parse_json

MANY = 20_000
DIFFERENT = [{f"c{number}": 1} for number in range(MANY)]
NAMES = [f"c{number}" for number in range(MANY)]
WIDE = [f"c{number}" for number in range(cells.MAX_COLUMNS + 1)]


def body(form: str, value: Any) -> bytes:
    return json.dumps({form: value}).encode()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (body("dataframe_records", DIFFERENT), "20000 rows of 20000 columns, which are 400000000"),
        (body("inputs", DIFFERENT), "20000 rows of 20000 columns, which are 400000000"),
        (
            body("dataframe_split", {"columns": WIDE, "data": [[1] * len(WIDE)]}),
            "100001 columns, at most 100000",
        ),
        (body("inputs", dict.fromkeys(WIDE, 1)), "100001 columns, at most 100000"),
        (body("instances", [dict.fromkeys(WIDE, 1)]), "100001 columns, at most 100000"),
        (b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}", "more than 32 levels"),
        (b'{"inputs":{"a":' + b"[" * 40 + b"1" + b"]" * 40 + b"}}", "more than 32 levels"),
        (
            body("instances", [["x"]] * 50_000 + [["x" * 1_000_000]]),
            "50001 values, the longest of 1000000 characters: an array of them needs 200004000000",
        ),
    ],
)
def test_json_is_refused_with_the_numbers(sent: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_json(sent)


@pytest.mark.parametrize(
    ("first_line", "reason"),
    [
        (",".join(NAMES), "20000 rows of 20000 columns, which are 400000000 cells"),
        ('"a\nb",' + ",".join(NAMES[1:]), "rows of 20000 columns"),
        ('a"b,' + ",".join(NAMES[1:-1]) + ',"', "20000 rows of 20000 columns"),
        (",".join(WIDE), "100001 columns, at most 100000"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_is_refused_with_the_numbers(first_line: str, reason: str, end: str) -> None:
    lines = end.join([first_line, *["1"] * (MANY - 1), ""])
    with pytest.raises(InvalidArgument, match=reason):
        parse_csv(lines.encode(), None)


def test_long_but_narrow_csv_is_read_whatever_its_line_ends_and_quotes() -> None:
    sent = '"a, the first",b\r\n' + '"1,5",2\r\n' * 200_000
    assert parse_csv(sent.encode(), None).shape == (200_000, 2)


@pytest.mark.parametrize(("rows", "columns"), [(100, 100_000), (10_000_000, 1), (0, 0)])
def test_a_table_at_a_limit_is_accepted(rows: int, columns: int) -> None:
    cells.check_table(rows, columns)


def test_an_array_of_32_levels_is_accepted() -> None:
    cells.check_tensor(json.loads("[" * 32 + "1" + "]" * 32))
