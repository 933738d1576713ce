"""Reads the database of an MLflow server, 2.x or 3.x, and never writes to it.

Tables and columns are found by reflection, so that older and newer schemas can be read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    MetaData,
    Row,
    Select,
    Table,
    and_,
    create_engine,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_server.moving.local_files import LocalFiles
from modelyard_server.moving.origin import (
    PROMPT_TAG,
    OriginFile,
    OriginVersion,
    Tree,
    Unreachable,
)

_RUNS_PAGE = 200
_POINTS_PAGE = 10_000
_DELETED_STAGE = "Deleted_Internal"
_DEFAULT_WORKSPACE = "default"
_LEFT_OUT = {
    "trace_info": "traces",
    "webhooks": "webhooks",
    "evaluation_datasets": "evaluation datasets",
}


class DatabaseReader:
    """The port `Reader`, of a database.

    Args:
        uri: Of SQLAlchemy, e.g. `sqlite:////data/mlflow.db`.
        local: Where its artifacts are.

    Raises:
        Unreachable: It cannot be opened, or is not one of MLflow's.
    """

    def __init__(self, uri: str, local: LocalFiles) -> None:
        self._local = local
        self._connection, self.name = _connect(uri)
        self.netloc = "origin"
        self._tables = MetaData()
        try:
            self._tables.reflect(self._connection, resolve_fks=False)
        except SQLAlchemyError as error:
            raise Unreachable(f"{self.name} cannot be read: {_reason(error)}.") from None
        if not {"experiments", "runs"} <= set(self._tables.tables):
            raise Unreachable(f"{self.name} is no database of an MLflow server.")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._connection.engine.dispose()

    def experiments(self) -> Iterator[pb.Experiment]:
        table = self._tables.tables["experiments"]
        tags = self._pairs("experiment_tags", "experiment_id", "key", "value", None)
        for row in self._all(self._of_workspace(table).order_by(table.c.experiment_id)):
            number = str(row.experiment_id)
            message = pb.Experiment(
                experiment_id=number, name=row.name, lifecycle_stage=row.lifecycle_stage
            )
            _set(message, creation_time=_of(row, "creation_time"))
            _set(message, last_update_time=_of(row, "last_update_time"))
            for key, value in tags[number]:
                message.tags.add(key=key, value=value)
            yield message

    def runs(self, experiment_id: str) -> Iterator[pb.Run]:
        table = self._tables.tables["runs"]
        ids = self._connection.scalars(
            select(table.c.run_uuid)
            .where(table.c.experiment_id == int(experiment_id))
            .order_by(table.c.start_time, table.c.run_uuid)
        ).all()
        for start in range(0, len(ids), _RUNS_PAGE):
            yield from self._runs(table, ids[start : start + _RUNS_PAGE])

    def _runs(self, table: Table, ids: Sequence[str]) -> Iterator[pb.Run]:
        params = self._pairs("params", "run_uuid", "key", "value", ids)
        tags = self._pairs("tags", "run_uuid", "key", "value", ids)
        metrics = self._pairs("latest_metrics", "run_uuid", "key", "key", ids)
        datasets = self._dataset_inputs(ids)
        models = self._model_links(ids)
        rows = {
            row.run_uuid: row for row in self._all(select(table).where(table.c.run_uuid.in_(ids)))
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
        if not {"inputs", "datasets", "input_tags"} <= set(self._tables.tables):
            return found
        inputs, datasets = self._tables.tables["inputs"], self._tables.tables["datasets"]
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
        rows = self._all(chosen.order_by(inputs.c.input_uuid))
        tags = self._pairs(
            "input_tags", "input_uuid", "name", "value", [r.input_uuid for r in rows]
        )
        for row in rows:
            dataset = pb.Dataset(
                name=row.name,
                digest=row.digest,
                source_type=row.dataset_source_type,
                source=row.dataset_source,
            )
            _set(dataset, schema=row.dataset_schema)
            _set(dataset, profile=row.dataset_profile)
            message = pb.DatasetInput(dataset=dataset)
            for key, value in tags[row.input_uuid]:
                message.tags.add(key=key, value=value)
            found[row.destination_id].append(message)
        return found

    def _model_links(self, run_ids: Sequence[str]) -> dict[str, list[tuple[str, str, int]]]:
        found: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
        inputs = self._tables.tables.get("inputs")
        if inputs is None:
            return found
        kinds = inputs.c.source_type.in_(["RUN_INPUT", "RUN_OUTPUT"])
        for row in self._all(select(inputs).where(kinds, inputs.c.source_id.in_(run_ids))):
            step = _of(row, "step") or 0
            found[row.source_id].append((row.source_type, row.destination_id, step))
        return found

    def history(self, run_id: str, key: str) -> Iterator[pb.Metric]:
        table = self._tables.tables["metrics"]
        statement = (
            select(table)
            .where(table.c.run_uuid == run_id, table.c.key == key)
            .order_by(table.c.timestamp, table.c.step, table.c.value)
        )
        with self._connection.execute(statement) as rows:
            for row in rows.yield_per(_POINTS_PAGE):
                value = math.nan if row.is_nan else row.value
                yield pb.Metric(key=key, value=value, timestamp=row.timestamp, step=row.step)

    def logged_models(self, experiment_id: str) -> Iterator[pb.LoggedModel]:
        table = self._tables.tables.get("logged_models")
        if table is None:
            return
        chosen = select(table).where(
            table.c.experiment_id == int(experiment_id), table.c.lifecycle_stage == "active"
        )
        for row in self._all(chosen.order_by(table.c.creation_timestamp_ms, table.c.model_id)):
            message = pb.LoggedModel(info=_logged_model_info(row))
            ids = [row.model_id]
            tags = self._pairs("logged_model_tags", "model_id", "tag_key", "tag_value", ids)
            for key, value in tags[row.model_id]:
                message.info.tags.add(key=key, value=value)
            params = self._pairs("logged_model_params", "model_id", "param_key", "param_value", ids)
            for key, value in params[row.model_id]:
                message.data.params.add(key=key, value=value)
            message.data.metrics.extend(self._model_metrics(row.model_id))
            yield message

    def _model_metrics(self, model_id: str) -> Iterator[pb.Metric]:
        table = self._tables.tables["logged_model_metrics"]
        for row in self._all(select(table).where(table.c.model_id == model_id)):
            message = pb.Metric(
                key=row.metric_name,
                value=math.nan if row.metric_value is None else row.metric_value,
                timestamp=row.metric_timestamp_ms,
                step=row.metric_step,
                model_id=model_id,
                run_id=row.run_id,
            )
            _set(message, dataset_name=row.dataset_name)
            _set(message, dataset_digest=row.dataset_digest)
            yield message

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        table = self._tables.tables.get("registered_models")
        if table is None:
            return
        tags = self._pairs("registered_model_tags", "name", "key", "value", None)
        aliases = self._pairs("registered_model_aliases", "name", "alias", "version", None)
        for row in self._all(self._of_workspace(table).order_by(table.c.name)):
            if (PROMPT_TAG, "true") in tags[row.name]:
                continue
            message = registry_pb2.RegisteredModel(name=row.name)
            _set(message, creation_timestamp=row.creation_time)
            _set(message, last_updated_timestamp=row.last_updated_time)
            _set(message, description=row.description)
            for key, value in tags[row.name]:
                message.tags.add(key=key, value=value)
            for alias, version in aliases[row.name]:
                message.aliases.add(alias=alias, version=version)
            yield message

    def versions(self, name: str) -> Iterator[OriginVersion]:
        table = self._tables.tables["model_versions"]
        tags = self._version_tags(name)
        chosen = self._of_workspace(table).where(
            table.c.name == name, table.c.current_stage != _DELETED_STAGE
        )
        for row in self._all(chosen.order_by(table.c.version)):
            message = registry_pb2.ModelVersion(
                name=name,
                version=str(row.version),
                current_stage=row.current_stage,
                status=row.status,
            )
            for field in ("description", "user_id", "source", "run_id", "run_link"):
                _set(message, **{field: _of(row, field)})
            _set(message, status_message=_of(row, "status_message"))
            _set(message, creation_timestamp=row.creation_time)
            _set(message, last_updated_timestamp=row.last_updated_time)
            for key, value in tags[str(row.version)]:
                message.tags.add(key=key, value=value)
            yield OriginVersion(message, _of(row, "storage_location") or row.source or "")

    def _version_tags(self, name: str) -> dict[str, list[tuple[str, str]]]:
        table = self._tables.tables["model_version_tags"]
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        chosen = self._of_workspace(table).where(table.c.name == name)
        for row in self._all(chosen.order_by(table.c.key)):
            found[str(row.version)].append((row.key, row.value or ""))
        return found

    def next_version(self, name: str) -> int:
        table = self._tables.tables["model_versions"]
        highest = self._connection.scalar(
            select(func.max(table.c.version)).where(table.c.name == name)
        )
        return int(highest or 0) + 1

    def files(self, tree: Tree) -> Iterator[OriginFile]:
        return self._local.files(tree)

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        self._local.fetch(tree, path, target)

    def left_out(self) -> list[str]:
        found = []
        for name, noun in _LEFT_OUT.items():
            if name in self._tables.tables:
                count = self._count(select(self._tables.tables[name]))
                found += [f"{count:,} {noun} are not moved."] if count else []
        tags = self._tables.tables.get("registered_model_tags")
        if tags is not None:
            prompts = self._count(
                select(tags).where(tags.c.key == PROMPT_TAG, tags.c.value == "true")
            )
            found += [f"{prompts:,} prompts are not moved."] if prompts else []
        for name in ("experiments", "registered_models"):
            table = self._tables.tables.get(name)
            if table is not None and "workspace" in table.c:
                other = table.c.workspace != _DEFAULT_WORKSPACE
                count = self._count(select(table).where(other))
                noun = name.replace("_", " ")
                found += [f"{count:,} {noun} of other workspaces are not moved."] if count else []
        return found

    def _count(self, chosen: Select[Any]) -> int:
        return self._connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0

    def _of_workspace(self, table: Table) -> Select[Any]:
        chosen = select(table)
        if "workspace" in table.c:
            chosen = chosen.where(table.c.workspace == _DEFAULT_WORKSPACE)
        return chosen

    def _all(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        return self._connection.execute(statement).all()

    def _pairs(
        self, name: str, owner: str, key: str, value: str, ids: Sequence[str] | None
    ) -> dict[str, list[tuple[str, str]]]:
        """Return (key, value) by owner; of all owners if `ids` is None."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        table = self._tables.tables.get(name)
        if table is None:
            return found
        chosen = self._of_workspace(table).order_by(table.c[owner], table.c[key])
        if ids is not None:
            chosen = chosen.where(table.c[owner].in_(ids))
        for row in self._connection.execute(chosen).mappings():
            text = row[value]
            found[str(row[owner])].append((row[key], "" if text is None else str(text)))
        return found


