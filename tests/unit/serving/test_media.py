import pytest

from modelyard_serving.media import media_type


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; Charset=UTF-8", "application/json"),
        ('text/csv;charset="utf-8"', "text/csv"),
        ("text/csv;", "text/csv"),
    ],
)
def test_json_and_csv_in_utf_8_are_scored(header: str, expected: str) -> None:
    assert media_type(header) == expected


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("", "missing"),
        ("text/plain", "'text/plain'"),
        ("application/vnd.apache.parquet", "'application/vnd.apache.parquet'"),
        ("application/json; charset=latin-1", "'charset=latin-1'"),
        ("application/json; format=pandas-split", "'format=pandas-split'"),
    ],
)
def test_anything_else_is_refused_by_name(header: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        media_type(header)
