"""Preprocessing: numpy's arithmetic on columns, and encoders that make indices of columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    booleans,
    dtype,
    either,
    floats,
    function,
    labels,
    mapping,
    none,
    number,
    numbers,
    one_of,
    optional,
    part,
    sequence,
    text,
    whole,
    wholes,
)

_SEEN: Mapping[str, Kind] = {"n_samples_seen_": either(number, numbers("features"))}
_COLUMN = optional(floats("features"))
_LARGEST_DEGREE = 64
_ELEMENTS = {"b1", "f4", "f8", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8))}
NUMPY_FUNCTION = optional(
    function(
        *(
            f"numpy.{name}"
            for name in (
                *("abs", "absolute", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2"),
                *("cbrt", "sqrt", "square", "sin", "cos", "tan", "sign", "reciprocal"),
            )
        )
    )
)


def element_type(value: Any, owner: Owner) -> None:
    """Accept the type of a sparse matrix's elements, which SciPy can multiply."""
    dtype(value, owner)
    elements = np.dtype(value)
    if not elements.isnative or f"{elements.kind}{elements.itemsize}" not in _ELEMENTS:
        raise Contradiction("is not a type of numbers that a sparse matrix can hold")


def arrays(kind: Kind, length: str) -> Kind:
    """Accept an array of `length` objects of `kind`."""

    def check(value: Any, owner: Owner) -> None:
        if type(value) is not np.ndarray or value.dtype != object or value.ndim != 1:
            raise Contradiction("is not a row of arrays")
        sequence(kind, length)(list(value), owner)

    return check


def _category_list(value: Any, owner: Owner) -> None:
    """Accept the categories of a column; codes of numbers are found by bisection."""
    labels(None)(value, owner)
    if value.dtype.kind in "biuf" and not np.array_equal(
        np.sort(value), value, equal_nan=value.dtype.kind == "f"
    ):
        raise Contradiction("has categories that are not in order")


def _distinct(value: Any, owner: Owner) -> None:
    """Accept classes that differ: each is a column, and as many columns are made as differ."""
    labels(None)(value, owner)
    if len(dict.fromkeys(value)) != len(value):
        raise Contradiction("has a class twice")


_CATEGORIES: Mapping[str, Kind] = {
    "categories_": sequence(_category_list, "features"),
    "_infrequent_enabled": boolean,
    "_infrequent_indices": sequence(optional(wholes(None, low=0)), "features"),
    "_default_to_infrequent_mappings": sequence(optional(wholes(None, low=0)), "features"),
}


def _codes(owner: Owner) -> list[int]:
    """Return the number of codes of each column, once its infrequent categories are one."""
    found = owner.attributes
    owner.require("categories_", "_infrequent_enabled")
    sizes = [len(column) for column in found["categories_"]]
    if not found["_infrequent_enabled"]:
        return sizes
    owner.require("_infrequent_indices", "_default_to_infrequent_mappings")
    infrequent, mappings = found["_infrequent_indices"], found["_default_to_infrequent_mappings"]
    for column, size in enumerate(sizes):
        rare, new = infrequent[column], mappings[column]
        if (rare is None) != (new is None):
            raise Contradiction("groups categories of a column without saying which")
        if new is None:
            continue
        if len(new) != size or not len(new) or not len(rare) or rare.max() >= size:
            raise Contradiction("groups categories that a column does not have")
        sizes[column] = int(new.max()) + 1
    return sizes


def _one_hot(owner: Owner) -> None:
    """Check that each category's column is inside the output, which is not looked at again."""
    owner.require("_n_features_outs")
    sizes = _codes(owner)
    dropped = owner.attributes.get("_drop_idx_after_grouping")
    for column, (size, out) in enumerate(
        zip(sizes, owner.attributes["_n_features_outs"], strict=True)
    ):
        drop = None if dropped is None else dropped[column]
        if drop is not None and not 0 <= drop < size:
            raise Contradiction(f"drops category {drop} of {size}")
        if out != size - (drop is not None):
            raise Contradiction(f"has {out} columns for {size} categories")


def _ordinal(owner: Owner) -> None:
    _codes(owner)


def _target(owner: Owner) -> None:
    owner.require("encodings_", "target_mean_", "target_type_")
    sizes = _codes(owner)
    outputs = 1
    if owner.attributes["target_type_"] == "multiclass":
        outputs = len(owner.attributes["classes_"])
    encodings = owner.attributes["encodings_"]
    if [len(encoding) for encoding in encodings] != [n for n in sizes for _ in range(outputs)]:
        raise Contradiction("has encodings of other categories than its own")


def _whole_or_none(value: Any, owner: Owner) -> None:
    """Accept an array of positions, of which some may be None."""
    labels("features")(value, owner)
    for element in value.flat:
        optional(whole())(element, owner)


def _polynomial(owner: Owner) -> None:
    """Check the width of the output: columns beyond those that are computed hold old memory."""
    model, found = owner.value, owner.attributes
    owner.require("_min_degree", "_max_degree", "_n_out_full", "n_output_features_")
    width, highest = owner.length("features"), found["_max_degree"]
    for name, lowest in (("_n_out_full", 0), ("n_output_features_", found["_min_degree"])):
        columns = type(model)._num_combinations(  # noqa: SLF001 - computes nothing else
            width, lowest, highest, model.interaction_only, model.include_bias
        )
        if found[name] != columns:
            raise Contradiction(f"has {found[name]} columns of output where {columns} are computed")


