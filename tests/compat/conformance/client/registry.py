"""Probes of MlflowClient's methods about logged models and the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.compat.conformance.client.told import Probe, client, fresh
from tests.compat.conformance.client.tracking import experiment

_SOURCE = "s3://bucket/model"  # never opened


def logged(**fields: Any) -> str:
    return str(client.create_logged_model(experiment(), name="a model", **fields).model_id)


def registered(**fields: Any) -> str:
    return str(client.create_registered_model(fresh(), **fields).name)


def versioned(count: int = 1) -> str:
    name = registered()
    for _ in range(count):
        client.create_model_version(name, _SOURCE)
    return name


def _model_after(do: Callable[[str], Any]) -> Any:
    name = versioned()
    do(name)
    return client.get_registered_model(name)


def _version_after(do: Callable[[str], Any]) -> Any:
    name = versioned()
    do(name)
    return client.get_model_version(name, "1")


def _logged_after(do: Callable[[str], Any]) -> Any:
    model_id = logged()
    do(model_id)
    return client.get_logged_model(model_id)


def _gone(name: str) -> Any:
    client.delete_registered_model(name)
    return client.get_registered_model(name)


def _gone_version(name: str) -> Any:
    client.delete_model_version(name, "1")
    return client.get_model_version(name, "1")


def _gone_logged(model_id: str) -> Any:
    client.delete_logged_model(model_id)
    return client.get_logged_model(model_id)


def _taken() -> Any:
    return client.create_registered_model(registered())


def _renamed() -> Any:
    return client.rename_registered_model(versioned(), fresh())


def _tagged_model(name: str) -> None:
    client.set_registered_model_tag(name, "gone", "1")
    client.set_registered_model_tag(name, "kept", 2)
    client.delete_registered_model_tag(name, "gone")


def _tagged_version(name: str) -> None:
    client.set_model_version_tag(name, "1", "gone", "1")
    client.set_model_version_tag(name, stage="None", key="kept", value=2)
    client.delete_model_version_tag(name, "1", "gone")


def _tagged_logged(model_id: str) -> None:
    client.set_logged_model_tags(model_id, {"gone": "1", "kept": "2"})
    client.delete_logged_model_tag(model_id, "gone")


def _by_alias(name: str) -> Any:
    client.set_registered_model_alias(name, "champion", "1")
    return client.get_model_version_by_alias(name, "champion")


def _alias_gone(name: str) -> None:
    client.set_registered_model_alias(name, "champion", "1")
    client.delete_registered_model_alias(name, "champion")


def _promoted() -> Any:
    name = versioned(2)
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "production", archive_existing_versions=True)
    return [client.get_model_version(name, number).current_stage for number in ("1", "2")]


def _occupied() -> Any:
    name = versioned(2)
    client.transition_model_version_stage(name, "1", "Staging")
    client.transition_model_version_stage(name, "2", "Staging")
    return [client.get_model_version(name, number).current_stage for number in ("1", "2")]


def _latest() -> Any:
    name = versioned(3)
    client.transition_model_version_stage(name, "1", "Production")
    latest = client.get_latest_versions(name)
    held = client.get_latest_versions(name, ["Production"])
    return [sorted((v.version, v.current_stage) for v in latest), [v.version for v in held]]


def _by_stage() -> Any:
    name = versioned()
    client.transition_model_version_stage(name, "1", "Production")
    return client.get_model_version(name, "Production")


def _copied() -> Any:
    version = client.copy_model_version(f"models:/{versioned()}/1", fresh())
    return [version.version, version.current_stage, version.tags, version.status]


def _search_models() -> Any:
    name = fresh()
    for end in ("a", "b", "c"):
        client.create_registered_model(f"{name} {end}", {"end": end})
    pattern = f"name LIKE '{name} %'"
    page = client.search_registered_models(pattern, max_results=2)
    rest = client.search_registered_models(pattern, max_results=2, page_token=page.token)
    found = client.search_registered_models(
        f"{pattern} AND tags.end != 'b'", order_by=["name DESC"]
    )
    return [page, rest, rest.token, found]


def _search_versions() -> Any:
    name = versioned(3)
    page = client.search_model_versions(f"name='{name}'", 2, ["version_number ASC"])
    rest = client.search_model_versions(
        f"name='{name}'", 2, ["version_number ASC"], page_token=page.token
    )
    return [page, rest, rest.token]


def _search_stage() -> Any:
    name = versioned(2)
    client.transition_model_version_stage(name, "2", "Production")
    return client.search_model_versions(f"name='{name}' and current_stage='Production'")


def _search_logged() -> Any:
    owner = experiment()
    for name in ("one", "two", "three"):
        model = client.create_logged_model(owner, name=name, params={"size": name})
    client.finalize_logged_model(model.model_id, "READY")
    order = [{"field_name": "name", "ascending": False}]
    page = client.search_logged_models([owner], max_results=2, order_by=order)
    rest = client.search_logged_models(
        [owner], max_results=2, order_by=order, page_token=page.token
    )
    found = client.search_logged_models([owner], "params.size = 'two'")
    return [[model.name for model in models] for models in (page, rest, found)]


def _upload(model_id: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.txt")
        file.write_text("hello", encoding="utf-8")
        client.log_model_artifact(model_id, str(file))


def _upload_folder(model_id: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sub").mkdir()
        Path(folder, "sub", "a.txt").write_text("hello", encoding="utf-8")
        client.log_model_artifacts(model_id, folder)


def _files(do: Callable[[str], Any], path: str | None = None) -> Any:
    model_id = logged()
    do(model_id)
    listed = client.list_logged_model_artifacts(model_id, path)
    return sorted([item.path, item.is_dir] for item in listed)


PROBES: Mapping[str, tuple[Probe, ...]] = {
    "MlflowClient.create_logged_model": (
        lambda: client.create_logged_model(
            experiment(), "m", None, {"a": "1"}, {"depth": "3"}, "forest"
        ),
        lambda: client.create_logged_model(experiment(), "a/b"),
        lambda: client.create_logged_model("987654", "m"),
    ),
    "MlflowClient.finalize_logged_model": (
        lambda: client.finalize_logged_model(logged(), "READY"),
        lambda: client.finalize_logged_model(logged(), "FAILED"),
    ),
    "MlflowClient.get_logged_model": (
        lambda: client.get_logged_model(logged()),
        lambda: client.get_logged_model("m-" + "0" * 32),
    ),
    "MlflowClient.delete_logged_model": (lambda: _gone_logged(logged()),),
    "MlflowClient.set_logged_model_tags": (
        lambda: _logged_after(lambda m: client.set_logged_model_tags(m, {"a": "1"})),
    ),
    "MlflowClient.delete_logged_model_tag": (
        lambda: _logged_after(_tagged_logged),
        lambda: client.delete_logged_model_tag(logged(), "nothing"),
    ),
    "MlflowClient.log_model_params": (
        lambda: _logged_after(lambda m: client.log_model_params(m, {"depth": "3"})),
    ),
    "MlflowClient.search_logged_models": (_search_logged,),
    "MlflowClient.log_model_artifact": (lambda: _files(_upload),),
    "MlflowClient.log_model_artifacts": (lambda: _files(_upload_folder),),
    "MlflowClient.list_logged_model_artifacts": (
        lambda: _files(_upload_folder, "sub"),
        lambda: _files(_upload_folder, "nowhere"),
    ),
    "MlflowClient.create_registered_model": (
        lambda: client.create_registered_model(fresh(), {"a": "1"}, "d"),
        _taken,
        lambda: client.create_registered_model("a/b"),
    ),
    "MlflowClient.get_registered_model": (
        lambda: client.get_registered_model(versioned()),
        lambda: client.get_registered_model("nowhere"),
    ),
    "MlflowClient.rename_registered_model": (
        _renamed,
        lambda: client.rename_registered_model("nowhere", "x"),
    ),
    "MlflowClient.update_registered_model": (
        lambda: client.update_registered_model(registered(), "changed"),
    ),
    "MlflowClient.delete_registered_model": (
        lambda: _gone(versioned()),
        lambda: client.delete_registered_model("nowhere"),
    ),
    "MlflowClient.search_registered_models": (_search_models,),
    "MlflowClient.set_registered_model_tag": (
        lambda: _model_after(lambda name: client.set_registered_model_tag(name, "a", "1")),
    ),
    "MlflowClient.delete_registered_model_tag": (
        lambda: _model_after(_tagged_model),
        lambda: client.delete_registered_model_tag(registered(), "nothing"),
    ),
    "MlflowClient.create_model_version": (
        lambda: client.create_model_version(
            registered(), _SOURCE, None, {"a": "1"}, "http://here", "d"
        ),
        lambda: client.create_model_version("nowhere", _SOURCE),
    ),
    "MlflowClient.get_model_version": (
        lambda: client.get_model_version(versioned(), 1),
        lambda: client.get_model_version(versioned(), "9"),
        _by_stage,
    ),
    "MlflowClient.get_latest_versions": (_latest, lambda: client.get_latest_versions("nowhere")),
    "MlflowClient.get_model_version_download_uri": (
        lambda: client.get_model_version_download_uri(versioned(), "1"),
        lambda: client.get_model_version_download_uri(versioned(), "9"),
    ),
    "MlflowClient.get_model_version_stages": (
        lambda: client.get_model_version_stages(versioned(), "1"),
    ),
    "MlflowClient.get_model_version_by_alias": (
        lambda: _by_alias(versioned()),
        lambda: client.get_model_version_by_alias(versioned(), "nothing"),
    ),
    "MlflowClient.update_model_version": (
        lambda: client.update_model_version(versioned(), "1", "changed"),
    ),
    "MlflowClient.transition_model_version_stage": (
        _promoted,
        _occupied,
        lambda: client.transition_model_version_stage(versioned(), "1", "Nope"),
    ),
    "MlflowClient.delete_model_version": (
        lambda: _gone_version(versioned()),
        lambda: client.delete_model_version(versioned(), "9"),
    ),
    "MlflowClient.search_model_versions": (_search_versions, _search_stage),
    "MlflowClient.set_model_version_tag": (
        lambda: _version_after(lambda name: client.set_model_version_tag(name, "1", "a", "1")),
    ),
    "MlflowClient.delete_model_version_tag": (lambda: _version_after(_tagged_version),),
    "MlflowClient.set_registered_model_alias": (
        lambda: _version_after(lambda name: client.set_registered_model_alias(name, "best", "1")),
        lambda: client.set_registered_model_alias(versioned(), "latest", "1"),
        lambda: client.set_registered_model_alias(versioned(), "best", "9"),
    ),
    "MlflowClient.delete_registered_model_alias": (lambda: _version_after(_alias_gone),),
    "MlflowClient.copy_model_version": (_copied,),
}
