"""Images, from arrays as MLflow's client takes them."""

from __future__ import annotations

import re
import uuid
import warnings
from pathlib import Path
from typing import Any

from modelyard.exceptions import InvalidParameter

_PREVIEW_PIXELS = 256
_KEY = re.compile(r"[a-zA-Z0-9_\-./ ]+")
_KINDS = "biuf"
_CHANNELS = (1, 3, 4)
_MAX_BYTE = 255


class Image:
    """An image for `log_image`.

    Args:
        image: A Pillow image, the path of an image file, or an array or list as for `log_image`.

    Attributes:
        image: The Pillow image.
        size: Width and height in pixels.

    Raises:
        InvalidParameter: `image` is none of these, or the file is not an image.
    """

    def __init__(self, image: Any) -> None:
        if isinstance(image, str | Path):
            self.image = _opened(image)
        else:
            self.image = pillow_image(_array(image) if isinstance(image, list) else image)
        self.size: tuple[int, int] = self.image.size

    def to_list(self) -> list[Any]:
        """Return the pixels, row by row: a number each, or a tuple of one number per channel."""
        pixels = self.to_array().reshape(self.size[0] * self.size[1], -1)
        return [row[0] if len(row) == 1 else tuple(row) for row in pixels.tolist()]

    def to_array(self) -> Any:
        """Return the pixels as an array of shape (height, width[, channels])."""
        return _array(self.image)

    def to_pil(self) -> Any:
        """Return the Pillow image."""
        return self.image

    def save(self, path: str | Path) -> None:
        """Write the image to a file, in the format of its suffix."""
        save(self.image, Path(path))

    def resize(self, size: tuple[int, int]) -> Image:
        """Return a copy of another width and height."""
        return Image(self.image.resize(size))


def pillow_image(image: Any) -> Any:
    """Return an image as something that has Pillow's `save`.

    Args:
        image: A Pillow image, an `Image`, or an array or tensor of shape (height, width) or
            (height, width, 1, 3 or 4): bools, integers of 0 to 255, or floats of 0 to 1.

    Raises:
        InvalidParameter: The image is none of these; names its type, shape or range.
    """
    if hasattr(image, "to_pil"):
        return image.to_pil()
    if hasattr(image, "save"):
        return image
    if not hasattr(image, "__array__"):
        raise InvalidParameter(
            f"Expected a Pillow image, a modelyard.Image or an array, got a {type(image).__name__}."
        )
    pixels = _pixels(_array(image))
    return _pillow().fromarray(pixels)


def save(image: Any, file: Path) -> None:
    """Write an image in the format of the file's suffix.

    Raises:
        InvalidParameter: The format is unknown, or cannot hold this image.
    """
    try:
        image.save(file)
    except (ValueError, OSError, KeyError) as refused:
        mode = getattr(image, "mode", "unknown")
        raise InvalidParameter(
            f"The image of mode {mode} cannot be written as '{file.name}': expected a suffix that "
            "names an image format, such as .png, which holds the modes 1, L, LA, P, RGB and RGBA "
            "(image.convert('RGB') changes the mode)."
        ) from refused


def preview(image: Any) -> Any:
    """Return a copy scaled to 256 pixels on its longer side, for pages with many images."""
    if not hasattr(image, "resize"):
        raise InvalidParameter(f"Expected a Pillow image or an array, got {type(image).__name__}.")
    scale = _PREVIEW_PIXELS / max(image.size)
    width, height = (max(1, int(side * scale)) for side in image.size)
    return image.resize((width, height))


def path_of_step(key: str, step: int, timestamp_ms: int) -> str:
    """Return the path, without suffix, of an image of a series, as MLflow's pages expect it.

    Raises:
        InvalidParameter: The key has other characters than MLflow allows.
    """
    if not _KEY.fullmatch(key):
        raise InvalidParameter(
            f"Invalid key '{key}' of an image: expected letters of ASCII, digits and any of "
            "`_ - . /` and space."
        )
    name = key.replace("/", "~")
    return f"images/{name}+step+{step}+timestamp+{timestamp_ms}+{uuid.uuid4()}"


def _pixels(array: Any) -> Any:
    """Return an array as bytes 0 to 255; grayscale has two dimensions."""
    import numpy as np

    if array.dtype.kind not in _KINDS:
        raise InvalidParameter(
            f"An image must be an array of bools, integers or floats, got {array.dtype}."
        )
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS)):  # noqa: PLR2004 - height, width, channels
        raise InvalidParameter(
            "An image must have the shape (height, width) or (height, width, 1, 3 or 4 channels), "
            f"got {array.shape}."
        )
    if not array.size:
        raise InvalidParameter(f"An image must have pixels, got the shape {array.shape}.")
    array = array[:, :, 0] if array.shape[2:] == (1,) else array
    scaled = array if array.dtype.kind in "iu" else _scaled(array)
    low, high = scaled.min(), scaled.max()
    if low < 0 or high > _MAX_BYTE:
        raise InvalidParameter(
            f"An image of integers must be in the range 0 to 255, got {array.dtype} from {low} to "
            f"{high}."
        )
    return np.ascontiguousarray(scaled.astype(np.uint8))


def _scaled(array: Any) -> Any:
    """Return bools, or floats of 0 to 1, as numbers of 0 to 255."""
    import numpy as np

    if array.dtype.kind == "b":
        return array * np.uint8(_MAX_BYTE)
    if not np.isfinite(array).all():
        raise InvalidParameter(
            f"An image must have finite pixels, got {array.dtype} with NaN or infinity."
        )
    low, high = array.min(), array.max()
    if low >= 0 and high <= 1:
        return array * _MAX_BYTE
    warnings.warn(
        f"The pixels of the image are from {low} to {high}, not from 0 to 1; they are scaled to "
        "that range.",
        stacklevel=2,
    )
    wide = array.astype(np.float64)
    spread = wide.max() - wide.min()
    return (wide - wide.min()) / (spread or 1.0) * _MAX_BYTE


def _array(image: Any) -> Any:
    import numpy as np

    try:
        return np.asarray(image)
    except Exception as refused:  # tensors raise errors of their own
        raise InvalidParameter(
            f"A {type(image).__name__} cannot be read as an array: {refused}"
        ) from refused


def _opened(path: str | Path) -> Any:
    image = _pillow()
    try:
        with image.open(path) as opened:
            return opened.copy()
    except (OSError, ValueError, SyntaxError) as refused:
        raise InvalidParameter(f"'{path}' is not an image that can be read.") from refused


def _pillow() -> Any:
    try:
        from PIL import Image as pillow  # noqa: N813 - the module's functions, not a class
    except ModuleNotFoundError:
        raise InvalidParameter("Images of arrays need Pillow: pip install pillow") from None
    return pillow
