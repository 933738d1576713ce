import pytest

from modelyard_kit.observability import request_ids


@pytest.mark.parametrize("given", ["a", "request-7", "promote.iris_7", "x" * 128])
def test_a_valid_id_is_kept(given: str) -> None:
    assert request_ids.kept_or_new(given) == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", "a;b", 'a"b', "a\n", "a/b"])
def test_an_invalid_id_is_replaced(given: str) -> None:
    assert len(request_ids.kept_or_new(given)) == 32
