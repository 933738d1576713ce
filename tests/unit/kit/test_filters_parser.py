import pytest

from modelyard_kit import filters
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import And, Comparison, Node, Not, Operator, Or, OrderBy

A = Comparison(None, "a", Operator.EQ, 1)
B = Comparison(None, "b", Operator.EQ, 2)
C = Comparison(None, "c", Operator.EQ, 3)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("metrics.acc > 0.9", Comparison("metrics", "acc", Operator.GT, 0.9)),
        ("metrics.acc>=.9", Comparison("metrics", "acc", Operator.GE, 0.9)),
        ("metrics.acc < -1e-3", Comparison("metrics", "acc", Operator.LT, -0.001)),
        ("start_time <= 1700000000000", Comparison(None, "start_time", Operator.LE, 1700000000000)),
        ("params.lr != '0.1'", Comparison("params", "lr", Operator.NE, "0.1")),
        ('params.lr = "0.1"', Comparison("params", "lr", Operator.EQ, "0.1")),
        ('params."lr" = "lr"', Comparison("params", "lr", Operator.EQ, "lr")),
        ("tags.mlflow.runName = 'x'", Comparison("tags", "mlflow.runName", Operator.EQ, "x")),
        ("tags.`a b` like 'x%'", Comparison("tags", "a b", Operator.LIKE, "x%")),
        ("`tags`.`a``b` ILike '%'", Comparison("tags", "a`b", Operator.ILIKE, "%")),
        ("metrics.val/loss:0-1 = 5", Comparison("metrics", "val/loss:0-1", Operator.EQ, 5)),
        ("metrics.5m = 5", Comparison("metrics", "5m", Operator.EQ, 5)),
        ("\"Run Name\" = 'it''s'", Comparison(None, "Run Name", Operator.EQ, "it's")),
        ("`a.b` = ''", Comparison(None, "a.b", Operator.EQ, "")),
        ("run_id IN ('a', \"b\")", Comparison(None, "run_id", Operator.IN, ("a", "b"))),
        ("run_id not in('a')", Comparison(None, "run_id", Operator.NOT_IN, ("a",))),
        ("version_number IN (1, 2)", Comparison(None, "version_number", Operator.IN, (1, 2))),
        ("tags.a is null", Comparison("tags", "a", Operator.IS_NULL, None)),
        ("tags.a IS NOT NULL", Comparison("tags", "a", Operator.IS_NOT_NULL, None)),
        ("a NOT LIKE 'x'", Not(Comparison(None, "a", Operator.LIKE, "x"))),
        ("android = 'in' ", Comparison(None, "android", Operator.EQ, "in")),
        ("név = 'ő'", Comparison(None, "név", Operator.EQ, "ő")),
        ("a = 9223372036854775807", Comparison(None, "a", Operator.EQ, 2**63 - 1)),
        ("a = -9223372036854775808", Comparison(None, "a", Operator.EQ, -(2**63))),
        ("a = 9223372036854775808", Comparison(None, "a", Operator.EQ, 2.0**63)),
    ],
)
def test_a_comparison_is_read(text: str, tree: Node) -> None:
    assert filters.parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a = 1 AND b = 2", And((A, B))),
        ("a = 1 or b = 2 and c = 3", Or((A, And((B, C))))),
        ("(a = 1 OR b = 2) AND c = 3", And((Or((A, B)), C))),
        ("NOT a = 1 AND b = 2", And((Not(A), B))),
        ("not (a = 1\nAND\tb = 2)", Not(And((A, B)))),
        ("NOT NOT a = 1", Not(Not(A))),
        ("a = 1 AND b = 2 AND c = 3", And((A, B, C))),
        ("((((a = 1))))", A),
        ("a = 1 AND", A),
        ("AND a = 1 AND AND b = 2", And((A, B))),
        ("a = 1 b = 2", And((A, B))),
        ("a = 1 b = 2 OR c = 3", Or((And((A, B)), C))),
        ("a = 1 NOT b = 2", And((A, Not(B)))),
    ],
)
def test_and_binds_tighter_than_or_and_not_tighter_than_both(text: str, tree: Node) -> None:
    assert filters.parse(text) == tree


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_blank_filter_restricts_nothing(text: str) -> None:
    assert filters.parse(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = foo", "at character 8: expected a number or a quoted string, got 'foo'"),
        ("name foo 3", "at character 6: expected an operator such as =, !=, <, LIKE or IN, got"),
        ("name", "at its end: expected an operator"),
        ("a == 1", "at character 4: expected a number or a quoted string, got '='"),
        ("a = 1 b", "at its end: expected an operator"),
        ("a = 1;", "at character 6: expected AND, OR or the end of the filter, got ';'"),
        ("a = 1 OR", "at its end: expected a key such as name or metrics.accuracy, got nothing"),
        ("AND", "at its end: expected a key such as name or metrics.accuracy, got nothing"),
        ("1 = 1", "at character 1: expected a key such as name or metrics.accuracy, got '1'"),
        ("a IN 3", "at character 6: expected a list such as ('a', 'b'), got '3'"),
        ("a IN ()", "at character 7: expected a number or a quoted string, got ')'"),
        ("a IN ('b' 'c')", "at character 11: expected a comma or a closing parenthesis, got"),
        ("a IS 3", "at character 6: expected NULL or NOT NULL, got '3'"),
        ("a NOT = 3", "at character 7: expected IN, LIKE or ILIKE, got '='"),
        ("(a = 1", "at its end: expected a closing parenthesis, got nothing"),
        ("a = 1)", "at character 6: expected nothing more, got ')'"),
        ("a = 'b", "at character 5: the quote ' is empty or not closed"),
        ("tags.`a = 1", "at character 5: the quote ` is empty or not closed"),
        ('"" = 1', 'Invalid key at character 1: "" is empty'),
        ("a = 1e999", "Invalid number '1e999' at character 5: expected a finite 64-bit float"),
        ("a = " + "9" * 5000, "at character 5: expected a finite 64-bit float in at most 64"),
        ("a = 'x\0'", "at character 7: a NUL character is not allowed"),
        ("x" * 5000, "at its end: expected an operator"),
        ("a = " + "x" * 5000, f"got '{'x' * 40}…'"),
    ],
)
def test_a_malformed_filter_is_refused_with_the_position_and_the_expected_syntax(
    text: str, message: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        filters.parse(text)

    assert refusal.value.message.startswith("Invalid ")
    assert message in refusal.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 10_000_000, "it has 10000000 characters, expected at most 8192"),
        (" " * 10_000, "it has 10000 characters"),
        ("(" * 8192, "at its end: expected a key"),
        ("NOT " * 33 + "a = 1", "AND, OR and NOT are nested 34 deep, expected at most 32"),
        ("NOT " * 2000 + "a = 1", "AND, OR and NOT are nested 2001 deep"),
        ("a=1 OR " * 100 + "a=1", "it has 101 comparisons, expected at most 100"),
    ],
)
def test_an_oversized_filter_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        filters.parse(text)

    assert message in refusal.value.message
    assert len(refusal.value.message) < 200


