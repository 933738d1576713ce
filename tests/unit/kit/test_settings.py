from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from modelyard_kit import settings
from modelyard_kit.errors import InvalidArgument


@dataclass(frozen=True)
class Example:
    port: int = 5000
    home: Path = Path("home")
    token_file: Path | None = None
    verbose: bool = False
    grace_s: float = 10.0


def test_fields_are_read_from_their_variables_and_keep_their_defaults() -> None:
    environ = {
        "MODELYARD_GATEWAY_PORT": "8080",
        "MODELYARD_GATEWAY_TOKEN_FILE": "/run/token",
        "MODELYARD_GATEWAY_VERBOSE": "yes",
        "PATH": "/bin",
    }
    assert settings.load(Example, environ, "GATEWAY") == Example(
        port=8080, token_file=Path("/run/token"), verbose=True
    )


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("MODELYARD_PORT", "eighty", "int"),
        ("MODELYARD_VERBOSE", "maybe", "bool"),
        ("MODELYARD_GRACE_S", "soon", "float"),
    ],
)
def test_a_value_of_the_wrong_type_names_variable_type_and_value(
    variable: str, value: str, kind: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        settings.load(Example, {variable: value})
    assert caught.value.message == f"{variable} must be of type {kind}, got '{value}'."


def test_a_variable_that_nobody_reads_is_refused() -> None:
    known = settings.variables(Example).values()
    settings.refuse_unknown({"MODELYARD_PORT": "1", "OTHER": "x"}, known)
    with pytest.raises(InvalidArgument) as caught:
        settings.refuse_unknown({"MODELYARD_PROT": "1"}, known)
    assert caught.value.message.startswith(
        "Unknown setting MODELYARD_PROT; nearest are MODELYARD_PORT"
    )
