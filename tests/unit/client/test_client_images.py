"""Images and figures as files of a run, as MLflow's client writes them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import modelyard
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter

RAMP = np.linspace(0, 1, 12).reshape(4, 3)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


def written(image: Any, tmp_path: Path) -> Any:
    """Return the pixels of an image as `log_image` writes it."""
    modelyard.Image(image).save(tmp_path / "i.png")
    return modelyard.Image(tmp_path / "i.png").to_array()


def opened(file: Path) -> tuple[tuple[int, int], str | None]:
    """Return size and format of an image file."""
    with Pillow.open(file) as image:
        return image.size, image.format


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", ">f4"])
def test_floats_from_0_to_1_are_pixels_from_0_to_255(dtype: str, tmp_path: Path) -> None:
    pixels = written(RAMP.astype(dtype), tmp_path)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - RAMP * 255).max() <= 1


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">i4"]
)
def test_integers_are_pixels_of_any_width(dtype: str, tmp_path: Path) -> None:
    given = np.array([[0, 1], [100, 127]], dtype)
    assert written(given, tmp_path).tolist() == [[0, 1], [100, 127]]


def test_bools_are_black_and_white(tmp_path: Path) -> None:
    assert written(np.array([[True, False]]), tmp_path).tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("shape", "read"), [((4, 3), (4, 3)), ((4, 3, 1), (4, 3)), ((4, 3, 3),) * 2, ((4, 3, 4),) * 2]
)
def test_an_image_is_grayscale_rgb_or_rgba(
    shape: tuple[int, ...], read: tuple[int, ...], tmp_path: Path
) -> None:
    assert written(np.full(shape, 7, np.uint8)[::-1], tmp_path).shape == read


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.array([[1j]]), "bools, integers or floats, got complex128"),
        (np.array([["a"]]), "bools, integers or floats, got <U1"),
        (np.array([[None]]), "bools, integers or floats, got object"),
        (np.zeros(3), r"shape .*, got \(3,\)"),
        (np.zeros((2, 2, 2)), r"shape .*, got \(2, 2, 2\)"),
        (np.zeros((1, 2, 2, 3)), r"shape .*, got \(1, 2, 2, 3\)"),
        (np.zeros((0, 2, 3)), r"must have pixels, got the shape \(0, 2, 3\)"),
        (np.array([[-1, 3]]), "range 0 to 255, got int64 from -1 to 3"),
        (np.array([[0, 256]], np.uint16), "range 0 to 255, got uint16 from 0 to 256"),
        (np.array([[0.5, np.nan]]), "finite pixels, got float64 with NaN"),
        (np.array([[0.5, np.inf]]), "finite pixels, got float64 with NaN or infinity"),
        ([[1], [2, 3]], "cannot be read as an array"),
        (7, "got a int"),
        (None, "got a NoneType"),
    ],
)
def test_another_array_is_refused_with_its_type_shape_or_range(image: Any, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        modelyard.Image(image)


@pytest.mark.parametrize("given", [np.array([[-1.0, 0.0, 3.0]]), np.array([[7.0, 7.0, 7.0]])])
def test_other_floats_are_scaled_with_a_warning(given: Any, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"are from .* to .*, not from 0 to 1"):
        pixels = written(given, tmp_path)
    assert pixels.tolist() in ([[0, 63, 255]], [[0, 0, 0]])


def test_an_image_is_written_to_a_file(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_image(run_id, RAMP, "plots/a.png")
    client.log_image(run_id, Pillow.new("RGB", (3, 2), (255, 0, 0)), "b.bmp")
    client.log_image(run_id, modelyard.Image(RAMP.tolist()).resize((6, 8)), artifact_file="c.webp")
    root = Path(client.download_artifacts(run_id, dst_path=tmp_path))
    assert [opened(root / name) for name in ("plots/a.png", "b.bmp", "c.webp")] == [
        ((3, 4), "PNG"),
        ((3, 2), "BMP"),
        ((6, 8), "WEBP"),
    ]


def test_an_image_is_loaded_by_its_uri(client: MlflowClient, run_id: str) -> None:
    client.log_image(run_id, RAMP, "plots/a.png")
    client.log_text(run_id, "text", "a.txt")
    loaded = modelyard.artifacts.load_image(f"runs:/{run_id}/plots/a.png")
    assert (loaded.size, loaded.mode) == ((3, 4), "L")
    with pytest.raises(InvalidParameter, match=r"a\.txt' cannot be loaded as an image"):
        modelyard.artifacts.load_image(f"runs:/{run_id}/a.txt")


def test_images_of_a_series_are_stored_where_mlflows_page_looks(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.log_image(run_id, np.zeros((10, 1000, 3)), key="dogs/val", step=3, timestamp=1234)
    client.log_image(run_id, Pillow.new("L", (600, 300)), key="dogs/val")
    names = sorted(Path(file.path).name for file in client.list_artifacts(run_id, "images"))
    form = r"dogs~val\+step\+(\d+)\+timestamp\+(\d+)\+[0-9a-f-]{36}(\.png|\+compressed\.webp)"
    found = [re.fullmatch(form, name) for name in names]
    assert [match and match[1] for match in found] == ["0", "0", "3", "3"]
    assert {match[2] for match in found[2:] if match} == {"1234"}
    root = Path(client.download_artifacts(run_id, "images", tmp_path))
    assert [opened(root / name) for name in names if name.endswith(".webp")] == [
        ((256, 128), "WEBP"),
        ((256, 2), "WEBP"),
    ]
    assert client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "needs either artifact_file, or key"),
        ({"artifact_file": "a.png", "key": "k"}, "needs either artifact_file, or key"),
        ({"artifact_file": "a.png", "step": 1}, "needs either artifact_file, or key"),
        ({"step": 1}, "needs either artifact_file, or key"),
        ({"key": "käse"}, "Invalid key 'käse' of an image"),
        ({"key": "a\n"}, "Invalid key"),
        ({"key": "a", "step": 1.5}, "argument 'step' of log_image: expected a whole number"),
        (
            {"artifact_file": "noformat"},
            "mode L cannot be written as 'noformat': expected a suffix",
        ),
        ({"artifact_file": "a.xyz"}, "mode L cannot be written as 'a.xyz'"),
    ],
)
def test_an_image_without_a_right_place_is_refused_whole(
    client: MlflowClient, run_id: str, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameter, match=told):
        client.log_image(run_id, RAMP, **arguments)
    assert client.list_artifacts(run_id) == []


def test_a_mode_that_a_format_cannot_hold_is_named(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(InvalidParameter, match=r"mode F cannot be written as '.*\.png'.*convert"):
        client.log_image(run_id, Pillow.new("F", (2, 2)), key="depth")
    with pytest.raises(InvalidParameter, match=r"mode RGBA cannot be written as 'a\.jpg'"):
        client.log_image(run_id, np.zeros((2, 2, 4)), "a.jpg")
    assert client.list_artifacts(run_id) == []


def test_an_image_has_mlflows_methods(tmp_path: Path) -> None:
    image = modelyard.Image(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert image.to_list() == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    image.save(tmp_path / "i.png")
    again = modelyard.Image(str(tmp_path / "i.png"))
    assert (again.to_array() == image.to_array()).all()
    assert (again.size, again.to_pil().mode) == ((2, 2), "RGB")
    (tmp_path / "no.png").write_text("text")
    with pytest.raises(InvalidParameter, match="is not an image that can be read"):
        modelyard.Image(tmp_path / "no.png")


class Figure:
    """A figure as of matplotlib, which refuses unknown formats and adds a missing suffix."""

    def savefig(self, file: Path, **options: Any) -> None:
        kind = options.get("format", file.suffix.removeprefix("."))
        if kind not in {"png", "pdf"}:
            raise ValueError(f"Format {kind!r} is not supported")
        file.write_text("figure")


@pytest.mark.parametrize("file", ["loss", "plots/loss", ".png", "loss."])
def test_a_figure_needs_a_suffix(client: MlflowClient, run_id: str, file: str) -> None:
    with pytest.raises(InvalidParameter, match="a figure needs a suffix that names its format"):
        client.log_figure(run_id, Figure(), file)
    assert client.list_artifacts(run_id) == []


def test_a_format_that_a_figure_does_not_have_is_refused(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(InvalidParameter, match=r"cannot be written as 'a\.xyz': Format 'xyz'"):
        client.log_figure(run_id, Figure(), "a.xyz")
    client.log_figure(run_id, Figure(), "loss", save_kwargs={"format": "pdf"})
    assert [file.path for file in client.list_artifacts(run_id)] == ["loss"]


def test_images_need_pillow_only_when_they_are_arrays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert modelyard.Image(Pillow.new("1", (1, 1))).to_list() == [False]
