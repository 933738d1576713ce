"""Files of runs, uploaded and downloaded."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import matplotlib as mpl  # type: ignore[import-not-found]
import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from PIL import Image
from tests.compat.clients.refusals import refused

mpl.use("agg")
from matplotlib import pyplot as plt


def _paths(run_id: str, path: str | None = None) -> list[str]:
    return sorted(found.path for found in MlflowClient().list_artifacts(run_id, path))


def a_file_and_a_folder_go_up_and_come_down() -> None:
    client = MlflowClient()
    folder = Path(tempfile.mkdtemp())
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "top.txt").write_text("top", encoding="utf-8")
    (folder / "empty").touch()
    (folder / "deep" / "er" / "ünï côde.bin").write_bytes(bytes(range(256)) * 4096)
    run_id = mlflow.start_run().info.run_id
    mlflow.log_artifact(str(folder / "top.txt"))
    mlflow.log_artifact(str(folder / "top.txt"), "in/here")
    mlflow.log_artifacts(str(folder), "whole")
    assert _paths(run_id) == ["in", "top.txt", "whole"]
    assert _paths(run_id, "whole") == ["whole/deep", "whole/empty", "whole/top.txt"]
    assert _paths(run_id, "nothing/here") == []
    (top,) = (found for found in client.list_artifacts(run_id) if found.path == "top.txt")
    assert (top.is_dir, top.file_size) == (False, 3)
    down = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="whole"))
    same = {
        str(path.relative_to(folder)): path.read_bytes()
        == (down / path.relative_to(folder)).read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert same == {"top.txt": True, "empty": True, "deep/er/ünï côde.bin": True}
    everything = Path(client.download_artifacts(run_id, "", tempfile.mkdtemp()))
    assert (everything / "in" / "here" / "top.txt").read_text(encoding="utf-8") == "top"
    uri = mlflow.get_artifact_uri("top.txt")
    assert Path(mlflow.artifacts.download_artifacts(uri)).read_text(encoding="utf-8") == "top"
    by_run = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/in/here/top.txt")
    assert Path(by_run).read_text(encoding="utf-8") == "top"
    assert len(mlflow.artifacts.list_artifacts(f"runs:/{run_id}/whole")) == 3


def a_file_logged_again_is_replaced() -> None:
    run_id = mlflow.start_run().info.run_id
    for text in ("first", "second, and longer", ""):
        mlflow.log_text(text, "note.txt")
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/note.txt") == text
    assert _paths(run_id) == ["note.txt"]


def values_are_written_in_their_form() -> None:
    run_id = mlflow.start_run().info.run_id
    mlflow.log_text("<b>bold</b>", "text/page.html")
    mlflow.log_dict({"a": [1, 2]}, "dict.json")
    mlflow.log_dict({"a": [1, 2]}, "dict.yml")
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    mlflow.log_figure(figure, "figures/line.png")
    mlflow.log_image(np.full((4, 5, 3), 255, dtype=np.uint8), "images/white.png")
    mlflow.log_image(Image.new("RGB", (3, 2), (255, 0, 0)), key="steps", step=1)
    mlflow.flush_artifact_async_logging()
    base = f"runs:/{run_id}"
    assert mlflow.artifacts.load_text(f"{base}/text/page.html") == "<b>bold</b>"
    assert mlflow.artifacts.load_dict(f"{base}/dict.json") == {"a": [1, 2]}
    with Path(mlflow.artifacts.download_artifacts(f"{base}/dict.yml")).open() as file:
        assert file.read() == "a:\n- 1\n- 2\n"
    assert mlflow.artifacts.load_image(f"{base}/images/white.png").size == (5, 4)
    assert mlflow.artifacts.load_image(f"{base}/figures/line.png").format == "PNG"
    steps = [path for path in _paths(run_id, "images") if "steps" in path]
    assert len(steps) == 2, steps


def a_table_grows_and_is_loaded() -> None:
    info = mlflow.start_run().info
    run_id = info.run_id
    mlflow.log_table({"question": ["a", "b"], "answer": [1, 2]}, "table.json")
    mlflow.log_table(pd.DataFrame({"question": ["c"], "answer": [3]}), "table.json")
    table = mlflow.load_table("table.json", run_ids=[run_id], extra_columns=["run_id"])
    assert list(table["question"]) == ["a", "b", "c"]
    assert list(table["answer"]) == [1, 2, 3]
    assert set(table["run_id"]) == {run_id}
    assert len(MlflowClient().load_table(info.experiment_id, "table.json")) == 3
    tagged = json.loads(mlflow.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    assert [entry["path"] for entry in tagged] == ["table.json"]


def what_is_not_there_is_refused_with_its_name() -> None:
    run_id = mlflow.start_run().info.run_id
    mlflow.log_text("x", "there.txt")
    try:
        mlflow.artifacts.load_text(f"runs:/{run_id}/missing.txt")
    except Exception as error:  # noqa: BLE001 - the client's versions raise different kinds
        assert "missing.txt" in str(error)  # noqa: PT017 - no pytest in this environment
    else:
        raise AssertionError("a missing file was read")
    refused(lambda: MlflowClient().list_artifacts("0" * 32))
