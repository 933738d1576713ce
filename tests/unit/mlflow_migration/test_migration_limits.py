from __future__ import annotations

import pytest

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.rpc.validation import validate
from modelyard_mlflow.limits import fit, refused_key


def fitted(run: pb.Run) -> list[tuple[str, str]]:
    """Fit a run, which the contract must accept then, and return what was noted."""
    notes: list[tuple[str, str]] = []
    fit(run, lambda kind, detail: notes.append((kind, detail)))
    validate(pb.ImportRunRequest(origin="o", run=run))
    return notes


def test_what_fits_stays_as_it_is() -> None:
    run = pb.Run(info=pb.RunInfo(run_id="r", run_name="n" * 250))
    run.data.params.add(key="a/b.c-d e:f", value="x" * 6000)
    run.data.tags.add(key="t", value="")
    before = run.SerializeToString()
    assert fitted(run) == []
    assert run.SerializeToString() == before


def test_long_texts_are_cut_and_named() -> None:
    run = pb.Run(info=pb.RunInfo(run_name="n" * 251))
    run.data.params.add(key="long", value="x" * 6001)
    assert fitted(run) == [
        ("value-cut", "run_name of RunInfo: 251 characters, cut to 250"),
        ("value-cut", "value of Param 'long': 6,001 characters, cut to 6,000"),
    ]
    assert len(run.data.params[0].value) == 6000


def test_nul_characters_are_replaced() -> None:
    run = pb.Run()
    run.data.tags.add(key="t", value="a\0b")
    assert [kind for kind, _ in fitted(run)] == ["value-changed"]
    assert run.data.tags[0].value == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("key", ["", "a" * 251, "../up", "/root", "a//b", "a*b", "."])
def test_a_param_whose_key_cannot_be_kept_is_dropped_and_the_others_stay(key: str) -> None:
    run = pb.Run()
    run.data.params.add(key="first", value="1")
    run.data.params.add(key=key, value="2")
    run.data.params.add(key="last", value="3")
    assert [kind for kind, _ in fitted(run)] == ["value-dropped"]
    assert [param.key for param in run.data.params] == ["first", "last"]
    assert refused_key(key)


def test_a_profile_is_dropped_rather_than_cut() -> None:
    run = pb.Run()
    dataset = pb.Dataset(name="d", digest="1", source_type="s", source="{}", profile="x" * 3145729)
    run.inputs.dataset_inputs.add(dataset=dataset)
    assert [kind for kind, _ in fitted(run)] == ["value-dropped"]
    assert not run.inputs.dataset_inputs[0].dataset.HasField("profile")


def test_a_dataset_without_what_is_required_is_dropped() -> None:
    run = pb.Run()
    run.inputs.dataset_inputs.add(dataset=pb.Dataset(name="d", digest="", source_type="s"))
    assert fitted(run) == [("value-dropped", "DatasetInput: it has no digest")]
    assert not run.inputs.dataset_inputs


def test_too_many_tags_of_an_input_are_dropped_from_the_end() -> None:
    run = pb.Run()
    dataset = pb.Dataset(name="d", digest="1", source_type="s", source="{}")
    used = run.inputs.dataset_inputs.add(dataset=dataset)
    for number in range(101):
        used.tags.add(key=str(number), value="v")
    assert fitted(run) == [("value-dropped", "tags: 101 items; at most 100 are allowed")]
    assert [tag.key for tag in run.inputs.dataset_inputs[0].tags][-1] == "99"


def test_a_long_description_of_a_version_is_cut() -> None:
    version = registry_pb2.ModelVersion(name="m", description="d" * 5001)
    notes: list[str] = []
    fit(version, lambda kind, detail: notes.append(f"{kind} {detail}"))
    assert notes == ["value-cut description of ModelVersion 'm': 5,001 characters, cut to 5,000"]
    assert len(version.description) == 5000
