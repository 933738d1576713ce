"""Linear models: they predict by numpy's product of the input and `coef_`, which checks lengths."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Kind,
    either,
    estimator,
    floats,
    labels,
    none,
    number,
    one_of,
    optional,
    part,
    plain,
)
from modelyard.sklearn._checked._losses import LOSS, LOSS_OF_SGD

_COEFFICIENTS = either(
    floats("features"),
    floats(None, "features"),
    part(
        "scipy.sparse.csr_matrix",
        "scipy.sparse.csc_matrix",
        "scipy.sparse.csr_array",
        "scipy.sparse.csc_array",
    ),
)
_LINE: Mapping[str, Kind] = {"coef_": _COEFFICIENTS, "intercept_": either(number, floats(None))}
# How a fit went; nothing that predicts reads it.
_NOTES = dict.fromkeys(
    (
        "C_",
        "Cs_",
        "X_offset_",
        "X_scale_",
        "active_",
        "alpha_",
        "alphas_",
        "best_score_",
        "breakdown_",
        "coef_path_",
        "coefs_paths_",
        "criterion_",
        "cv_alphas_",
        "cv_results_",
        "cv_values_",
        "dual_gap_",
        "eps_",
        "inlier_mask_",
        "l1_ratio_",
        "l1_ratios_",
        "lambda_",
        "mse_path_",
        "n_iter_",
        "n_nonzero_coefs_",
        "n_skips_invalid_data_",
        "n_skips_invalid_model_",
        "n_skips_no_inliers_",
        "n_subpopulation_",
        "n_trials_",
        "noise_variance_",
        "outliers_",
        "rank_",
        "scale_",
        "scores_",
        "sigma_",
        "singular_",
        "solver_",
        "_store_cv_results",
    ),
    plain,
)
# What constructors of subclasses fix where the class above has a parameter.
_ALWAYS = dict.fromkeys(
    (
        "C",
        "alpha",
        "alpha_per_target",
        "average",
        "early_stopping",
        "epsilon",
        "eta0",
        "fit_path",
        "gcv_mode",
        "jitter",
        "l1_ratio",
        "learning_rate",
        "loss",
        "method",
        "n_iter_no_change",
        "n_nonzero_coefs",
        "penalty",
        "positive",
        "power_t",
        "precompute",
        "random_state",
        "shuffle",
        "store_cv_results",
        "validation_fraction",
    ),
    plain,
)
_REGRESSOR = {**_LINE, **_NOTES}
_CLASSIFIER = {"classes_": labels("classes"), **_REGRESSOR}
_RIDGE_CLASSIFIER = {
    **_CLASSIFIER,
    "_label_binarizer": part("sklearn.preprocessing.LabelBinarizer"),
}
_SGD = {
    **_CLASSIFIER,
    "t_": number,
    "offset_": floats(1),
    "_expanded_class_weight": floats("classes"),
    "_loss_function_": LOSS_OF_SGD,
    "loss_function_": LOSS_OF_SGD,
    **{
        f"_{kind}_{name}": optional(either(floats(None), floats(None, "features"), number))
        for kind in ("standard", "average")
        for name in ("coef", "intercept")
    },
}


def _entries(fitted: Mapping[str, Kind], *names: str) -> dict[str, Entry]:
    return {f"sklearn.linear_model.{n}": Entry(fitted=fitted, always=_ALWAYS) for n in names}


TABLE: Table = {
    **_entries(
        _REGRESSOR,
        "ARDRegression",
        "BayesianRidge",
        "ElasticNet",
        "ElasticNetCV",
        "HuberRegressor",
        "Lars",
        "LarsCV",
        "Lasso",
        "LassoCV",
        "LassoLars",
        "LassoLarsCV",
        "LassoLarsIC",
        "LinearRegression",
        "MultiTaskElasticNet",
        "MultiTaskElasticNetCV",
        "MultiTaskLasso",
        "MultiTaskLassoCV",
        "OrthogonalMatchingPursuit",
        "OrthogonalMatchingPursuitCV",
        "QuantileRegressor",
        "Ridge",
        "RidgeCV",
        "TheilSenRegressor",
    ),
    **_entries(
        {**_REGRESSOR, "_base_loss": LOSS}, "GammaRegressor", "PoissonRegressor", "TweedieRegressor"
    ),
    **_entries(_CLASSIFIER, "LogisticRegression", "LogisticRegressionCV"),
    **_entries(_RIDGE_CLASSIFIER, "RidgeClassifier", "RidgeClassifierCV"),
    **_entries(
        _SGD,
        "PassiveAggressiveClassifier",
        "PassiveAggressiveRegressor",
        "Perceptron",
        "SGDClassifier",
        "SGDOneClassSVM",
        "SGDRegressor",
    ),
    "sklearn.linear_model.RANSACRegressor": Entry(
        fitted={**_NOTES, "estimator_": estimator},
        parameters={
            "estimator": optional(estimator),
            "is_data_valid": none,
            "is_model_valid": none,
            "loss": one_of("absolute_error", "squared_error"),
        },
    ),
    "sklearn.svm.LinearSVC": Entry(fitted=_CLASSIFIER, always=_ALWAYS),
    "sklearn.svm.LinearSVR": Entry(fitted=_REGRESSOR, always=_ALWAYS),
}
