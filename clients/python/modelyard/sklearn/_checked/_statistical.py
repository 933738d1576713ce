"""Naive Bayes, discriminant analysis, perceptrons and dummies, which predict with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    either,
    floats,
    labels,
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
from modelyard.sklearn._checked._parts import plain_attributes

_BAYES: Mapping[str, Kind] = {
    "classes_": labels("classes"),
    "class_count_": floats("classes"),
    "class_log_prior_": floats("classes"),
    "class_prior_": floats("classes"),
    "feature_count_": floats("classes", "features"),
    "feature_all_": floats("features"),
    "feature_log_prob_": either(
        floats("classes", "features"), sequence(floats("classes", None), "features")
    ),
    "category_count_": sequence(floats("classes", None), "features"),
    "n_categories_": wholes("features", low=0),
    "epsilon_": number,
    "theta_": floats("classes", "features"),
    "var_": floats("classes", "features"),
}
_MIXED = either(floats(None), floats(None, None))
_DISCRIMINANT: Mapping[str, Kind] = {
    "classes_": labels("classes"),
    "priors_": floats("classes"),
    "means_": floats("classes", "features"),
    "xbar_": floats("features"),
    "_max_components": whole(0),
    "explained_variance_ratio_": floats(None),
    "scalings_": either(floats("features", None), sequence(floats(None), "classes")),
    "rotations_": sequence(floats("features", None), "classes"),
    "covariance_": either(
        floats("features", "features"), sequence(floats("features", "features"), "classes")
    ),
    "coef_": floats(None, "features"),
    "intercept_": floats(None),
    "_n_features_out": whole(1),
}
_OPTIMIZER = optional(
    part(
        "sklearn.neural_network.AdamOptimizer",
        "sklearn.neural_network.SGDOptimizer",
    )
)
_PERCEPTRON: Mapping[str, Kind] = {
    "_label_binarizer": part("sklearn.preprocessing.LabelBinarizer"),
    "classes_": either(labels("classes"), sequence(labels(None))),
    "n_outputs_": whole(1),
    "_random_state": part("numpy.random.mtrand.RandomState"),
    "n_iter_": number,
    "t_": number,
    "n_layers_": whole(2),
    "out_activation_": one_of("identity", "logistic", "softmax"),
    "coefs_": sequence(floats(None, None), "layers"),
    "intercepts_": sequence(floats(None), "layers"),
    "_best_coefs": sequence(_MIXED),
    "_best_intercepts": sequence(_MIXED),
    "loss_curve_": plain,
    "loss_": number,
    "best_loss_": optional(number),
    "validation_scores_": plain,
    "best_validation_score_": optional(number),
    "_no_improvement_count": number,
    "_coef_indptr": plain,
    "_intercept_indptr": plain,
    "_optimizer": _OPTIMIZER,
}


def _layers(owner: Owner) -> None:
    """Check that each layer takes what the one before it gives."""
    owner.require("coefs_", "intercepts_", "n_layers_", "n_outputs_")
    width = owner.length("features")
    if owner.attributes["n_layers_"] != owner.length("layers") + 1:
        raise Contradiction("has another number of layers than it announces")
    for weights, bias in zip(
        owner.attributes["coefs_"], owner.attributes["intercepts_"], strict=True
    ):
        if weights.shape != (width, len(bias)):
            raise Contradiction(f"has a layer of shape {weights.shape} after one of {width}")
        width = len(bias)
    if width != owner.attributes["n_outputs_"]:
        raise Contradiction(f"has a last layer of {width}, not of its outputs")


_DUMMY: Mapping[str, Kind] = {
    "_strategy": text,
    "sparse_output_": boolean,
    "n_outputs_": whole(1, 2**31, sets="outputs"),
    "classes_": either(labels("classes"), sequence(labels(None), "outputs")),
    "n_classes_": either(whole(1), sequence(whole(1), "outputs")),
    "class_prior_": either(floats("classes"), sequence(floats(None), "outputs")),
    "constant_": either(numbers(None, None), numbers(None), number, labels(None, None)),
}

TABLE: Table = {
    **{
        f"sklearn.naive_bayes.{name}": Entry(fitted=_BAYES)
        for name in ("BernoulliNB", "CategoricalNB", "ComplementNB", "GaussianNB", "MultinomialNB")
    },
    **{
        f"sklearn.discriminant_analysis.{name}": Entry(fitted=_DISCRIMINANT)
        for name in ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis")
    },
    **{
        f"sklearn.neural_network.{name}": Entry(
            always={"loss": text}, fitted=_PERCEPTRON, further=_layers
        )
        for name in ("MLPClassifier", "MLPRegressor")
    },
    "sklearn.neural_network.AdamOptimizer": plain_attributes,
    "sklearn.neural_network.SGDOptimizer": plain_attributes,
    **{
        f"sklearn.dummy.{name}": Entry(width=False, fitted={"n_features_in_": whole(1), **_DUMMY})
        for name in ("DummyClassifier", "DummyRegressor")
    },
}