def test_the_limits_themselves_are_allowed() -> None:
    assert filters.parse("NOT " * 31 + "a = 1") is not None
    assert filters.parse("a=1 OR " * 99 + "a=1") is not None
    assert filters.parse("a = 1" + " " * (8192 - 5)) == A
    assert filters.parse("(" * 4000 + "a = 1" + ")" * 4000) == A


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("metrics.acc DESC", OrderBy("metrics", "acc", ascending=False)),
        ("attributes.start_time", OrderBy("attributes", "start_time", ascending=True)),
        ("start_time asc", OrderBy(None, "start_time", ascending=True)),
        ("params.`a b` desc", OrderBy("params", "a b", ascending=False)),
        ('"Run name"', OrderBy(None, "Run name", ascending=True)),
    ],
)
def test_an_order_by_is_read(text: str, order: OrderBy) -> None:
    assert filters.parse_order_by(text) == order


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid order by at its end: expected a key"),
        ("DESC", "Invalid order by at character 1: expected a key"),
        ("a b", "at character 3: expected ASC, DESC or the end, got 'b'"),
        ("a, b", "at character 2: expected ASC, DESC or the end, got ','"),
        ("a DESC DESC", "at character 8: expected nothing more, got 'DESC'"),
        ("a; DROP TABLE runs", "at character 2: expected ASC, DESC or the end, got ';'"),
        ("a" * 9000, "Invalid order by: it has 9000 characters, expected at most 8192"),
    ],
)
def test_a_malformed_order_by_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        filters.parse_order_by(text)

    assert message in refusal.value.message


@pytest.mark.parametrize("space", ["\x1f", "\x85", "\u2003"])
def test_white_space_of_other_kinds_is_refused_by_its_place(space: str) -> None:
    with pytest.raises(InvalidArgument, match="at character 2"):
        filters.parse(f"a{space}")
