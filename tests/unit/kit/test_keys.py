import pytest

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.keys import checked_key


@pytest.mark.parametrize(
    "key", ["a", "a/b", "a b.c-d_e:f", "mlflow.note.content", "é", "...", ".hidden"]
)
def test_a_key_that_is_a_relative_path_is_returned(key: str) -> None:
    assert checked_key(key, "key") == key


@pytest.mark.parametrize(
    "key",
    [
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a\\b",
        "a\tb",
        "a\n",
        "ä*",
        "ä?",
        "",
    ],
)
def test_an_invalid_key_is_refused_with_the_path_of_its_field(key: str) -> None:
    with pytest.raises(InvalidArgument, match=r"params\[3\]\.key"):
        checked_key(key, "params[3].key")
