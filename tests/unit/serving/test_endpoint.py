import pytest

from modelyard_serving.endpoint import Endpoint


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/iris/Production", "iris"),
        ("models:/iris/3", "iris"),
        ("models:/my iris/latest", "my iris"),
        ("models:/iris@champion", "iris"),
        ("models:/iris@home@champion", "iris@home"),
        ("models:/iris@home/3", "iris@home"),
        ("models:/m-0123456789abcdef0123456789abcdef", ""),
        ("runs:/abc/model", ""),
        ("models://iris/3", ""),
    ],
)
def test_the_name_of_the_registered_model_is_that_of_the_uri(uri: str, name: str) -> None:
    assert Endpoint(uri).model_name == name
