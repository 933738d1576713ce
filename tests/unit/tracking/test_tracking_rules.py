import math

import pytest

from modelyard_kit.artifacts import PART_BYTES, Digest, ManifestFile, ManifestPart
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.rules import artifacts, run_names, values
from modelyard_tracking.rules.points import Columns, Packed, Point, history_order, rank, sample
from modelyard_tracking.rules.states import Lifecycle, ModelStatus, View

A, B = Digest("a" * 64), Digest("b" * 64)
PART = PART_BYTES


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12), ("9" * 18, 10**18 - 1)])
def test_an_experiment_id_is_a_number(text: str, number: int) -> None:
    assert values.experiment_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "00", "01", "+1", "-1", "1.0", "1e3", "1 ", "1\n", "9" * 19, "٣", "\uff19", "abc"]
)
def test_a_malformed_experiment_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="decimal number"):
        values.experiment_number(text)


@pytest.mark.parametrize("text", ["a" * 257, "a/b", "", "a\n", "é", "../x", "a b", "-a"])
def test_a_malformed_run_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid run ID"):
        values.checked_run_id(text)


@pytest.mark.parametrize("text", ["m-1", "x", "m-" + "G" * 32])
def test_a_malformed_model_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=f"Invalid model ID: '{text}'"):
        values.checked_model_id(text)


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "50%", 'a"', "it's", " ", "a\nb"])
def test_a_model_name_with_other_characters_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid model name"):
        values.checked_model_name(name)


@pytest.mark.parametrize(
    ("model_json", "expected"),
    [("{", "not JSON"), ("[]", "JSON object"), ("{}", "artifact_path"), ("[" * 99_999, "not JSON")],
    ids=["open", "list", "empty", "deep"],
)
def test_a_malformed_mlmodel_file_is_refused(model_json: str, expected: str) -> None:
    with pytest.raises(InvalidArgument, match=expected):
        values.model_description(model_json)


def test_new_ids_pass_their_own_checks() -> None:
    assert values.checked_run_id(values.new_run_id())
    assert values.checked_model_id(values.new_model_id())


def test_invented_names_are_names_of_runs_and_models() -> None:
    for _ in range(100):
        name = run_names.invent_name()
        assert values.checked_run_name(name) == values.checked_model_name(name)


def test_a_repeated_key_must_have_the_same_value() -> None:
    assert values.unique([("a", "1"), ("b", "2"), ("a", "1")], "param") == {"a": "1", "b": "2"}
    with pytest.raises(InvalidArgument, match="'a' has the values '1' and '2'"):
        values.unique([("a", "1"), ("a", "2")], "param")


def test_a_view_is_of_life_cycle_stages() -> None:
    assert View.ACTIVE_ONLY.stages == (Lifecycle.ACTIVE,)
    assert View.DELETED_ONLY.stages == (Lifecycle.DELETED,)
    assert View.ALL.stages == (Lifecycle.ACTIVE, Lifecycle.DELETED)


def test_pending_is_not_a_final_status() -> None:
    assert ModelStatus.final(ModelStatus.READY) is ModelStatus.READY
    with pytest.raises(InvalidArgument, match="LOGGED_MODEL_READY"):
        ModelStatus.final(ModelStatus.PENDING)


def packed_points(points: list[Point]) -> Packed:
    columns = Columns.of()
    for point in points:
        columns.append(*point)
    return columns.packed()


def test_points_are_packed_exactly() -> None:
    points = [
        Point(0, -(2**63), math.inf),
        Point(2**63 - 1, 2**63 - 1, -0.0),
        Point(1, 0, 5e-324),
    ]
    packed = packed_points(points)
    assert list(packed.columns().points()) == points
    assert packed.values[:8] == b"\0\0\0\0\0\0\xf0\x7f"  # little-endian
    (nan,) = packed_points([Point(1, 1, math.nan)]).columns().points()
    assert math.isnan(nan.value)


def test_packed_points_recognise_a_repeated_batch() -> None:
    first, second = (packed_points([Point(n, n, float(n))]) for n in (1, 2))
    assert (first + second).ends_with(second)
    assert not (first + second).ends_with(first)
    assert not first.ends_with(first + second)


def test_a_number_ranks_above_nan_only_at_the_same_step_and_time() -> None:
    nan, number = Point(1, 1, math.nan), Point(1, 1, -math.inf)
    assert rank(number) > rank(nan)
    assert rank(Point(1, 2, math.nan)) > rank(number)
    assert history_order(nan) > history_order(number)


@pytest.mark.parametrize(
    ("limit", "sampled"), [(1, [9]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10)))]
)
def test_a_sample_has_the_first_and_the_last(limit: int, sampled: list[int]) -> None:
    points = [Point(n, n, 0.0) for n in range(10)]
    assert [point.step for point in sample(points, limit)] == sampled


@pytest.mark.parametrize(
    ("size_bytes", "part_sizes"),
    [(0, []), (PART, []), (PART + 1, [PART, 1]), (2 * PART, [PART, PART])],
)
def test_files_over_the_part_size_have_parts(size_bytes: int, part_sizes: list[int]) -> None:
    parts = tuple(ManifestPart(Digest(f"{n:064x}"), size) for n, size in enumerate(part_sizes))
    artifacts.checked_files([ManifestFile("a", size_bytes, A, parts)])


def test_one_object_has_one_size() -> None:
    files = [ManifestFile("a", 1, A), ManifestFile("b", 1, A), ManifestFile("c", 2, B)]
    assert artifacts.objects_of(files) == {A: 1, B: 2}
    with pytest.raises(InvalidArgument, match="with two sizes, 1 and 2 bytes"):
        artifacts.objects_of([*files, ManifestFile("d", 2, A)])


def test_a_duplicate_path_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Duplicate path 'a'"):
        artifacts.checked_files([ManifestFile("a", 1, A), ManifestFile("a", 1, A)])


def test_ancestors_are_the_folders_of_a_path() -> None:
    assert artifacts.ancestors("a/b/c") == ["a", "a/b"]
    assert artifacts.ancestors("a") == []
