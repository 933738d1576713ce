"""Estimators made of others, which they call through public methods that check their input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    dtype,
    either,
    estimator,
    floats,
    labels,
    mapping,
    number,
    numbers,
    one_of,
    optional,
    part,
    plain,
    row,
    sequence,
    text,
    whole,
    wholes,
)
from modelyard.sklearn._checked._losses import SCORER
from modelyard.sklearn._checked._parts import holds, plain_attributes
from modelyard.sklearn._checked._preprocessing import NUMPY_FUNCTION

_MAYBE = optional(estimator)
_STEP = either(one_of("passthrough", "drop", None), estimator)
_NAMED = sequence(row(text, _STEP))
_REMAINDER = part("sklearn.compose._RemainderColsList")
_COLUMNS = either(plain, _REMAINDER)
_CLASSES = either(labels("classes"), sequence(labels(None)))
_ENCODER = part("sklearn.preprocessing.LabelEncoder")
_LABELS = either(_ENCODER, sequence(_ENCODER))
_SELECTOR = part("sklearn.compose.make_column_selector")
_CALIBRATOR = part(
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.isotonic.IsotonicRegression",
)
_MEMBERS: Mapping[str, Kind] = {"classes_": _CLASSES, "estimators_": sequence(estimator, "members")}
# How a search went; nothing that predicts reads it.
_NOTES: Mapping[str, Kind] = dict.fromkeys(
    (
        "best_index_",
        "best_params_",
        "best_score_",
        "cv_results_",
        "max_resources_",
        "min_resources_",
        "multimetric_",
        "n_candidates_",
        "n_iterations_",
        "n_possible_iterations_",
        "n_remaining_candidates_",
        "n_required_iterations_",
        "n_resources_",
        "n_splits_",
        "refit_time_",
        "_n_samples_orig",
        "best_threshold_",
    ),
    plain,
)


def _element_type(value: Any, owner: Owner) -> None:
    """Accept a type of elements, or an abstract one such as `numpy.number`."""
    if value is not np.number:
        dtype(value, owner)


_ELEMENTS = optional(either(_element_type, text, sequence(either(_element_type, text))))


def _choices(value: Any, owner: Owner) -> None:
    """Accept what a search tried: plain data and estimators, in lists and dicts."""
    if type(value) in {list, tuple}:
        for element in value:
            _choices(element, owner)
    elif type(value) is dict:
        mapping(text, _choices)(value, owner)
    else:
        either(plain, estimator)(value, owner)


def _candidates(value: Any, owner: Owner) -> None:
    """Accept the column of a table of results that holds estimators."""
    if type(value) is not np.ma.MaskedArray or value.dtype != object:
        raise Contradiction(f"is a {type(value).__name__}, not a column of results")
    for element in np.ma.getdata(value).flat:
        _choices(element, owner)


def _code(owner: Owner) -> None:
    owner.require("code_book_", "estimators_")


_BAGGING = Entry(
    always={"estimator_params": sequence(text)},
    parameters={"estimator": either(_MAYBE, one_of("deprecated"))},
    fitted={
        "classes_": labels("classes"),
        "n_classes_": whole(1),
        "estimator_": estimator,
        "estimators_": sequence(estimator, "members"),
        "estimators_features_": sequence(wholes(None, low=0, below="features"), "members"),
        "_n_samples": number,
        "_max_samples": number,
        "_max_features": whole(1),
        "_sample_weight": optional(numbers(None)),
        "_seeds": plain,
        "oob_score_": number,
        "oob_prediction_": plain,
        "oob_decision_function_": plain,
    },
)
_ADABOOST = Entry(
    always={"estimator_params": sequence(text), "algorithm": text},
    fitted={
        "classes_": labels("classes"),
        "n_classes_": whole(1),
        "estimator_": estimator,
        "estimators_": sequence(estimator),
        "estimator_weights_": floats(None),
        "estimator_errors_": floats(None),
    },
)
_VOTING = Entry(
    parameters={"estimators": _NAMED},
    fitted={
        "classes_": _CLASSES,
        "estimators_": sequence(_STEP),
        "named_estimators_": mapping(text, _STEP),
        "le_": _LABELS,
    },
    width=False,
)
_STACKING = Entry(
    always={"stack_method": text},
    parameters={"estimators": _NAMED, "final_estimator": _MAYBE},
    fitted={
        "classes_": _CLASSES,
        "estimators_": sequence(_STEP),
        "named_estimators_": mapping(text, _STEP),
        "final_estimator_": estimator,
        "stack_method_": sequence(text),
        "_label_encoder": _LABELS,
        "_n_feature_outs": plain,
    },
    width=False,
)
_SCORING = either(plain, SCORER, mapping(text, SCORER))
_SEARCH = Entry(
    always={"pre_dispatch": plain},
    parameters={
        "refit": either(boolean, text),
        "scoring": _SCORING,
        "param_grid": _choices,
        "param_distributions": _choices,
    },
    fitted={
        **_NOTES,
        "best_params_": _choices,
        "cv_results_": mapping(text, either(plain, _choices, _candidates)),
        "_checked_cv_orig": part(
            "sklearn.model_selection.KFold", "sklearn.model_selection.StratifiedKFold"
        ),
        "best_estimator_": estimator,
        "scorer_": either(SCORER, mapping(text, SCORER)),
    },
    width=False,
)
_THRESHOLD = Entry(
    parameters={"scoring": _SCORING},
    fitted={
        **_NOTES,
        "estimator_": estimator,
        "_curve_scorer": part("sklearn.metrics._CurveScorer"),
        "_decision_threshold": number,
    },
    width=False,
)

TABLE: Table = {
    "sklearn.pipeline.Pipeline": Entry(parameters={"steps": _NAMED}, fitted={}, width=False),
    "sklearn.pipeline.FeatureUnion": Entry(
        parameters={"transformer_list": _NAMED}, fitted={}, width=False
    ),
    "sklearn.compose.ColumnTransformer": Entry(
        parameters={
            "transformers": sequence(row(text, _STEP, either(plain, _SELECTOR))),
            "remainder": _STEP,
        },
        fitted={
            "_columns": sequence(plain),
            "_transformer_to_input_indices": mapping(text, plain),
            "_remainder": row(text, _STEP, _COLUMNS),
            "sparse_output_": boolean,
            "transformers_": sequence(row(text, _STEP, _COLUMNS)),
            "output_indices_": mapping(text, plain),
            "_name_to_fitted_passthrough": mapping(text, estimator),
            "_transformers_feature_names_out": labels(None),
            "_n_features": whole(1),
        },
    ),
    "sklearn.compose._RemainderColsList": plain_attributes,
    # It chose columns while fitting, by name and type.
    "sklearn.compose.make_column_selector": holds(
        pattern=optional(text),
        dtype_include=_ELEMENTS,
        dtype_exclude=_ELEMENTS,
    ),
    "sklearn.compose.TransformedTargetRegressor": Entry(
        parameters={"func": NUMPY_FUNCTION, "inverse_func": NUMPY_FUNCTION},
        fitted={"_training_dim": whole(1), "transformer_": estimator, "regressor_": estimator},
        width=False,
    ),
    "sklearn.ensemble.BaggingClassifier": _BAGGING,
    "sklearn.ensemble.BaggingRegressor": _BAGGING,
    "sklearn.ensemble.AdaBoostClassifier": _ADABOOST,
    "sklearn.ensemble.AdaBoostRegressor": _ADABOOST,
    "sklearn.ensemble.VotingClassifier": _VOTING,
    "sklearn.ensemble.VotingRegressor": _VOTING,
    "sklearn.ensemble.StackingClassifier": _STACKING,
    "sklearn.ensemble.StackingRegressor": _STACKING,
    "sklearn.multiclass.OneVsOneClassifier": Entry(
        fitted={**_MEMBERS, "pairwise_indices_": optional(sequence(wholes(None, low=0)))}
    ),
    "sklearn.multiclass.OneVsRestClassifier": Entry(
        fitted={**_MEMBERS, "label_binarizer_": part("sklearn.preprocessing.LabelBinarizer")},
        width=False,
    ),
    # Distances to the code book are computed by compiled code, for as many columns as members.
    "sklearn.multiclass.OutputCodeClassifier": Entry(
        fitted={**_MEMBERS, "code_book_": floats("classes", "members")}, further=_code, width=False
    ),
    "sklearn.multioutput.ClassifierChain": Entry(
        fitted={**_MEMBERS, "order_": plain, "chain_method_": text}
    ),
    "sklearn.multioutput.RegressorChain": Entry(fitted={**_MEMBERS, "order_": plain}),
    "sklearn.multioutput.MultiOutputClassifier": Entry(fitted=_MEMBERS, width=False),
    "sklearn.multioutput.MultiOutputRegressor": Entry(fitted=_MEMBERS, width=False),
    "sklearn.calibration.CalibratedClassifierCV": Entry(
        parameters={"estimator": either(_MAYBE, one_of("deprecated"))},
        fitted={
            "classes_": labels("classes"),
            "calibrated_classifiers_": sequence(part("sklearn.calibration._CalibratedClassifier")),
        },
        width=False,
    ),
    "sklearn.calibration._CalibratedClassifier": holds(
        estimator=estimator,
        calibrators=sequence(_CALIBRATOR),
        classes=labels(None),
        method=text,
    ),
    "sklearn.calibration._SigmoidCalibration": Entry(
        fitted={"a_": number, "b_": number}, width=False
    ),
    "sklearn.calibration._TemperatureScaling": Entry(fitted={"beta_": number}, width=False),
    "sklearn.multiclass._ConstantPredictor": Entry(fitted={"y_": numbers(1)}, width=False),
    **{
        f"sklearn.model_selection.{name}": _SEARCH
        for name in (
            "GridSearchCV",
            "HalvingGridSearchCV",
            "HalvingRandomSearchCV",
            "RandomizedSearchCV",
        )
    },
    **{
        f"sklearn.model_selection.{name}": _THRESHOLD
        for name in (
            "FixedThresholdClassifier",
            "TunedThresholdClassifierCV",
        )
    },
    "sklearn.frozen.FrozenEstimator": Entry(fitted={}, width=False),
}
