"""Linear models: they predict by numpy's product of the input and `coef_`."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Kind,
    either,
    floats,
    labels,
    number,
    numbers,
    optional,
    part,
    plain,
    sequence,
)

_COEFFICIENTS = either(
    floats("features"),
    floats(None, "features"),
    part("scipy.sparse.csr_matrix", "scipy.sparse.csc_matrix", "scipy.sparse.csr_array"),
)
_LINE: Mapping[str, Kind] = {
    "coef_": _COEFFICIENTS,
    "intercept_": either(number, floats(None)),
    "n_iter_": optional(plain),
}
# How a fit went; read by nothing that predicts.
_NOTES = {
    name: plain
    for name in (
        "C_", "Cs_", "alpha_", "alphas_", "active_", "coef_path_", "coefs_paths_", "criterion_",
        "cv_alphas_", "cv_results_", "cv_values_", "best_score_", "dual_gap_", "eps_",
        "inlier_mask_", "l1_ratio_", "l1_ratios_", "lambda_", "mse_path_", "n_nonzero_coefs_",
        "n_skips_invalid_data_", "n_skips_invalid_model_", "n_skips_no_inliers_", "n_trials_",
        "n_subpopulation_", "breakdown_", "noise_variance_", "outliers_", "rank_", "scale_",
        "scores_", "sigma_", "singular_", "solver_", "X_offset_", "X_scale_", "t_",
    )
}  # fmt: skip
_REGRESSOR = {**_LINE, **_NOTES}
_CLASSIFIER = {"classes_": labels("classes"), **_REGRESSOR}
_ALWAYS = {
    name: plain
    for name in (
        "l1_ratio", "fit_path", "jitter", "random_state", "n_nonzero_coefs", "precompute",
        "positive", "alpha", "method", "C",
    )
}  # fmt: skip

_REGRESSORS = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars",
    "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression",
    "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV",
    "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV", "QuantileRegressor", "Ridge",
    "TheilSenRegressor",
)  # fmt: skip
_CLASSIFIERS = ("LogisticRegression",)

TABLE: Table = {
    **{f"sklearn.linear_model.{n}": Entry(fitted=_REGRESSOR, always=_ALWAYS) for n in _REGRESSORS},
    **{
        f"sklearn.linear_model.{n}": Entry(fitted=_CLASSIFIER, always=_ALWAYS)
        for n in _CLASSIFIERS
    },
}
