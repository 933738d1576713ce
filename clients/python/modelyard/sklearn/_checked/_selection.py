"""Feature selection: a mask of the columns, and the estimator that chose them."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Kind,
    booleans,
    estimator,
    floats,
    function,
    labels,
    number,
    one_of,
    optional,
    plain,
    whole,
    wholes,
)

_SCORED = Entry(
    parameters={
        "score_func": function(
            *(
                f"sklearn.feature_selection.{name}"
                for name in (
                    *("chi2", "f_classif", "f_regression", "r_regression"),
                    *("mutual_info_classif", "mutual_info_regression"),
                )
            )
        )
    },
    fitted={"scores_": floats("features"), "pvalues_": optional(floats("features"))},
)
# A name of an attribute; others could be a path to anything.
_IMPORTANCES = one_of("auto", "coef_", "feature_importances_")
_ELIMINATED: Mapping[str, Kind] = {
    "support_": booleans("features"),
    "n_features_": whole(1),
    "ranking_": wholes("features"),
    "estimator_": estimator,
    "cv_results_": plain,
    "classes_": labels(None),
}

TABLE: Table = {
    **{
        f"sklearn.feature_selection.{name}": _SCORED
        for name in (
            *("GenericUnivariateSelect", "SelectFdr", "SelectFpr", "SelectFwe", "SelectKBest"),
            "SelectPercentile",
        )
    },
    "sklearn.feature_selection.VarianceThreshold": Entry(fitted={"variances_": floats("features")}),
    "sklearn.feature_selection.RFE": Entry(
        parameters={"importance_getter": _IMPORTANCES}, fitted=_ELIMINATED
    ),
    "sklearn.feature_selection.RFECV": Entry(
        parameters={"importance_getter": _IMPORTANCES}, fitted=_ELIMINATED
    ),
    "sklearn.feature_selection.SelectFromModel": Entry(
        parameters={"importance_getter": _IMPORTANCES, "max_features": optional(whole())},
        fitted={"estimator_": estimator, "max_features_": whole(), "threshold_": number},
        width=False,
    ),
    "sklearn.feature_selection.SequentialFeatureSelector": Entry(
        fitted={"n_features_to_select_": whole(1), "support_": booleans("features")}
    ),
}
