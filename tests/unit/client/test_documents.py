"""Documents of other writers that would cost far more than their size are refused."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LinearRegression

import modelyard.pyfunc
import modelyard.sklearn
from modelyard._documents import Unreadable, read_file, read_json, read_yaml, yaml_text
from modelyard.exceptions import InvalidParameter
from modelyard.models import Model, ModelConfig
from modelyard.types import Schema

ROW = ",".join(f"k{i}: {i}" for i in range(10))
COLLIDING = 2**61 - 1  # a multiple of it has the hash 0


def multiplied(first: str, one: str) -> str:
    """Return a document in which each of 9 lines repeats the line before ten times."""
    lines = [f"a0: &a0 {first}"]
    for line in range(1, 9):
        repeated = ",".join([f"*a{line - 1}"] * 10)
        lines.append(f"a{line}: &a{line} " + one.replace("REPEATED", repeated))
    return "flavors: {}\n" + "\n".join(lines)


BOMBS = {
    "merge keys": (multiplied("{" + ROW + "}", "{<<: [REPEATED]}"), "merge key"),
    "one merge key": ("a: &a {b: 1}\nc: {<<: *a}", "merge key"),
    "lists of references": (multiplied("[1]", "[REPEATED]"), "more than 3000 values"),
    "mappings of references": (
        multiplied("[1]", "{" + ", ".join(f"k{i}: [REPEATED]" for i in range(3)) + "}"),
        "more than 3000 values",
    ),
    "a reference to its own node": ("a: &a [*a]", "names the node that it is in"),
    "a key that refers to its own node": ("&a {? *a : 1}", "names the node that it is in"),
    "lists in lists": ("[" * 50_000, "more than 100 levels"),
    "blocks in blocks": ("- " * 50_000, "more than 100 levels"),
    "keys in keys": ("? " * 50_000, "more than 100 levels"),
    "mappings in mappings": ("{a: " * 20_000, "more than 100 levels"),
    "many values": ("[" + "a," * 3_000 + "]", "more than 3000 values"),
    "many digits": ("a: " + "9" * 100_000, "more than 1000 characters"),
    "hexadecimal digits": ("a: 0x" + "f" * 100_000, "more than 1000 characters"),
    "digits of base 60": ("a: 1" + ":1" * 50_000, "more than 1000 characters"),
    "digits in quotes": ("!!int '" + "9" * 100_000 + "'", "more than 1000 characters"),
    "digits of a fraction": ("a: 0." + "1" * 100_000, "more than 1000 characters"),
    "keys that collide": (
        "{" + ", ".join(f"{i * COLLIDING}: 1" for i in range(1_001)) + "}",
        "1001 keys that are not text",
    ),
    "directives": ("".join(f"%TAG !a{i}! x:\n" for i in range(200_000)) + "--- a", "%TAG"),
    "a tag of Python": ("!!python/object/apply:os.system [id]", "not YAML at line 1"),
    "a tag that its value does not fit": ("!!timestamp soon", "does not fit its tag"),
    "a day that is none": ("2026-99-99", "does not fit its tag"),
    "a key twice": ("a: 1\na: 2", "a key twice"),
    "two documents": ("a\n---\nb", "not YAML at line 2"),
    "no YAML": ("a: [", "not YAML at line"),
    "a control character": ("a: \0", "not YAML"),
}


@pytest.fixture(params=["libyaml", "Python"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(yaml, "__with_libyaml__", request.param == "libyaml")
    importlib.reload(yaml_text)
    yield request.param
    monkeypatch.undo()
    importlib.reload(yaml_text)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", BOMBS)
def test_yaml_that_costs_more_than_its_size_is_refused_with_the_reason(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_text, "MAX_NODES", 3_000)  # Python's scanner is slow
    document, reason = BOMBS[name]
    with pytest.raises(Unreadable, match=reason):
        read_yaml(document)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("[" * 1_000_000, "more than 100000 values"),
        ("[" * 200 + "]" * 200, "more than 100 levels"),
        ('{"a":' * 200 + "1" + "}" * 200, "more than 100 levels"),
        ("[" + "1," * 100_000 + "1]", "more than 100000 values"),
        ("9" * 1_000_000, "more than 1000 characters"),
        ("[0." + "1" * 1_000_000 + "]", "more than 1000 characters"),
        ('{"a": 1, "a": 2}', "a key twice"),
        ('"' + '\\"' * 1_000_000, "not JSON at line 1, column 1"),
        ("[1,", "not JSON at line 1, column 4"),
        (b"\xff", "not UTF-8 at byte 0"),
    ],
)
def test_json_that_costs_more_than_its_size_is_refused_with_the_reason(
    document: str | bytes, reason: str
) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_json(document)


@pytest.mark.parametrize("text", ["9" * 5_000, "," * 200_000, "[{" * 200, '\\"' * 200])
def test_text_inside_a_json_string_is_not_counted(text: str) -> None:
    assert read_json(json.dumps([text])) == [text]


@pytest.mark.usefixtures("reader")
def test_a_repeated_object_of_yaml_is_read_as_its_writer_meant() -> None:
    shared = ["a", "b"]
    written = yaml.safe_dump({"first": shared, "second": shared, "third": [shared, shared]})
    assert "&id001" in written
    assert read_yaml(written) == yaml.safe_load(written)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(Unreadable, match="it has 5 bytes, at most 4 are read"):
        read_file(tmp_path / "file", 4)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "linear"
    estimator = LinearRegression().fit(np.zeros((2, 4)), [0.0, 1.0])
    modelyard.sklearn.save_model(estimator, folder, input_example=np.zeros((1, 4)))
    return folder


def _settings(file: Path) -> None:
    ModelConfig(development_config=file)


def _conda(file: Path) -> None:
    modelyard.pyfunc.save_model(
        file.parent / "saved", python_model=lambda rows: rows, conda_env=str(file)
    )


@pytest.mark.parametrize("read", [Model.load, _settings, _conda])
def test_a_bomb_is_refused_wherever_a_file_is_yaml(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "MLmodel").write_text(BOMBS["merge keys"][0])
    with pytest.raises(InvalidParameter, match="merge key"):
        read(tmp_path / "MLmodel")


@pytest.mark.parametrize("example", ["[" * 1_000_000, "[" + "[]," * 3_000_000 + "[]]", "9" * 5_000])
def test_an_input_example_that_is_a_bomb_is_damaged(
    example: str, logged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = logged / "input_example.json"
    monkeypatch.setattr("modelyard.models._example._MAX_VALUES", 1_000_000)
    content = file.read_text()
    file.write_text(example)
    try:
        with pytest.raises(InvalidParameter, match="input example is damaged"):
            _ = modelyard.pyfunc.load_model(str(logged)).input_example
    finally:
        file.write_text(content)


@pytest.mark.parametrize(
    "schema", ["[" * 1_000_000, '[{"type": "long", "name": ' + "9" * 5_000 + "}]"]
)
def test_a_schema_that_is_a_bomb_is_malformed(schema: str) -> None:
    with pytest.raises(InvalidParameter, match="signature is malformed"):
        Schema.from_json(schema)