def _connect(uri: str) -> tuple[Connection, str]:
    try:
        url = make_url(uri)
        name = url.render_as_string(hide_password=True)
        if url.username:
            name = url.set(username=None, password=None).render_as_string()
        if url.get_backend_name() == "sqlite":
            url = _read_only(url)
        engine = create_engine(url)
        connection = engine.connect()
        inspect(connection)
    except (ArgumentError, NoSuchModuleError):
        raise Unreachable(
            "The database URL cannot be read: expected sqlite:////path/to/mlflow.db or "
            "postgresql://user:password@host/name."
        ) from None
    except ModuleNotFoundError as missing:
        raise Unreachable(f"This kind of database needs the driver '{missing.name}'.") from None
    except SQLAlchemyError as error:
        raise Unreachable(f"The database cannot be opened: {_reason(error)}.") from None
    return connection, name


def _read_only(url: URL) -> URL:
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise Unreachable(f"There is no database file {path}.")
    quoted = path.as_uri().removeprefix("file://")
    return url.set(database=f"file:{quoted}", query={"mode": "ro", "uri": "true"})


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")


def _run_info(row: Row[Any]) -> pb.RunInfo:
    info = pb.RunInfo(
        run_id=row.run_uuid,
        experiment_id=str(row.experiment_id),
        status=row.status,
        lifecycle_stage=row.lifecycle_stage,
    )
    _set(info, run_name=_of(row, "name"))
    for field in ("user_id", "start_time", "end_time", "artifact_uri"):
        _set(info, **{field: _of(row, field)})
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
        _set(info, **{field: _of(row, field)})
    return info


def _of(row: Row[Any], column: str) -> Any:
    return row._mapping.get(column)  # noqa: SLF001 - SQLAlchemy's documented name


def _set(message: Any, **fields: Any) -> None:
    """Set fields that are not NULL."""
    for name, value in fields.items():
        if value is not None:
            setattr(message, name, value)
