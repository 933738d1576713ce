"""The whole content of a server, read by MLflow's REST API, as one document to compare."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

_VOLATILE = {"artifact_location", "artifact_uri", "etag", "run_uuid", "workspace"}
_OURS = {
    "deletion_protection",
    "digest",
    "experiment_id",
    "has_model",
    "revision",
    "unverified_reason",
    "verified",
}


class Snapshot:
    """Reads a server without using the code under test."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def experiments(self) -> dict[str, Document]:
        """Return experiments by name, each with its runs and logged models by theirs."""
        body = {"view_type": "ALL", "max_results": 100}
        found = {}
        for item in self._pages("experiments/search", body, "experiments"):
            experiment_id = item["experiment_id"]
            document = _plain(item)
            runs = {"experiment_ids": [experiment_id], "run_view_type": "ALL"}
            document["runs"] = {
                run["info"]["run_name"]: self._run(run)
                for run in self._pages("runs/search", runs, "runs")
            }
            models = {"experiment_ids": [experiment_id]}
            document["models"] = {
                model["info"]["name"]: self._model(model)
                for model in self._pages("logged-models/search", models, "models")
            }
            found[item["name"]] = document
        return found

    def registered_models(self) -> dict[str, Document]:
        """Return registered models by name, each with its versions by number."""
        found = {}
        for item in self._pages("registered-models/search", None, "registered_models"):
            model = self._ask("registered-models/get", {"name": item["name"]})["registered_model"]
            document = _plain(model, "latest_versions", *_OURS)
            query = urllib.parse.quote(f"name = '{item['name']}'")
            path = f"model-versions/search?filter={query}"
            document["versions"] = {
                version["version"]: _plain(version, "aliases", *_OURS)
                for version in self._pages(path, None, "model_versions")
            }
            found[item["name"]] = document
        return found

    def _run(self, run: Document) -> Document:
        run_id = run["info"]["run_id"]
        whole = self._ask("runs/get", {"run_id": run_id})["run"]
        data = whole.get("data", {})
        keys = {metric["key"] for metric in data.get("metrics", [])}
        return {
            "info": _plain(whole["info"]),
            "params": _pairs(data.get("params", [])),
            "tags": _pairs(data.get("tags", [])),
            "metrics": {key: self._history(run_id, key) for key in sorted(keys)},
            "latest": {m["key"]: (m["value"], m.get("step", 0)) for m in data.get("metrics", [])},
            "inputs": [_input(used) for used in whole.get("inputs", {}).get("dataset_inputs", [])],
            "read": [used["model_id"] for used in whole.get("inputs", {}).get("model_inputs", [])],
            "outputs": sorted(
                (made["model_id"], int(made.get("step", 0)))
                for made in whole.get("outputs", {}).get("model_outputs", [])
            ),
            "files": self._files("artifacts/list", {"run_id": run_id}, "path"),
        }

    def _history(self, run_id: str, key: str) -> list[tuple[Any, ...]]:
        path = f"metrics/get-history?run_id={run_id}&metric_key={urllib.parse.quote(key)}"
        points = self._pages(path, None, "metrics")
        return sorted(
            {(int(p["timestamp"]), int(p.get("step", 0)), str(p["value"])) for p in points}
        )

    def _model(self, model: Document) -> Document:
        whole = self._ask(f"logged-models/{model['info']['model_id']}", {})["model"]
        info = whole["info"]
        directories = f"logged-models/{info['model_id']}/artifacts/directories"
        return {
            "info": _plain(info, "tags", "registrations", "creator_id"),
            "tags": _pairs(info.get("tags", [])),
            "params": _pairs(whole.get("data", {}).get("params", [])),
            "files": self._files(directories, {}, "artifact_directory_path"),
        }

    def _files(self, route: str, query: dict[str, str], folder_key: str) -> dict[str, int]:
        found, folders = {}, [""]
        while folders:
            folder = folders.pop()
            asked = {**query, folder_key: folder} if folder else query
            for item in self._ask(route, asked).get("files", []):
                if item.get("is_dir"):
                    folders.append(item["path"])
                else:
                    found[item["path"]] = int(item.get("file_size", 0))
        return found

    def _pages(self, route: str, body: Document | None, field: str) -> Iterator[Document]:
        token = ""
        while True:
            extra = {"page_token": token} if token else {}
            try:
                page = self._ask(route, extra, None if body is None else {**body, **extra})
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 404 and field == "models":  # MLflow 2 has no logged models
                        return
                    raise
            yield from page.get(field, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _ask(self, route: str, query: dict[str, str], body: Document | None = None) -> Document:
        url = f"{self.uri}/api/2.0/mlflow/{route}"
        data, headers = None, {}
        if body is not None:
            data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        elif query:
            url += ("&" if "?" in url else "?") + urllib.parse.urlencode(query)
        request = urllib.request.Request(url, data, headers)  # noqa: S310 - a server of the test
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            found: Document = json.load(reply)
        return found


def _plain(item: Document, *without: str) -> Document:
    """Return the fields that are set; an empty field counts as unset."""
    return {
        key: _pairs(value) if key == "tags" else value
        for key, value in sorted(item.items())
        if key not in _VOLATILE and key not in without and value not in ("", 0, [], False, None)
    }


def _pairs(items: list[Document]) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in items}


def _input(used: Document) -> Document:
    return {"dataset": _plain(used["dataset"]), "tags": _pairs(used.get("tags", []))}
