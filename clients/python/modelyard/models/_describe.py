"""Describes a model by an input example: stored example and signature.

Both are conveniences. What fails is a warning with its reason, and the model is saved without it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from modelyard.exceptions import ModelyardException
from modelyard.models import _example
from modelyard.models._enforce import enforce_schema
from modelyard.models.model import Model
from modelyard.models.signature import ModelSignature, infer_signature

Predict = Callable[[Any, dict[str, Any]], Any]
"""Takes the input and the params of an example; returns the prediction."""


def describe(
    model: Model,
    folder: Path,
    example: Any,
    signature: ModelSignature | Literal[False] | None,
    predict: Predict | None,
) -> None:
    """Set signature and example of a model that is being saved.

    Args:
        model: The model, whose folder is otherwise written.
        folder: Folder of the model.
        example: Input example; None for none.
        signature: The signature; None infers one from the example, False writes none.
        predict: Prediction of the model, None if it has none; then no signature is inferred.
    """
    if isinstance(signature, ModelSignature):
        model.signature = signature
    if example is None:
        return
    with _warned("The input example is not stored"):
        model.saved_input_example_info = _example.write_example(folder, example)
    is_sound = True
    if signature is None and predict is not None:
        is_sound = _infer(model, example, predict)
    info = model.saved_input_example_info
    is_served = info is not None and "serving_input_path" in info
    if info and is_served and not (is_sound and _fits(model.signature, folder)):
        _example.keep_from_serving(folder, info)


def _infer(model: Model, example: Any, predict: Predict) -> bool:
    """Infer the signature, and return whether there is one and the model answers the example."""
    data, params = _example.split_params(example)
    with _warned("No signature is inferred from the input example"):
        model.signature = infer_signature(data, params=params)
    answers, known = False, model.signature
    with _warned("The signature has no outputs, as the model fails on the input example"):
        answered = predict(data, params)
        answers = True
    if answers and answered is not None and known is not None:
        with _warned("The signature has no outputs"):
            outputs = infer_signature(None, answered).outputs
            model.signature = ModelSignature(known.inputs, outputs, known.params)
    return answers and known is not None


def _fits(signature: ModelSignature | None, folder: Path) -> bool:
    """Whether the stored example fits the signature, read as serving reads it."""
    if signature is None or signature.inputs is None:
        return True
    with _warned("Serving does not warm up with the input example"):
        enforce_schema(_example.read_served(folder), signature.inputs)
        return True
    return False


@contextmanager
def _warned(consequence: str) -> Iterator[None]:
    try:
        yield
    except Exception as failed:  # noqa: BLE001 - also errors of the model, and of objects in the example
        ours = isinstance(failed, ModelyardException)
        reason = str(failed) if ours else f"{type(failed).__name__}: {failed}"
        warnings.warn(f"{consequence}: {reason}", stacklevel=5)
