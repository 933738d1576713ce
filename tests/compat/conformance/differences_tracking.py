"""Where the answers of all other routes differ on purpose: the cases, by reason and route."""

from __future__ import annotations

from collections.abc import Mapping

from tests.compat.conformance.reasons import Reason

TRACKING: Mapping[Reason, Mapping[str, tuple[str, ...]]] = {
    Reason.CODE: {
        "POST /api/2.0/mlflow/experiments/create": ("one tag twice",),
        "POST /api/2.0/mlflow/experiments/update": ("a taken name",),
        "POST /api/2.0/mlflow/runs/create": (
            "one tag twice",
            "no JSON",
        ),
        "POST /api/2.0/mlflow/logged-models": (
            "one param twice",
            "one tag twice",
        ),
        "POST /api/2.0/mlflow/logged-models/<model_id>/params": ("another value",),
        "GET /ajax-api/2.0/mlflow/logged-models/<model_id>/artifacts/files": (
            "without artifact_file_path",
        ),
        "GET /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": ("a folder",),
    },
    Reason.CRASH: {
        "POST /api/2.0/mlflow/experiments/create": ("no object",),
        "POST /api/2.0/mlflow/experiments/update": ("a deleted one",),
        "POST /api/2.0/mlflow/runs/log-batch": (
            "null as metrics",
            "null as params",
            "null as tags",
        ),
        "DELETE /api/2.0/mlflow/logged-models/<model_id>/tags/<tag_key>": ("a key with /",),
        "POST /api/2.0/mlflow/logged-models/search": (
            "filter colour = 'red'",
            "filter metrics.loss > 'x'",
            "a broken token",
        ),
        "POST /api/2.0/mlflow/runs/search": ("order by metrics.loss, metrics.loss DESC",),
    },
    Reason.DEFAULTS: {
        "POST /api/2.0/mlflow/experiments/search": ("no max_results",),
        "GET /api/2.0/mlflow/experiments/search": ("without max_results",),
        "POST /api/2.0/mlflow/runs/create": ("nothing at all",),
        "POST /api/2.0/mlflow/runs/outputs": (
            "without models",
            "null as models",
        ),
        "POST /ajax-api/2.0/mlflow/experiments/search-datasets": ("21 experiments",),
        "PATCH /api/2.0/mlflow/logged-models/<model_id>": ("without model_id",),
        "POST /api/2.0/mlflow/logged-models/<model_id>/params": ("without model_id",),
        "POST /api/2.0/mlflow/logged-models/search": (
            "without experiment_ids",
            "null as experiment_ids",
        ),
    },
    Reason.FILE_NAMES: {
        "GET /api/2.0/mlflow-artifacts/artifacts": ("path %2e%2e/x",),
        "GET /api/2.0/mlflow/artifacts/list": ("path %2e%2e/x",),
    },
    Reason.GRAMMAR: {
        "POST /api/2.0/mlflow/experiments/search": (
            "filter attributes.name LIKE 'shelf%'",
            "filter name IN ('shelf one', 'home')",
            "filter name = 'shelf one' OR name = 'shelf'",
            "filter NOT name LIKE 'shelf%'",
            "filter (name = 'shelf one')",
        ),
        "POST /api/2.0/mlflow/logged-models/search": (
            "filter tags.team IS NULL",
            "filter name = 'one' OR name = 'two'",
        ),
        "POST /api/2.0/mlflow/runs/search": (
            "filter params.rate IN ('0.1', '0.2')",
            "filter run_name IN ('first', 'second')",
            "filter metrics.loss = 0.5 OR metrics.loss = 0.25",
            "filter NOT metrics.loss = 0.5",
            "filter (metrics.loss = 0.5)",
            "filter    ",
            "order by `Run Name` DESC",
        ),
    },
    Reason.INFINITE: {
        "POST /api/2.0/mlflow/runs/log-batch": ('"-Infinity" as a value',),
        "POST /api/2.0/mlflow/runs/log-metric": (
            "value 'Infinity'",
            "value '-Infinity'",
        ),
    },
    Reason.LATEST: {
        "POST /api/2.0/mlflow/runs/log-metric": ("a model's next",),
    },
    Reason.LIMITS: {
        "POST /api/2.0/mlflow/logged-models": (
            "name 'nnnnnnnnnnnnnnnnnnnn', 501",
            "a param of 6,001 characters",
            "a tag of 8,001 characters",
        ),
    },
    Reason.LOCATION: {
        "POST /api/2.0/mlflow/experiments/create": (
            "a location elsewhere",
            "a location with ..",
        ),
    },
    Reason.LOGGED_SEARCH: {
        "POST /api/2.0/mlflow/logged-models/search": (
            "filter status = 'READY'",
            "a dataset by name",
        ),
    },
    Reason.MORE: {
        "POST /api/2.0/mlflow/runs/log-metric": (
            "a model's",
            "a dataset's",
        ),
        "PATCH /api/2.0/mlflow/logged-models/<model_id>/tags": (
            "as it should be",
            "without tags",
            "null as tags",
            "another value",
            "no tags",
            "without model_id",
        ),
        "PUT /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": ("an empty file",),
    },
    Reason.MULTIPART: {
        "POST /api/2.0/mlflow-artifacts/mpu/create/<path:artifact_path>": ("as it should be",),
        "POST /api/2.0/mlflow-artifacts/mpu/complete/<path:artifact_path>": ("an unknown upload",),
        "POST /api/2.0/mlflow-artifacts/mpu/abort/<path:artifact_path>": ("an unknown upload",),
    },
    Reason.NOT_FOUND: {
        "POST /api/2.0/mlflow/runs/outputs": ("an unknown model",),
        "POST /api/2.0/mlflow/runs/log-metric": ("an unknown model's",),
        "POST /api/2.0/mlflow/logged-models": ("an unknown run",),
        "PATCH /api/2.0/mlflow/logged-models/<model_id>": ("a deleted one",),
        "PATCH /api/2.0/mlflow/logged-models/<model_id>/tags": ("a deleted one",),
        "POST /api/2.0/mlflow/logged-models/<model_id>/params": ("a deleted one",),
    },
    Reason.NOW: {
        "POST /api/2.0/mlflow/runs/create": (
            "without start_time",
            "null as start_time",
        ),
        "POST /api/2.0/mlflow/runs/log-batch": ("a metric without a time",),
        "POST /api/2.0/mlflow/runs/log-metric": (
            "without timestamp",
            "null as timestamp",
        ),
    },
    Reason.OWNERS: {
        "GET /api/2.0/mlflow-artifacts/artifacts": (
            "without path",
            "path /etc/passwd",
            "path a\\..\\x",
        ),
        "PUT /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": (
            "no owner of ours",
            "an unknown run",
        ),
        "GET /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": ("an unknown run",),
        "GET /get-artifact": ("without path",),
    },
    Reason.PRESIGNED: {
        "GET /api/2.0/mlflow-artifacts/presigned/<path:artifact_path>": (
            "as it should be",
            "a missing file",
        ),
        "POST /api/2.0/mlflow/artifacts/presigned-upload-url": ("as it should be",),
        "POST /api/2.0/mlflow/artifacts/presigned-download-url": ("as it should be",),
    },
    Reason.REPEAT: {
        "POST /api/2.0/mlflow/runs/log-batch": ("one param twice, alike",),
        "POST /api/2.0/mlflow/runs/log-model": ("a second model",),
        "POST /api/2.0/mlflow/runs/outputs": ("the same again",),
        "POST /api/2.0/mlflow/logged-models/<model_id>/params": ("the same again",),
    },
    Reason.STATE: {
        "PUT /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": ("a deleted run",),
    },
    Reason.STRICT: {
        "POST /api/2.0/mlflow/experiments/create": ("a blank name",),
        "POST /api/2.0/mlflow/experiments/search": ("view NOPE",),
        "POST /api/2.0/mlflow/runs/create": (
            "a number as user_id",
            "true as start_time",
            "an object as tags",
            "a time before 1970",
            "a bad tag key",
        ),
        "GET /api/2.0/mlflow/runs/get": ("an id with strange characters",),
        "POST /api/2.0/mlflow/runs/update": (
            "true as end_time",
            "an unknown status",
            "a status in small letters",
        ),
        "POST /api/2.0/mlflow/runs/log-batch": (
            "a bad value among good ones",
            "NaN as a value",
            "Infinity as a value",
        ),
        "POST /api/2.0/mlflow/runs/log-inputs": (
            "a tag alone",
            "a dataset without name",
            "a dataset without digest",
            "a dataset without source_type",
            "a dataset without source",
        ),
        "POST /api/2.0/mlflow/runs/log-metric": (
            "true as value",
            "true as timestamp",
            "true as step",
            "the literal NaN",
            "the literal Infinity",
            "the literal -Infinity",
            "the literal 1e999",
            "a step beyond 64 bits",
        ),
        "GET /api/2.0/mlflow/metrics/get-history": (
            "max_results 25001",
            "max_results x",
        ),
        "POST /api/2.0/mlflow/logged-models": (
            "a bad param key",
            "a bad tag key",
            "a run of another experiment",
        ),
        "PATCH /api/2.0/mlflow/logged-models/<model_id>": (
            "a number as status",
            "status 'LOGGED_MODEL_PENDING'",
            "status 'NOPE'",
            "status 0",
            "status 'READY'",
        ),
        "PATCH /api/2.0/mlflow/logged-models/<model_id>/tags": ("a bad key",),
        "POST /api/2.0/mlflow/logged-models/<model_id>/params": ("a bad key",),
        "POST /api/2.0/mlflow/logged-models/search": (
            "max_results 0",
            "max_results -1",
            "max_results 50001",
        ),
        "POST /api/2.0/mlflow/runs/search": (
            "view NOPE",
            "max_results 2.5",
            "no JSON",
        ),
    },
    Reason.VERSION: {
        "GET /version": ("as it should be",),
        "GET /api/3.0/mlflow/server-info": ("as it should be",),
    },
}
