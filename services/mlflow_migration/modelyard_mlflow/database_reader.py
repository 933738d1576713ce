"""Reads the database of an MLflow server, 2.x or 3.x, without writing to it.

Tables and columns are discovered by reflection, so that older and newer schemas can be read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Table, and_, func, select

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_mlflow.database_tables import DEFAULT_WORKSPACE, Tables, column, put
from modelyard_mlflow.local_files import LocalFiles
from modelyard_mlflow.source import (
    PROMPT_TAG,
    SourceFile,
    SourceVersion,
    Tree,
    Unreachable,
)

_RUNS_PAGE = 200
_POINTS_PAGE = 10_000
_DELETED_STAGE = "Deleted_Internal"
_LEFT_OUT = {
    "trace_info": "traces",
    "webhooks": "webhooks",
    "evaluation_datasets": "evaluation datasets",
}


class DatabaseReader:
    """`Reader` of a database.

    Args:
        uri: SQLAlchemy URL, e.g. `sqlite:////data/mlflow.db`.
        local: Artifacts of the installation on this machine.

    Raises:
        Unreachable: The database cannot be opened, or is not an MLflow database.
    """

    def __init__(self, uri: str, local: LocalFiles) -> None:
        self._local = local
        self._db = Tables(uri)
        self.name = self._db.shown
        if not {"experiments", "runs"} <= self._db.names:
            raise Unreachable(f"{self.name} is not an MLflow database.")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def experiments(self) -> Iterator[pb.Experiment]:
        table = self._db["experiments"]
        tags = self._db.pairs("experiment_tags", "experiment_id", "key", "value", None)
        for row in self._db.all(self._db.of_workspace(table).order_by(table.c.experiment_id)):
            number = str(row.experiment_id)
            message = pb.Experiment(
                experiment_id=number, name=row.name, lifecycle_stage=row.lifecycle_stage
            )
            put(message, creation_time=column(row, "creation_time"))
            put(message, last_update_time=column(row, "last_update_time"))
            for key, value in tags[number]:
                message.tags.add(key=key, value=value)
            yield message

    def runs(self, experiment_id: str) -> Iterator[pb.Run]:
        table = self._db["runs"]
        ids = self._db.connection.scalars(
            select(table.c.run_uuid)
            .where(table.c.experiment_id == int(experiment_id))
            .order_by(table.c.start_time, table.c.run_uuid)
        ).all()
        for start in range(0, len(ids), _RUNS_PAGE):
            yield from self._runs(table, ids[start : start + _RUNS_PAGE])

    def _runs(self, table: Table, ids: Sequence[str]) -> Iterator[pb.Run]:
        params = self._db.pairs("params", "run_uuid", "key", "value", ids)
        tags = self._db.pairs("tags", "run_uuid", "key", "value", ids)
        metrics = self._db.pairs("latest_metrics", "run_uuid", "key", "key", ids)
        datasets = self._dataset_inputs(ids)
        models = self._model_links(ids)
        rows = {
            row.run_uuid: row
            for row in self._db.all(select(table).where(table.c.run_uuid.in_(ids)))
        }
        for run_id in ids:
            run = pb.Run(info=_run_info(rows[run_id]))
            for key, value in params[run_id]:
                run.data.params.add(key=key, value=value)
            for key, value in tags[run_id]:
                run.data.tags.add(key=key, value=value)
            for key, _ in metrics[run_id]:
                run.data.metrics.add(key=key)
            run.inputs.dataset_inputs.extend(datasets[run_id])
            for kind, model_id, step in models[run_id]:
                if kind == "RUN_INPUT":
                    run.inputs.model_inputs.add(model_id=model_id)
                else:
                    run.outputs.model_outputs.add(model_id=model_id, step=step)
            yield run

    def _dataset_inputs(self, run_ids: Sequence[str]) -> dict[str, list[pb.DatasetInput]]:
        found: dict[str, list[pb.DatasetInput]] = defaultdict(list)
        if not {"inputs", "datasets", "input_tags"} <= self._db.names:
            return found
        inputs, datasets = self._db["inputs"], self._db["datasets"]
        joined = select(inputs.c.input_uuid, inputs.c.destination_id, datasets).join_from(
            inputs,
            datasets,
            and_(
                inputs.c.source_type == "DATASET",
                inputs.c.source_id == datasets.c.dataset_uuid,
            ),
        )
        chosen = joined.where(
            inputs.c.destination_type == "RUN", inputs.c.destination_id.in_(run_ids)
        )
        rows = self._db.all(chosen.order_by(inputs.c.input_uuid))
        tags = self._db.pairs(
            "input_tags", "input_uuid", "name", "value", [r.input_uuid for r in rows]
        )
        for row in rows:
            dataset = pb.Dataset(
                name=row.name,
                digest=row.digest,
                source_type=row.dataset_source_type,
                source=row.dataset_source,
            )
            put(dataset, schema=row.dataset_schema)
            put(dataset, profile=row.dataset_profile)
            message = pb.DatasetInput(dataset=dataset)
            for key, value in tags[row.input_uuid]:
                message.tags.add(key=key, value=value)
            found[row.destination_id].append(message)
        return found

    def _model_links(self, run_ids: Sequence[str]) -> dict[str, list[tuple[str, str, int]]]:
        found: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
        inputs = self._db.get("inputs")
        if inputs is None:
            return found
        kinds = inputs.c.source_type.in_(["RUN_INPUT", "RUN_OUTPUT"])
        for row in self._db.all(select(inputs).where(kinds, inputs.c.source_id.in_(run_ids))):
            step = column(row, "step") or 0
            found[row.source_id].append((row.source_type, row.destination_id, step))
        return found

    def history(self, run_id: str, key: str) -> Iterator[pb.Metric]:
        table = self._db["metrics"]
        statement = (
            select(table)
            .where(table.c.run_uuid == run_id, table.c.key == key)
            .order_by(table.c.timestamp, table.c.step, table.c.value)
        )
        with self._db.connection.execute(statement) as rows:
            for row in rows.yield_per(_POINTS_PAGE):
                value = math.nan if row.is_nan else row.value
                yield pb.Metric(key=key, value=value, timestamp=row.timestamp, step=row.step)

    def logged_models(self, experiment_id: str) -> Iterator[pb.LoggedModel]:
        table = self._db.get("logged_models")
        if table is None:
            return
        chosen = select(table).where(
            table.c.experiment_id == int(experiment_id), table.c.lifecycle_stage == "active"
        )
        for row in self._db.all(chosen.order_by(table.c.creation_timestamp_ms, table.c.model_id)):
            message = pb.LoggedModel(info=_logged_model_info(row))
            ids = [row.model_id]
            tags = self._db.pairs("logged_model_tags", "model_id", "tag_key", "tag_value", ids)
            for key, value in tags[row.model_id]:
                message.info.tags.add(key=key, value=value)
            params = self._db.pairs(
                "logged_model_params", "model_id", "param_key", "param_value", ids
            )
            for key, value in params[row.model_id]:
                message.data.params.add(key=key, value=value)
            message.data.metrics.extend(self._model_metrics(row.model_id))
            yield message

    def _model_metrics(self, model_id: str) -> Iterator[pb.Metric]:
        table = self._db["logged_model_metrics"]
        for row in self._db.all(select(table).where(table.c.model_id == model_id)):
            message = pb.Metric(
                key=row.metric_name,
                value=math.nan if row.metric_value is None else row.metric_value,
                timestamp=row.metric_timestamp_ms,
                step=row.metric_step,
                model_id=model_id,
                run_id=row.run_id,
            )
            put(message, dataset_name=row.dataset_name)
            put(message, dataset_digest=row.dataset_digest)
            yield message

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        table = self._db.get("registered_models")
        if table is None:
            return
        tags = self._db.pairs("registered_model_tags", "name", "key", "value", None)
        aliases = self._db.pairs("registered_model_aliases", "name", "alias", "version", None)
        for row in self._db.all(self._db.of_workspace(table).order_by(table.c.name)):
            if (PROMPT_TAG, "true") in tags[row.name]:
                continue
            message = registry_pb2.RegisteredModel(name=row.name)
            put(message, creation_timestamp=row.creation_time)
            put(message, last_updated_timestamp=row.last_updated_time)
            put(message, description=row.description)
            for key, value in tags[row.name]:
                message.tags.add(key=key, value=value)
            for alias, version in aliases[row.name]:
                message.aliases.add(alias=alias, version=version)
            yield message

    def versions(self, name: str) -> Iterator[SourceVersion]:
        table = self._db["model_versions"]
        tags = self._version_tags(name)
        chosen = self._db.of_workspace(table).where(
            table.c.name == name, table.c.current_stage != _DELETED_STAGE
        )
        for row in self._db.all(chosen.order_by(table.c.version)):
            message = registry_pb2.ModelVersion(
                name=name,
                version=str(row.version),
                current_stage=row.current_stage,
                status=row.status,
            )
            for field in ("description", "user_id", "source", "run_id", "run_link"):
                put(message, **{field: column(row, field)})
            put(message, status_message=column(row, "status_message"))
            put(message, creation_timestamp=row.creation_time)
            put(message, last_updated_timestamp=row.last_updated_time)
            for key, value in tags[str(row.version)]:
                message.tags.add(key=key, value=value)
            yield SourceVersion(message, column(row, "storage_location") or row.source or "")

    def _version_tags(self, name: str) -> dict[str, list[tuple[str, str]]]:
        table = self._db["model_version_tags"]
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        chosen = self._db.of_workspace(table).where(table.c.name == name)
        for row in self._db.all(chosen.order_by(table.c.key)):
            found[str(row.version)].append((row.key, row.value or ""))
        return found

    def next_version(self, name: str) -> int:
        table = self._db["model_versions"]
        highest = self._db.connection.scalar(
            select(func.max(table.c.version)).where(table.c.name == name)
        )
        return int(highest or 0) + 1

    def files(self, tree: Tree) -> Iterator[SourceFile]:
        return self._local.files(tree)

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        self._local.fetch(tree, path, target)

    def left_out(self) -> list[str]:
        found = []
        for name, noun in _LEFT_OUT.items():
            if name in self._db.names:
                count = self._db.count(select(self._db[name]))
                found += [f"{count:,} {noun} are not migrated."] if count else []
        tags = self._db.get("registered_model_tags")
        if tags is not None:
            prompts = self._db.count(
                select(tags).where(tags.c.key == PROMPT_TAG, tags.c.value == "true")
            )
            found += [f"{prompts:,} prompts are not migrated."] if prompts else []
        for name in ("experiments", "registered_models"):
            table = self._db.get(name)
            if table is not None and "workspace" in table.c:
                other = table.c.workspace != DEFAULT_WORKSPACE
                count = self._db.count(select(table).where(other))
                noun = name.replace("_", " ")
                found += (
                    [f"{count:,} {noun} of other workspaces are not migrated."] if count else []
                )
        return found


def _run_info(row: Row[Any]) -> pb.RunInfo:
    info = pb.RunInfo(
        run_id=row.run_uuid,
        experiment_id=str(row.experiment_id),
        status=row.status,
        lifecycle_stage=row.lifecycle_stage,
    )
    put(info, run_name=column(row, "name"))
    for field in ("user_id", "start_time", "end_time", "artifact_uri"):
        put(info, **{field: column(row, field)})
    return info


def _logged_model_info(row: Row[Any]) -> pb.LoggedModelInfo:
    info = pb.LoggedModelInfo(
        model_id=row.model_id,
        experiment_id=str(row.experiment_id),
        name=row.name,
        creation_timestamp_ms=row.creation_timestamp_ms,
        last_updated_timestamp_ms=row.last_updated_timestamp_ms,
        artifact_uri=row.artifact_location,
        status=pb.LoggedModelStatus.Name(row.status),
    )
    for field in ("model_type", "source_run_id", "status_message"):
        put(info, **{field: column(row, field)})
    return info
