"""Gaussian processes, kernel ridges, isotonic regressions, label propagation."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

from modelyard.sklearn._checked._decomposition import KERNELS
from modelyard.sklearn._checked._entry import Entry, Part, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    either,
    estimator,
    floats,
    labels,
    name_of,
    number,
    numbers,
    one_of,
    optional,
    part,
    plain,
    sequence,
    text,
    whole,
    wholes,
)
from modelyard.sklearn._checked._matrices import matrix

_KERNELS = {
    "ConstantKernel": ("constant_value",),
    "DotProduct": ("sigma_0",),
    "ExpSineSquared": ("length_scale", "periodicity"),
    "Matern": ("length_scale", "nu"),
    "RBF": ("length_scale",),
    "RationalQuadratic": ("length_scale", "alpha"),
    "WhiteKernel": ("noise_level",),
}
_COMPOSED = {
    "CompoundKernel": ("kernels",),
    "Exponentiation": ("kernel", "exponent"),
    "Product": ("k1", "k2"),
    "Sum": ("k1", "k2"),
}
_KERNEL = part(*(f"sklearn.gaussian_process.kernels.{name}" for name in {**_KERNELS, **_COMPOSED}))
_RANDOM = part("numpy.random.mtrand.RandomState")


def _kernel(*names: str) -> Part:
    """Accept a kernel with these hyperparameters and their bounds."""
    kinds: dict[str, Kind] = {
        "kernels": sequence(_KERNEL),
        **dict.fromkeys(("kernel", "k1", "k2"), _KERNEL),
    }

    def check(_: Any, owner: Owner) -> None:
        owner.require(*names)
        for name, value in owner.attributes.items():
            if name in names:
                kinds.get(name, either(number, floats(None)))(value, owner)
            elif name.removesuffix("_bounds") in names:
                plain(value, owner)
            else:
                raise Contradiction("has an attribute that is not known")

    return check


_TRAINED: Mapping[str, Kind] = {
    "kernel_": _KERNEL,
    "X_train_": numbers("rows", "features"),
    "L_": floats("rows", "rows"),
    "log_marginal_likelihood_value_": plain,
}


def _interpolation(value: Any, owner: Owner) -> None:
    """Accept the function that scikit-learn itself made of the thresholds while loading."""
    owner.require("X_thresholds_", "y_thresholds_")
    if type(value) is not FunctionType and name_of(type(value)) != "scipy.interpolate.interp1d":
        raise Contradiction(f"is a {type(value).__name__}, not an interpolation")


_PROPAGATION = Entry(
    parameters={"kernel": one_of("knn", "rbf")},
    always={"alpha": optional(number)},
    fitted={
        "X_": matrix("rows", "features"),
        "classes_": labels("classes"),
        "label_distributions_": floats("rows", "classes"),
        "n_iter_": number,
        "transduction_": labels("rows"),
        "nn_fit": optional(part("sklearn.neighbors.NearestNeighbors")),
    },
)

TABLE: Table = {
    **{
        f"sklearn.gaussian_process.kernels.{name}": _kernel(*names)
        for name, names in {**_KERNELS, **_COMPOSED}.items()
    },
    "sklearn.gaussian_process.GaussianProcessRegressor": Entry(
        parameters={"kernel": optional(_KERNEL), "optimizer": one_of("fmin_l_bfgs_b", None)},
        fitted={
            **_TRAINED,
            "_rng": _RANDOM,
            "y_train_": either(numbers("rows"), numbers("rows", "targets")),
            "alpha_": either(numbers("rows"), numbers("rows", "targets")),
            "_y_train_mean": either(number, numbers(None)),
            "_y_train_std": either(number, numbers(None)),
        },
    ),
    "sklearn.gaussian_process._BinaryGaussianProcessClassifierLaplace": Entry(
        parameters={"kernel": optional(_KERNEL), "optimizer": one_of("fmin_l_bfgs_b", None)},
        fitted={
            **_TRAINED,
            "rng": _RANDOM,
            "X_train_": numbers("rows", None),
            "y_train_": wholes("rows"),
            "classes_": labels(2),
            "pi_": floats("rows"),
            "W_sr_": floats("rows"),
            "f_cached": floats("rows"),
        },
        width=False,
    ),
    "sklearn.gaussian_process.GaussianProcessClassifier": Entry(
        parameters={"kernel": optional(_KERNEL), "optimizer": one_of("fmin_l_bfgs_b", None)},
        fitted={
            "base_estimator_": estimator,
            "classes_": labels("classes"),
            "n_classes_": whole(1),
            "log_marginal_likelihood_value_": number,
        },
    ),
    "sklearn.isotonic.IsotonicRegression": Entry(
        fitted={
            "increasing_": boolean,
            "X_min_": number,
            "X_max_": number,
            "X_thresholds_": floats("thresholds"),
            "y_thresholds_": floats("thresholds"),
            "f_": _interpolation,
        },
        width=False,
    ),
    "sklearn.kernel_ridge.KernelRidge": Entry(
        parameters={"kernel": KERNELS},
        fitted={
            "X_fit_": matrix("rows", "features"),
            "dual_coef_": either(floats("rows"), floats("rows", "targets")),
        },
    ),
    "sklearn.semi_supervised.LabelPropagation": _PROPAGATION,
    "sklearn.semi_supervised.LabelSpreading": _PROPAGATION,
    "sklearn.semi_supervised.SelfTrainingClassifier": Entry(
        fitted={
            "estimator_": estimator,
            "classes_": labels(None),
            "transduction_": labels(None),
            "labeled_iter_": wholes(None),
            "n_iter_": number,
            "termination_condition_": text,
        }
    ),
}
