from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.settings import checks, declarations
from modelyard_kit.settings.declarations import Settings, setting


@dataclass(frozen=True, kw_only=True)
class Example(Settings):
    gateway_port: int = setting("port of HTTP", default=5000, check=checks.between(0, 65535))
    home: Path = setting("folder of `everything`", default=Path("home"))
    token_file: Path | None = setting("file of the token", default=None, shown="none")
    token: str = setting("the token", default="", has_flag=False)
    verbose: bool = setting("100% of the log", default=False)
    grace_s: float = setting("seconds", default=10.0)


def parsed(*arguments: str, **environ: str) -> Example:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    declarations.add_flags(parser, Example, "gateway")
    variables = {f"MODELYARD_{name}": text for name, text in environ.items()}
    return declarations.load(Example, variables, vars(parser.parse_args(arguments)))


def test_fields_are_read_from_their_variables_and_keep_their_defaults() -> None:
    environ = {
        "MODELYARD_GATEWAY_PORT": "8080",
        "MODELYARD_TOKEN_FILE": "/run/token",
        "MODELYARD_VERBOSE": "yes",
        "PATH": "/bin",
    }
    assert declarations.load(Example, environ) == Example(
        gateway_port=8080, token_file=Path("/run/token"), verbose=True
    )


def test_a_flag_is_its_field_without_the_role_and_precedes_its_variable() -> None:
    assert parsed("--port", "1", GATEWAY_PORT="2", GRACE_S="3") == Example(
        gateway_port=1, grace_s=3.0
    )


@pytest.mark.parametrize(
    ("flag", "variable", "value"),
    [("", "on", True), ("--verbose", "off", True), ("--no-verbose", "on", False)],
)
def test_a_boolean_has_a_flag_for_on_and_one_for_off(
    *, flag: str, variable: str, value: bool
) -> None:
    assert parsed(*flag.split(), VERBOSE=variable).verbose is value


def test_an_empty_flag_or_variable_counts_as_unset() -> None:
    assert parsed("--home", "", "--port", "", VERBOSE="", GRACE_S="") == Example()
    assert parsed("--home", "", HOME="/data").home == Path("/data")


def test_a_secret_has_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed(TOKEN="secret").token == "secret"
    with pytest.raises(SystemExit) as ended:
        parsed("--token", "secret")
    assert ended.value.code == 2
    assert "--token" in capsys.readouterr().err


def test_a_flag_of_the_wrong_type_is_a_usage_error_in_the_words_of_its_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--port", "eighty")
    assert ended.value.code == 2
    assert "MODELYARD_GATEWAY_PORT must be of type int, got 'eighty'." in capsys.readouterr().err


def test_help_of_a_flag_is_its_text_its_default_and_its_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    output = " ".join(capsys.readouterr().out.split())
    assert "folder of everything (default: home) [MODELYARD_HOME]" in output
    assert "file of the token (default: none) [MODELYARD_TOKEN_FILE]" in output
    assert "100% of the log (default: off) [MODELYARD_VERBOSE]" in output


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("MODELYARD_GATEWAY_PORT", "eighty", "int"),
        ("MODELYARD_VERBOSE", "maybe", "bool"),
        ("MODELYARD_GRACE_S", "soon", "float"),
    ],
)
def test_a_value_of_the_wrong_type_names_variable_type_and_value(
    variable: str, value: str, kind: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        declarations.load(Example, {variable: value})
    assert caught.value.message == f"{variable} must be of type {kind}, got '{value}'."


def test_a_check_holds_however_settings_are_made() -> None:
    message = "Invalid MODELYARD_GATEWAY_PORT 65536: expected 0 to 65535."
    for make in (
        partial(Example, gateway_port=65536),
        partial(parsed, "--port", "65536"),
        partial(parsed, GATEWAY_PORT="65536"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            make()
        assert caught.value.message == message


def test_each_wrong_variable_is_found() -> None:
    environ = {"MODELYARD_GATEWAY_PORT": "-1", "MODELYARD_VERBOSE": "maybe", "MODELYARD_HOME": "h"}
    assert declarations.wrong([Example], environ) == {
        "MODELYARD_GATEWAY_PORT": "Invalid MODELYARD_GATEWAY_PORT -1: expected 0 to 65535.",
        "MODELYARD_VERBOSE": "MODELYARD_VERBOSE must be of type bool, got 'maybe'.",
    }


def test_an_undeclared_variable_is_refused() -> None:
    known = declarations.variables(Example).values()
    declarations.refuse_unknown({"MODELYARD_GRACE_S": "1", "OTHER": "x"}, known)
    with pytest.raises(InvalidArgument) as caught:
        declarations.refuse_unknown({"MODELYARD_GRCAE_S": "1"}, known)
    assert caught.value.message.startswith(
        "Unknown setting MODELYARD_GRCAE_S; similar are MODELYARD_GRACE_S"
    )
