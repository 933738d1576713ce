"""What `dir` and tab completion offer: the names that users want, without imports of ours."""

from __future__ import annotations

import importlib
import rlcompleter

import pytest

import modelyard
from modelyard.client import MlflowClient

MODULES = [
    "modelyard",
    "modelyard.artifacts",
    "modelyard.client",
    "modelyard.entities",
    "modelyard.entities.model_registry",
    "modelyard.exceptions",
    "modelyard.models",
    "modelyard.pyfunc",
    "modelyard.sklearn",
    "modelyard.tracking",
    "modelyard.types",
]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_offers_its_public_names_only(name: str) -> None:
    module = importlib.import_module(name)
    offered = dir(module)
    assert set(module.__all__) <= set(offered)
    assert [name for name in offered if name.startswith("_")] in ([], ["__version__"])
    assert not {"Any", "annotations", "import_module", "Path", "Mapping"} & set(offered)
    for offer in offered:
        assert getattr(module, offer) is not None


def test_a_client_offers_calls_and_addresses_only() -> None:
    offered = {name for name in dir(MlflowClient) if not name.startswith("_")}
    others = {name for name in offered if not callable(getattr(MlflowClient, name))}
    assert others == {"tracking_uri"}


@pytest.mark.parametrize("name", ["MlflowClient", "sklearn", "start_run", "set_tracking_uri"])
def test_names_imported_on_first_use_are_completed(name: str) -> None:
    completer = rlcompleter.Completer({"modelyard": modelyard})
    assert (completer.complete(f"modelyard.{name[:-2]}", 0) or "").startswith(f"modelyard.{name}")
