"""What a notebook shows of an object: one short line, without bytes, manifests or secrets."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import modelyard
from modelyard import entities
from modelyard.client import MlflowClient
from modelyard.entities import model_registry
from modelyard.models import ColSpec, Model, ModelSignature, Schema, TensorSpec, infer_signature
from modelyard.models.model import ModelInfo
from modelyard.pyfunc import PyFuncModel
from modelyard.types.schema import Array, DataType, Object, ParamSchema, ParamSpec, Property

MAX_CHARACTERS = 300
LONG = "secret\n" * 1000

INFO = entities.RunInfo("r1", "0", "rosa", "FINISHED", 1, 2, "active", LONG, "first")
DATA = entities.RunData({"accuracy": 0.97}, {f"p{n}": LONG for n in range(100)}, {"t": LONG})


def filled(kind: type[Any]) -> Any:
    """Return an entity with a long text in every field."""
    names = {field.name for field in dataclasses.fields(kind)}
    values: dict[str, Any] = dict.fromkeys(names, LONG)
    return kind(**values | {"info": INFO, "data": DATA} if kind is entities.Run else values)


KINDS = [
    kind
    for module in (entities, model_registry)
    for kind in vars(module).values()
    if dataclasses.is_dataclass(kind) and isinstance(kind, type)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_entity_is_shown_in_a_short_line(kind: type[Any]) -> None:
    shown = repr(filled(kind))
    assert shown.startswith(f"{kind.__name__}(")
    assert len(shown) < 2 * MAX_CHARACTERS
    assert "\n" not in shown


def test_a_run_is_shown_by_what_identifies_it() -> None:
    run = entities.Run(INFO, DATA)
    identity = "run_id='r1', run_name='first', status='FINISHED', experiment_id='0'"
    assert repr(run) == f"Run({identity})"
    assert repr(INFO) == f"RunInfo({identity})"
    assert repr(modelyard.ActiveRun(INFO, DATA)) == f"ActiveRun({identity})"
    assert repr(DATA).startswith("RunData(metrics={'accuracy': 0.97}, params={'p0': '")
    assert repr(entities.Metric("m", 0.5, 7, 3)) == (
        "Metric(key='m', value=0.5, step=3, timestamp=7)"
    )


def test_registered_things_are_shown_by_what_identifies_them() -> None:
    version = model_registry.ModelVersion("iris", "3", 1, 2, LONG, source=LONG, run_id="r1")
    assert repr(version) == (
        "ModelVersion(name='iris', version='3', current_stage='None', aliases=[], run_id='r1')"
    )
    model = model_registry.RegisteredModel("iris", 1, 2, LONG, [version] * 9, aliases={"a": "3"})
    assert repr(model) == "RegisteredModel(name='iris', aliases={'a': '3'}, revision=0)"
    event = model_registry.ModelEvent(
        "iris", 7, 1, "rosa", "STAGE_CHANGED", "3", LONG, LONG, LONG, "", "0" * 64, "0" * 64
    )
    assert repr(event) == (
        "ModelEvent(name='iris', revision=7, action='STAGE_CHANGED', version='3', actor='rosa')"
    )


def test_a_client_is_shown_with_its_address_but_no_login() -> None:
    client = MlflowClient("http://rosa:secret@models.example:5000/x")
    assert repr(client) == "MlflowClient(tracking_uri='http://***@models.example:5000/x')"
    both = MlflowClient("http://a.example:1", "grpc://rosa:secret@b.example:2")
    assert repr(both) == (
        "MlflowClient(tracking_uri='http://a.example:1', registry_uri='grpc://***@b.example:2')"
    )
    assert repr(MlflowClient()) == "MlflowClient(tracking_uri=None)"


def test_a_signature_is_short_as_a_value_and_readable_when_printed() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": ["x"], "c": [True], "d": [1], "e": [2.0]})
    signature = infer_signature(frame, np.zeros(1), {"threshold": 0.5})
    assert repr(signature) == (
        "ModelSignature(inputs=Schema(['a': double, 'b': string, 'c': boolean, 'd': long, "
        "… 1 more]), outputs=Schema([tensor(float64, (-1,))]), "
        "params=ParamSchema(['threshold': double (default 0.5)]))"
    )
    assert str(signature).splitlines() == [
        "inputs:",
        "  'a': double",
        "  'b': string",
        "  'c': boolean",
        "  'd': long",
        "  'e': double",
        "outputs:",
        "  tensor(float64, (-1,))",
        "params:",
        "  'threshold': double (default 0.5)",
    ]


def test_each_type_of_a_schema_is_readable() -> None:
    members = (Property("k", DataType.long), Property("l", DataType.string, required=False))
    columns = Schema([ColSpec(Array(Object(members)), "a", required=False)])
    assert str(columns) == "'a': array(object('k': long, 'l': string (optional))) (optional)"
    assert str(Schema([ColSpec("double")])) == "double"
    assert str(Schema([TensorSpec("int64", (-1, 2), "x")])) == "'x': tensor(int64, (-1, 2))"
    params = ParamSchema((ParamSpec("stops", DataType.string, [], (-1,)),))
    assert str(params) == "'stops': string (default [], as list)"


def test_models_are_shown_without_their_files(tmp_path: Path) -> None:
    signature = ModelSignature(Schema([ColSpec("double", "a")]))
    model = Model(artifact_path="m", flavors={"sklearn": {"code": LONG}}, signature=signature)
    info: ModelInfo = model.info("models:/m-1", 3)
    loaded = PyFuncModel(tmp_path, model, predictor=None)  # type: ignore[arg-type]  # not used
    assert repr(model) == "Model(name='m', model_id=None, flavors=['sklearn'])"
    assert repr(info) == "ModelInfo(model_uri='models:/m-1', name='m', registered_model_version=3)"
    assert repr(loaded) == "PyFuncModel(name='m', model_id=None, flavors=['sklearn'])"
