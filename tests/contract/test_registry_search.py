from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.registry_service import (
    OTHER_RUN,
    RUN,
    SOURCE,
    Registry,
    refused,
    running_registry,
)

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import InvalidArgument


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, dialect: Dialect) -> Iterator[Registry]:
    """Two models: iris with three versions, roses with one; nothing below changes them."""
    folder: Path = tmp_path_factory.mktemp("registry")
    with running_registry(folder, dialect) as running:
        running.create_model(
            "iris", description="Flowers", tags=[pb.RegisteredModelTag(key="team", value="ds")]
        )
        running.create_version(description="first")
        running.create_version(
            source=f"runs:/{OTHER_RUN}/model", tags=[pb.ModelVersionTag(key="a b", value="Yes")]
        )
        running.create_version(source="s3://bucket/model")
        running.time.ms += 10
        running.create_model("roses")
        running.create_version("roses", tags=[pb.ModelVersionTag(key="a b", value="no")])
        running.time.ms += 10
        running.move(1, "Production")
        running.set_alias("champion", 1)
        running.set_alias("oldest", 1)
        running.set_alias("challenger", 2)
        yield running


def test_a_number_of_more_than_64_bits_is_no_version(registry: Registry) -> None:
    with refused(registry, InvalidArgument, "Model version must be an integer such as 3"):
        registry.search(f"version = '{2**63}'")
    assert registry.search(f"version = {2**63}") == []


def search_models(registry: Registry, filter_text: str, *order_by: str) -> list[str]:
    request = pb.SearchRegisteredModelsRequest(filter=filter_text, order_by=order_by)
    found = registry.call("SearchRegisteredModels", request).registered_models
    return [model.name for model in found]


@pytest.mark.parametrize(
    ("filter_text", "expected"),
    [
        ("", ["iris/1", "roses/1", "iris/3", "iris/2"]),
        ("name='iris'", ["iris/1", "iris/3", "iris/2"]),
        ("name='iris' and current_stage='Production'", ["iris/1"]),
        ("current_stage = 'production'", ["iris/1"]),
        ("stage != 'PRODUCTION'", ["roses/1", "iris/3", "iris/2"]),
        ("stage IN ('staging', 'production')", ["iris/1"]),
        ("stage LIKE 'Prod%'", ["iris/1"]),
        ("version_number > 1", ["iris/3", "iris/2"]),
        ("version = 3 OR version = '2'", ["iris/3", "iris/2"]),
        ("version_number IN (2, 3)", ["iris/3", "iris/2"]),
        (f"run_id = '{OTHER_RUN}'", ["iris/2"]),
        (f"run_id IN ('{RUN}')", ["iris/1", "roses/1"]),
        ("run_id IS NULL", ["iris/3"]),
        (f"run_id != '{RUN}'", ["iris/3", "iris/2"]),
        (f"run_id NOT IN ('{RUN}', '{OTHER_RUN}')", ["iris/3"]),
        ("experiment_id = '7' AND name = 'roses'", ["roses/1"]),
        (f"source_path = '{SOURCE}'", ["iris/1", "roses/1"]),
        ("source_path LIKE 's3:%'", ["iris/3"]),
        ("alias = 'champion'", ["iris/1"]),
        ("aliases LIKE 'ch%'", ["iris/1", "iris/2"]),
        ("alias != 'oldest'", ["roses/1", "iris/3", "iris/2"]),
        ("alias IN ('challenger', 'champion')", ["iris/1", "iris/2"]),
        ("alias NOT IN ('challenger', 'champion')", ["roses/1", "iris/3"]),
        ("alias IS NULL", ["roses/1", "iris/3"]),
        ("alias IS NOT NULL", ["iris/1", "iris/2"]),
        ("digest IS NULL", ["iris/3"]),
        ("status = 'READY' AND user_id = 'ada' AND name != 'iris'", ["roses/1"]),
        ("description ILIKE 'FIRST'", ["iris/1"]),
        ("last_updated_timestamp >= 1700000000010", ["iris/1", "roses/1"]),
        ("creation_timestamp < 1700000000010", ["iris/1", "iris/3", "iris/2"]),
        ("tags.`a b` = 'Yes'", ["iris/2"]),
        ("tags.`a b` != 'Yes'", ["roses/1"]),
        ("tag.`a b` ILIKE 'y%'", ["iris/2"]),
        ("tags.`a b` IS NULL", ["iris/1", "iris/3"]),
        ("attributes.name = 'roses'", ["roses/1"]),
        ("NOT (name = 'iris' AND NOT stage = 'Production')", ["iris/1", "roses/1"]),
        ("name = 'it''s'", []),
    ],
)
def test_versions_are_found(registry: Registry, filter_text: str, expected: list[str]) -> None:
    assert registry.search(filter_text) == expected


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (["name", "version_number DESC"], ["iris/3", "iris/2", "iris/1", "roses/1"]),
        (["name DESC", "version"], ["roses/1", "iris/1", "iris/2", "iris/3"]),
        (["creation_timestamp ASC"], ["iris/3", "iris/2", "iris/1", "roses/1"]),
        (["last_updated_timestamp ASC"], ["iris/3", "iris/2", "roses/1", "iris/1"]),
        (["run_id", "run_id", "name", "version_number"], None),
    ],
)
def test_versions_are_ordered(
    registry: Registry, order_by: list[str], expected: list[str] | None
) -> None:
    found = registry.search("", *order_by)
    assert sorted(found) == ["iris/1", "iris/2", "iris/3", "roses/1"]
    if expected is None:
        assert found[-1] == "iris/3"  # a missing run comes last
    else:
        assert found == expected


