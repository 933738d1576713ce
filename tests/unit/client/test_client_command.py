from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
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
    assert sorted(said) == sorted({"down", *(name.replace("-", " ") for name in names)})


def test_a_closed_output_ends_a_command_with_one_line(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "modelyard", "down", "--home", tmp_path],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr == "modelyard: output closed\n"


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


@pytest.mark.parametrize("words", [["up"], ["models", "serve"]])
def test_commands_of_the_server_are_found(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert f"usage: modelyard {' '.join(words)}" in capsys.readouterr().out