def _check_of_numbers(value: Any, owner: Owner) -> None:
    """Accept the check of numeric columns that boosting with categorical features puts here."""
    if type(value) is not partial or value.args or vars(value):
        raise Contradiction("is not a function that is known to be harmless")
    function("sklearn.utils.validation.check_array")(value.func, owner)
    for name, setting in value.keywords.items():
        if name == "dtype":
            sequence(dtype)(setting, owner)
        elif name not in {"ensure_all_finite", "force_all_finite"} or setting is not False:
            raise Contradiction("is a check with other settings than boosting gives it")


_DEGREE = whole(0, _LARGEST_DEGREE)

TABLE: Table = {
    "sklearn.preprocessing.Binarizer": Entry(fitted={}),
    "sklearn.preprocessing.Normalizer": Entry(fitted={}),
    "sklearn.preprocessing.StandardScaler": Entry(
        fitted={**_SEEN, "mean_": _COLUMN, "var_": _COLUMN, "scale_": _COLUMN}
    ),
    "sklearn.preprocessing.MaxAbsScaler": Entry(
        fitted={**_SEEN, "max_abs_": _COLUMN, "scale_": _COLUMN}
    ),
    "sklearn.preprocessing.MinMaxScaler": Entry(
        fitted={
            **_SEEN,
            **dict.fromkeys(("scale_", "min_", "data_min_", "data_max_", "data_range_"), _COLUMN),
        }
    ),
    "sklearn.preprocessing.RobustScaler": Entry(fitted={"center_": _COLUMN, "scale_": _COLUMN}),
    "sklearn.preprocessing.PowerTransformer": Entry(
        fitted={
            "lambdas_": either(floats("features"), sequence(number, "features")),
            "_scaler": part("sklearn.preprocessing.StandardScaler"),
        }
    ),
    "sklearn.preprocessing.QuantileTransformer": Entry(
        fitted={
            "n_quantiles_": whole(1),
            "references_": floats("quantiles"),
            "quantiles_": floats("quantiles", "features"),
        }
    ),
    "sklearn.preprocessing.KernelCenterer": Entry(
        fitted={"K_fit_rows_": floats("features"), "K_fit_all_": number}
    ),
    "sklearn.preprocessing.PolynomialFeatures": Entry(
        parameters={"degree": either(_DEGREE, sequence(_DEGREE, 2))},
        fitted={
            "_min_degree": _DEGREE,
            "_max_degree": _DEGREE,
            "n_output_features_": whole(0, 2**31),
            "_n_out_full": whole(0, 2**31),
        },
        further=_polynomial,
    ),
    "sklearn.preprocessing.FunctionTransformer": Entry(
        # Arguments of numpy's functions choose where they write and which elements they skip.
        parameters={
            "func": either(NUMPY_FUNCTION, _check_of_numbers),
            "inverse_func": NUMPY_FUNCTION,
            "kw_args": none,
            "inv_kw_args": none,
            "feature_names_out": one_of(None, "one-to-one"),
        },
        fitted={},
        width=False,
    ),
    "sklearn.preprocessing.KBinsDiscretizer": Entry(
        parameters={"dtype": optional(element_type)},
        fitted={
            "bin_edges_": arrays(floats(None), "features"),
            "n_bins_": wholes("features"),
            "_encoder": part("sklearn.preprocessing.OneHotEncoder"),
        },
    ),
    "sklearn.preprocessing.OneHotEncoder": Entry(
        parameters={"dtype": element_type},
        fitted={
            **_CATEGORIES,
            "_drop_idx_after_grouping": optional(_whole_or_none),
            "drop_idx_": optional(_whole_or_none),
            "_n_features_outs": sequence(whole(), "features"),
        },
        further=_one_hot,
    ),
    "sklearn.preprocessing.OrdinalEncoder": Entry(
        parameters={"dtype": element_type},
        fitted={**_CATEGORIES, "_missing_indices": mapping(whole(0, "features"), whole())},
        further=_ordinal,
    ),
    "sklearn.preprocessing.TargetEncoder": Entry(
        fitted={
            **_CATEGORIES,
            "target_type_": one_of("binary", "multiclass", "continuous"),
            "classes_": optional(labels(None)),
            "target_mean_": either(number, floats(None)),
            "encodings_": sequence(floats(None)),
            "_label_encoder": part("sklearn.preprocessing.LabelEncoder"),
            "_label_binarizer": part("sklearn.preprocessing.LabelBinarizer"),
        },
        further=_target,
    ),
    "sklearn.preprocessing.LabelEncoder": Entry(fitted={"classes_": labels(None)}, width=False),
    "sklearn.preprocessing.LabelBinarizer": Entry(
        fitted={"classes_": labels(None), "y_type_": text, "sparse_input_": boolean}, width=False
    ),
    "sklearn.preprocessing.MultiLabelBinarizer": Entry(
        fitted={"classes_": _distinct, "_cached_dict": none}, width=False
    ),
    "sklearn.impute.SimpleImputer": Entry(
        fitted={
            "statistics_": labels("features"),
            "indicator_": optional(part("sklearn.impute.MissingIndicator")),
            "_fit_dtype": dtype,
            "_fill_dtype": dtype,
        }
    ),
    "sklearn.impute.MissingIndicator": Entry(
        fitted={
            "_n_features": whole(1, 2**31, sets="features"),
            "features_": wholes(None, low=0, below="features"),
            "_precomputed": boolean,
        },
        width=False,
    ),
    "sklearn.impute.KNNImputer": Entry(
        parameters={"metric": one_of("nan_euclidean"), "weights": one_of("uniform", "distance")},
        fitted={
            "_fit_X": floats("rows", "features"),
            "_mask_fit_X": booleans("rows", "features"),
            "_valid_mask": booleans("features"),
            "indicator_": optional(part("sklearn.impute.MissingIndicator")),
        },
    ),
}
