import pytest

from modelyard_serving.following import followed_name


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/iris/Production", "iris"),
        ("models:/iris/staging", "iris"),
        ("models:/iris/latest", "iris"),
        ("models:/iris@champion", "iris"),
        ("models:/iris@home@champion", "iris@home"),
        ("models:/my iris/Production", "my iris"),
    ],
)
def test_a_stage_and_an_alias_are_followed(uri: str, name: str) -> None:
    assert followed_name(uri) == name


@pytest.mark.parametrize(
    "uri", ["models:/iris/3", "models:/m-0123456789abcdef0123456789abcdef", "runs:/abc/model"]
)
def test_a_fixed_reference_is_not_followed(uri: str) -> None:
    assert followed_name(uri) is None
