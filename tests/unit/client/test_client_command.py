from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from itertools import pairwise
from pathlib import Path

import pytest

from modelyard.__main__ import main


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promote"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("modelyard: unknown command 'promote'; expected one of ")
    assert "down" in said
    assert "models serve" in said
    assert said.count("\n") == 1


def test_help_lists_each_command_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    names = project["project"]["entry-points"]["modelyard.commands"]
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S.{,62}$", capsys.readouterr().out, re.MULTILINE)
    assert sorted(said) == sorted({"down", "run", *(name.replace("-", " ") for name in names)})


@pytest.mark.parametrize(("arguments", "code"), [(["down", "--home", "."], 1), (["--help"], 0)])
def test_a_closed_output_ends_a_command_silently(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "modelyard", *arguments], cwd=tmp_path,
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (code, "")


def test_a_command_is_spelt_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-mlflow", "--help"]) == 2
    assert "import mlflow" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["down", "--nothing"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"modelyard {version('modelyard')}\n"


def test_down_succeeds_in_a_home_without_an_instance(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "instance.lock").write_text("1")  # left behind by a killed process
    assert main(["down", "--home", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"modelyard: no instance is running in {tmp_path}\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("doctr", "doctor"),
        ("serve", "models serve"),
        ("models srve", "models serve"),
        ("modls serve -m models:/iris/1", "models serve"),
        ("import mlfow --from http://localhost", "import mlflow"),
        ("up --prot 3", "--port"),
        ("down --hom=/tmp --homme /tmp", "--home"),
        ("tokens crate", "create"),
        ("tokens create --nmae trainer", "--name"),
        ("tokens create --name trainer --role adminn", "admin"),
        ("export mlflow --too http://localhost", "--to"),
    ],
)
def test_a_mistyped_word_suggests_the_right_one(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(typed.split())
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    out, err = capsys.readouterr()
    assert f"did you mean '{meant}'?" in err
    assert (out, err.count("\n")) == ("", 1)


def test_the_value_of_a_mistyped_option_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--token=secret"])
    assert "secret" not in capsys.readouterr().err


@pytest.mark.parametrize("words", ["models", "import", "export"])
def test_a_group_lists_its_commands(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert main([words, "--help"]) == main(["help", words]) == 0
    assert capsys.readouterr().out == 2 * err
    assert re.search(rf"^  {words} [a-z]+ +\S", err, re.MULTILINE)


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["help", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


COMMANDS = sorted(entry_points(group="modelyard.commands").names)


@pytest.mark.parametrize(
    "name", [*COMMANDS, "down", "tokens-create", "tokens-list", "tokens-revoke"]
)
def test_the_help_of_a_command_describes_it_and_each_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = name.split("-")
    shown = help_of(words, capsys)
    usage, description, *_ = shown.split("\n\n")
    assert usage.startswith(f"usage: modelyard {' '.join(words)} [-h]")
    assert description[0].isupper()
    assert description.endswith(".")
    assert "Exit codes: 0 " in shown
    options = shown.split("options:\n")[1].split("\n\n")[0].splitlines()
    for option, following in pairwise([*options, ""]):
        if option.startswith("  -"):
            described = re.search(r"\S  +\S", option) or following.startswith(" " * 20)
            assert described, option


@pytest.mark.parametrize("words", [["up"], ["models", "serve"]])
def test_commands_of_the_server_are_found(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert f"usage: modelyard {' '.join(words)}" in capsys.readouterr().out
