"""A model may return to a name that was its own; a number never identifies two versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.endpoint_service import running_endpoints, spec, target
from tests.support.platforms.registry_originals import (
    import_model,
    import_version,
    model,
    resolve,
    verify,
    version,
)
from tests.support.platforms.registry_service import Registry, refused, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import AlreadyExists


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        running.create_version()
        running.create_version()
        yield running


def delete(registry: Registry, name: str) -> None:
    registry.call("DeleteRegisteredModel", pb.DeleteRegisteredModelRequest(name=name))


@pytest.mark.parametrize("way", [("b", "iris"), ("b", "c", "iris"), ("b", "iris", "b", "iris")])
def test_a_model_returns_to_a_former_name_and_its_numbers_go_on(
    registry: Registry, way: tuple[str, ...]
) -> None:
    registry.set_alias("champion", 1)
    registry.move(1, "Production")
    registry.move(2, "Production")
    name, given = "iris", 2
    for new_name in way:
        registry.rename(name, new_name)
        name, given = new_name, given + 1
        assert registry.create_version(name).version == str(given)
    assert registry.get_version("champion").version == "1"
    assert registry.roll_back().version == "1"
    for used in {"iris", *way}:
        assert verify(registry, used) == registry.events(used)[-1].revision


def test_a_model_that_had_no_versions_returns_too(registry: Registry) -> None:
    registry.create_model("draft")
    registry.rename("draft", "ready")
    registry.create_version("ready")
    registry.rename("ready", "draft")
    assert registry.create_version("draft").version == "2"


def test_earlier_states_are_those_of_the_model_that_had_the_name(registry: Registry) -> None:
    registry.move(1, "Production")
    moments = [registry.time.ms]
    for name, new_name in (("iris", "b"), ("b", "iris")):
        registry.time.ms += 10
        registry.rename(name, new_name)
        registry.time.ms += 10
        registry.move(2 if new_name == "b" else 1, "Production", new_name)
        moments.append(registry.time.ms)
    assert resolve(registry, "models:/iris/Production", moments[0]) == "1"
    assert resolve(registry, "models:/iris/Production", moments[2]) == "1"
    with pytest.raises(Exception, match="was Production at that time"):
        resolve(registry, "models:/iris/Production", moments[1])
    watched = [event.clock for event in (*registry.events(), *registry.events("b"))]
    assert sorted(watched) == list(range(1, len(watched) + 1))


def test_a_model_does_not_return_if_a_number_would_mean_two_versions(registry: Registry) -> None:
    registry.rename("iris", "b")
    registry.create_version("b")
    registry.create_model()
    assert registry.create_version().version == "3"
    delete(registry, "iris")
    with refused(registry, AlreadyExists, "Another model had the name iris .* with version 3; b "):
        registry.rename("b", "iris")
    registry.call("DeleteModelVersion", pb.DeleteModelVersionRequest(name="b", version="3"))
    registry.rename("b", "iris")
    assert registry.create_version().version == "4"


def test_a_model_returns_after_another_one_had_the_name(registry: Registry) -> None:
    registry.rename("iris", "b")
    registry.create_model()
    with refused(registry, AlreadyExists, r"Registered Model \(name=iris\) already exists"):
        registry.rename("b", "iris")
    assert registry.create_version().version == "3"
    delete(registry, "iris")
    registry.rename("b", "iris")
    assert registry.create_version().version == "4"
    assert registry.stages() == {"1": "None", "2": "None", "4": "None"}


def test_another_model_does_not_take_a_name_that_had_versions(registry: Registry) -> None:
    registry.rename("iris", "b")
    registry.create_model("other")
    message = "iris had versions before, .* never used, or a former name of this model"
    with refused(registry, AlreadyExists, message):
        registry.rename("other", "iris")
    registry.rename("b", "iris")


def test_a_model_made_anew_under_a_name_does_not_inherit_the_former_names(
    registry: Registry,
) -> None:
    registry.rename("iris", "b")
    delete(registry, "b")
    registry.create_model("b")
    with refused(registry, AlreadyExists, "iris had versions before"):
        registry.rename("b", "iris")


def test_a_model_made_after_a_former_one_left_does_not_inherit_its_names(
    registry: Registry,
) -> None:
    registry.rename("iris", "b")
    registry.rename("b", "c")
    registry.create_model("b")
    with refused(registry, AlreadyExists, "iris had versions before"):
        registry.rename("b", "iris")
    registry.rename("c", "iris")


def test_an_import_reuses_no_number_of_another_model_of_the_name(registry: Registry) -> None:
    import_model(registry, model("flowers"))
    import_version(registry, version(1, name="flowers"))
    registry.rename("flowers", "b")
    registry.create_model("flowers")
    registry.create_version("flowers")
    delete(registry, "flowers")
    registry.rename("b", "flowers")
    with refused(registry, AlreadyExists, "version=2.* was deleted here"):
        import_version(registry, version(2, name="flowers"))
    import_version(registry, version(7, name="flowers"))
    assert set(registry.stages("flowers")) == {"1", "7"}


def test_an_endpoint_means_the_model_again_after_its_return(
    tmp_path: Path, dialect: Dialect
) -> None:
    with running_endpoints(tmp_path, dialect) as endpoints:
        registry = endpoints.registry
        registry.create_model()
        registry.create_version()
        registry.move(1, "Production")
        uri = "models:/iris/Production"
        endpoints.create(spec=spec(targets=[target(uri)]))
        registry.rename("iris", "b")
        registry.rename("b", "iris")
        assert endpoints.get().spec.targets[0].model_uri == uri
        request = pb.ResolveModelRequest(uri=uri)
        assert registry.call("ResolveModel", request).model_version.version == "1"
