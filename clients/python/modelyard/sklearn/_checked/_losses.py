"""Loss functions and scorers, which models keep beside what they predict with."""

from __future__ import annotations

from modelyard.sklearn._checked._entry import Table
from modelyard.sklearn._checked._kinds import (
    Owner,
    boolean,
    either,
    estimator,
    function,
    mapping,
    none,
    number,
    optional,
    part,
    plain,
    text,
    whole,
)
from modelyard.sklearn._checked._parts import holds

_LOSSES = (
    "AbsoluteError",
    "ExponentialLoss",
    "HalfBinomialLoss",
    "HalfGammaLoss",
    "HalfMultinomialLoss",
    "HalfPoissonLoss",
    "HalfSquaredError",
    "HalfTweedieLoss",
    "HalfTweedieLossIdentity",
    "HuberLoss",
    "PinballLoss",
)
_LINKS = ("HalfLogitLink", "IdentityLink", "LogLink", "LogitLink", "MultinomialLogit")
_OF_SGD = (
    "EpsilonInsensitive",
    "Hinge",
    "Huber",
    "Log",
    "ModifiedHuber",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
    "SquaredLoss",
)
_SCORE_FUNCTIONS = (
    "accuracy_score",
    "balanced_accuracy_score",
    "f1_score",
    "log_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "root_mean_squared_error",
)

_SCORE_FUNCTION = function(*(f"sklearn.metrics.{name}" for name in _SCORE_FUNCTIONS))
_LINK = part(*(f"sklearn.{name}" for name in _LINKS))
_INTERVAL = part("sklearn.Interval")
LOSS = part(*(f"sklearn.{name}" for name in _LOSSES))
LOSS_OF_SGD = part(
    *(f"sklearn.linear_model.{name}" for name in _OF_SGD),
    *(f"sklearn.Cy{name}" for name in _LOSSES),
)
SCORER = part(
    "sklearn.metrics._Scorer",
    "sklearn.metrics._PassthroughScorer",
    "sklearn.metrics._MultimetricScorer",
)


_arithmetic = holds()
_REQUEST = part("sklearn.utils.MetadataRequest")
_METHOD = part("sklearn.utils.MethodMetadataRequest")


def _request(_: object, owner: Owner) -> None:
    """Check which arguments a scorer or estimator asks for, by method; only fitting reads it."""
    for content in owner.attributes.values():
        either(plain, _METHOD, SCORER, estimator)(content, owner)


TABLE: Table = {
    **{
        f"sklearn.{name}": holds(
            closs=part(f"sklearn.Cy{name}"),
            link=_LINK,
            n_classes=optional(whole(1)),
            approx_hessian=boolean,
            constant_hessian=boolean,
            interval_y_true=_INTERVAL,
            interval_y_pred=_INTERVAL,
            quantile=number,
            xp=none,
            device=none,
            class_indexing_offsets=none,
            y_true_int=none,
            y_true_one_hot=none,
        )
        for name in _LOSSES
    },
    # Compiled arithmetic of two numbers; their state is a number.
    **{f"sklearn.Cy{name}": _arithmetic for name in _LOSSES},
    **{f"sklearn.linear_model.{name}": _arithmetic for name in _OF_SGD},
    **{f"sklearn.{name}": holds(interval_y_pred=_INTERVAL, quantile=number) for name in _LINKS},
    "sklearn.Interval": holds(
        low=number, high=number, low_inclusive=boolean, high_inclusive=boolean
    ),
    "sklearn.utils.MetadataRequest": _request,
    "sklearn.utils.MethodMetadataRequest": _request,
    "sklearn.metrics._Scorer": holds(
        _score_func=_SCORE_FUNCTION,
        _sign=number,
        _kwargs=plain,
        _response_method=plain,
        _deprecation_msg=optional(text),
        _metadata_request=_REQUEST,
    ),
    "sklearn.metrics._CurveScorer": holds(
        _score_func=_SCORE_FUNCTION,
        _sign=number,
        _kwargs=plain,
        _response_method=plain,
        _thresholds=plain,
        _deprecation_msg=optional(text),
        _metadata_request=_REQUEST,
    ),
    "sklearn.metrics._PassthroughScorer": holds(_estimator=estimator, _metadata_request=_REQUEST),
    "sklearn.metrics._MultimetricScorer": holds(
        _scorers=mapping(text, part("sklearn.metrics._Scorer")),
        _raise_exc=boolean,
        _use_cache=plain,
    ),
}
