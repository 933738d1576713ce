"""Refusals of names, numbers, stages, aliases and URIs of models."""

from __future__ import annotations

import pytest

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.names import check_alias, check_model_name, version_number
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import parse_model_uri, parse_source

RUN = "a" * 32


@pytest.mark.parametrize("name", ["", " ", "\t", "a/b", "a:b", ".", "..", "a\nb"])
def test_a_bad_model_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot"):
        check_model_name(name)


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V22", "7", "a b", "a.b", "a/b", "ä!"])
def test_a_reserved_or_malformed_alias_is_refused(alias: str) -> None:
    with pytest.raises(
        InvalidArgument, match=f"{alias}' is reserved|Invalid alias name: '{alias}'"
    ):
        check_alias(alias)


@pytest.mark.parametrize("version", ["one", "1.0", "-1", "٣", "9" * 20, "Production"])
def test_a_version_number_is_decimal_and_has_64_bits(version: str) -> None:
    with pytest.raises(InvalidArgument, match="must be an integer"):
        version_number(version)


@pytest.mark.parametrize("stage", ["Prod", "", "Live", "Deleted_Internal"])
def test_an_unknown_stage_is_refused_with_the_known_ones(stage: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Stage.parse(stage)
    assert refused.value.message == (
        f"Invalid Model Version stage: {stage}. "
        "Value must be one of None, Staging, Production, Archived."
    )


@pytest.mark.parametrize(
    "source",
    [
        f"runs:/{RUN}/../other",
        f"runs:/{RUN}/./model",
        f"runs:/{RUN}//model",
        "runs:/",
        "runs:/!/model",
        "models:/",
        "models:/iris/",
        "models:/iris/1/2",
        "models:/m-1",
        f"mlflow-artifacts:/7/{RUN}/artifacts/../../8",
        f"mlflow-artifacts:/7/{RUN}/model",
        "mlflow-artifacts:/manifests/xyz",
        "mlflow-artifacts:/",
    ],
)
def test_a_malformed_source_of_ours_is_refused(source: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid model URI"):
        parse_source(source)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/",
        "models:/iris",
        "models:/iris/",
        "models:/iris@",
        "models:/@champion",
        "models:/iris/1/2",
        "models:/iris/champion",
        "models://profile/iris/1",
        "models:/m-123",
        "runs:/",
        "runs:/../model",
        f"runs:/{RUN}/../secret",
        f"runs:/{RUN}//model",
        "s3://bucket/model",
        "/etc/passwd",
        "mlflow-artifacts:/0/run/artifacts/model",
    ],
)
def test_a_malformed_model_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidArgument, match=r"Invalid model|cannot be empty"):
        parse_model_uri(uri)