@pytest.mark.parametrize("order_by", [[], ["run_id DESC"], ["name DESC", "version_number"]])
def test_pages_are_the_search_in_pieces(registry: Registry, order_by: list[str]) -> None:
    found: list[str] = []
    token = ""
    for _ in range(4):
        request = pb.SearchModelVersionsRequest(max_results=1, order_by=order_by, page_token=token)
        reply = registry.call("SearchModelVersions", request)
        found += [f"{version.name}/{version.version}" for version in reply.model_versions]
        token = reply.next_page_token
    assert not token
    assert found == registry.search("", *order_by)


@pytest.mark.parametrize(
    ("filter_text", "expected"),
    [
        ("", ["iris", "roses"]),
        ("name = 'roses'", ["roses"]),
        ("name LIKE '%os%'", ["roses"]),
        ("name ILIKE 'IRIS'", ["iris"]),
        ("name IN ('iris', 'tulips')", ["iris"]),
        ("tags.team = 'ds'", ["iris"]),
        ("tags.team IS NULL", ["roses"]),
        ("description IS NOT NULL", ["iris"]),
        ("creation_timestamp > 1700000000000", ["roses"]),
        ("last_updated_timestamp > 1700000000010 OR name = 'x'", ["iris"]),
    ],
)
def test_models_are_found(registry: Registry, filter_text: str, expected: list[str]) -> None:
    assert search_models(registry, filter_text) == expected


def test_models_are_ordered_and_paged(registry: Registry) -> None:
    assert search_models(registry, "", "timestamp DESC") == ["iris", "roses"]
    assert search_models(registry, "", "name DESC") == ["roses", "iris"]
    request = pb.SearchRegisteredModelsRequest(max_results=1)
    first = registry.call("SearchRegisteredModels", request)
    request.page_token = first.next_page_token
    second = registry.call("SearchRegisteredModels", request)
    names = [model.name for page in (first, second) for model in page.registered_models]
    assert names == ["iris", "roses"]
    assert not second.next_page_token


def test_a_model_without_the_tag_of_prompts_is_no_prompt(registry: Registry) -> None:
    assert search_models(registry, "tag.`mlflow.prompt.is_prompt` != 'true'") == ["iris", "roses"]
    assert search_models(registry, "tag.`mlflow.prompt.is_prompt` = 'true'") == []


def test_a_found_model_is_the_model_in_full(registry: Registry) -> None:
    found = registry.call("SearchRegisteredModels", pb.SearchRegisteredModelsRequest())
    assert list(found.registered_models) == [
        registry.get_model("iris"),
        registry.get_model("roses"),
    ]
    assert [version.version for version in found.registered_models[0].latest_versions] == ["1", "3"]


@BEFORE_SQL
@pytest.mark.parametrize(
    ("filter_text", "message"),
    [
        ("name", "expected an operator"),
        ("name = iris", "quoted string"),
        ("metrics.accuracy > 1", "Invalid filter key 'metrics.accuracy'; use one of name, version"),
        ("colour = 'red'", "Invalid filter key 'colour'"),
        ("stage = 'prod'", "Invalid Model Version stage: prod"),
        ("stage = 1", "must be compared with a quoted string"),
        ("version_number = 'x'", "must be compared with a number"),
        ("alias > 'a'", "alias does not support >"),
        ("tags.team > 'a'", "does not support >"),
    ],
)
def test_an_invalid_filter_is_refused(registry: Registry, filter_text: str, message: str) -> None:
    with refused(registry, InvalidArgument, message):
        registry.search(filter_text)


def test_a_bad_order_size_or_token_is_refused(registry: Registry) -> None:
    with refused(registry, InvalidArgument, "Invalid order_by key 'colour'; use one of name"):
        registry.search("", "colour")
    with refused(registry, InvalidArgument, "expected ASC, DESC"):
        registry.search("", "name sideways")
    for size in (0, -1, 200_001):
        with refused(registry, InvalidArgument, "at least 1 and at most 200000"):
            registry.call("SearchModelVersions", pb.SearchModelVersionsRequest(max_results=size))
    with refused(registry, InvalidArgument, "at least 1 and at most 1000"):
        request = pb.SearchRegisteredModelsRequest(max_results=1001)
        registry.call("SearchRegisteredModels", request)
    with refused(registry, InvalidArgument, "Invalid page_token"):
        registry.call("SearchModelVersions", pb.SearchModelVersionsRequest(page_token="x"))
    first = registry.call("SearchModelVersions", pb.SearchModelVersionsRequest(max_results=1))
    other = pb.SearchModelVersionsRequest(filter="version = 1", page_token=first.next_page_token)
    with refused(registry, InvalidArgument, "belongs to another search"):
        registry.call("SearchModelVersions", other)
