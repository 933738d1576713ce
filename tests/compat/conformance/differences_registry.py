"""Where the answers of the registry's routes differ on purpose: the cases, by reason and route."""

from __future__ import annotations

from collections.abc import Mapping

from tests.compat.conformance.reasons import Reason

REGISTRY: Mapping[Reason, Mapping[str, tuple[str, ...]]] = {
    Reason.ALIASES: {
        "GET /api/2.0/mlflow/registered-models/get": ("with an alias",),
        "GET /api/2.0/mlflow/registered-models/search": ("a model with an alias",),
        "GET /api/2.0/mlflow/model-versions/search": ("a version with an alias",),
    },
    Reason.ALIAS_NAMES: {
        "POST /api/2.0/mlflow/registered-models/alias": ("alias 7",),
    },
    Reason.BY_STAGE: {
        "GET /api/2.0/mlflow/model-versions/get": (
            "a version that is no number",
            "version Production",
            "version production",
            "version none",
            "version champion",
            "version 1.0",
        ),
        "GET /api/2.0/mlflow/model-versions/get-download-uri": (
            "a version that is no number",
            "version Production",
            "version production",
            "version none",
            "version champion",
            "version 1.0",
        ),
    },
    Reason.CRASH: {
        "GET /api/2.0/mlflow/registered-models/search": (
            "filter name ILIKE 'library%' AND tags.team IS NULL",
            "filter name ILIKE 'library%' AND tags.team IS NOT NULL",
            "order by one key twice",
        ),
        "GET /api/2.0/mlflow/model-versions/get": ("version 99999999999999999999",),
        "GET /api/2.0/mlflow/model-versions/get-download-uri": ("version 99999999999999999999",),
        "POST /api/2.0/mlflow/model-versions/transition-stage": (
            "to None, archiving",
            "to Archived, archiving",
        ),
        "GET /api/2.0/mlflow/model-versions/search": (
            "filter name = 'library one' AND tags.size IS NULL",
            "filter name = 'library one' AND tags.size IS NOT NULL",
            "order by one key twice",
        ),
    },
    Reason.EMPTY: {
        "PATCH /api/2.0/mlflow/model-versions/update": (
            "without description",
            "null as description",
        ),
        "PATCH /api/2.0/mlflow/registered-models/update": ("an empty description",),
    },
    Reason.GRAMMAR: {
        "GET /api/2.0/mlflow/registered-models/search": (
            "filter name = 'library one' OR name = 'library'",
            "filter description = 'the second'",
            "filter attributes.name = 'library one'",
            "filter creation_timestamp > 0",
        ),
        "GET /api/2.0/mlflow/model-versions/search": (
            "filter by alias",
            "filter name = 'library one' AND version_number IN (1, 2)",
            "filter name = 'library one' AND source_path IN ('s3://bucket/other')",
            "filter name = 'library one' AND current_stage = 'Production'",
            "filter name = 'library one' AND status = 'READY'",
            "filter name = 'library one' AND creation_timestamp > 0",
            "filter name = 'Library two' OR version_number = 3",
        ),
    },
    Reason.LIMITS: {
        "POST /api/2.0/mlflow/registered-models/create": (
            "a name of 257 characters",
            "a description of 5,001 characters",
        ),
        "PATCH /api/2.0/mlflow/registered-models/update": ("a description of 5,001 characters",),
        "POST /api/2.0/mlflow/model-versions/create": (
            "a description of 5,001 characters",
            "a link of 501 characters",
        ),
        "PATCH /api/2.0/mlflow/model-versions/update": ("a description of 5,001 characters",),
    },
    Reason.MORE: {
        "POST /api/2.0/mlflow/registered-models/create": ("a deployment job",),
        "POST /api/2.0/mlflow/model-versions/create": ("a logged model",),
    },
    Reason.NOT_FOUND: {
        "GET /api/2.0/mlflow/registered-models/alias": (
            "a missing alias",
            "another case",
        ),
    },
    Reason.NUMBERS: {
        "POST /api/2.0/mlflow/registered-models/rename": ("onto a name that had versions",),
        "DELETE /api/2.0/mlflow/registered-models/delete": ("and made again",),
    },
    Reason.ONE_HOLDER: {
        "POST /api/2.0/mlflow/model-versions/transition-stage": ("onto an occupied stage",),
    },
    Reason.PINNED: {
        "POST /api/2.0/mlflow/model-versions/create": (
            "source runs:/$run/model",
            "source models:/$versioned/1",
            "source models:/m-…",
        ),
    },
    Reason.STRICT: {
        "POST /api/2.0/mlflow/registered-models/create": ("one tag twice",),
        "GET /api/2.0/mlflow/registered-models/search": (
            "max_results 0",
            "max_results -1",
        ),
    },
    Reason.UNVERIFIED: {
        "POST /api/2.0/mlflow/model-versions/create": (
            "source /etc/passwd",
            "source file:///etc/passwd",
            "source s3://bucket/../x",
            "source http://127.0.0.1/x",
            "source https://example.org/model",
            "an unknown logged model",
        ),
    },
}
