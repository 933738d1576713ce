"""Loss functions and scorers, which models keep beside what they predict with."""

from __future__ import annotations

from typing import Any

from modelyard.sklearn._checked._entry import Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    estimator,
    function,
    mapping,
    none,
    number,
    part,
    plain,
    text,
    whole,
)

_LOSSES = (
    "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss",
    "HalfMultinomialLoss", "HalfPoissonLoss", "HalfSquaredError", "HalfTweedieLoss",
    "HalfTweedieLossIdentity", "HuberLoss", "PinballLoss",
)  # fmt: skip
_LINKS = ("HalfLogitLink", "IdentityLink", "LogLink", "LogitLink", "MultinomialLogit")
_OF_SGD = (
    "EpsilonInsensitive", "Hinge", "Huber", "Log", "ModifiedHuber", "SquaredEpsilonInsensitive",
    "SquaredHinge", "SquaredLoss",
)  # fmt: skip
_SCORE_FUNCTIONS = (
    "accuracy_score", "f1_score", "log_loss", "mean_absolute_error", "mean_squared_error",
    "precision_score", "r2_score", "recall_score", "roc_auc_score", "root_mean_squared_error",
)  # fmt: skip

_LINK = part(*(f"sklearn.{name}" for name in _LINKS))
_INTERVAL = part("sklearn.Interval")
LOSS = part(*(f"sklearn.{name}" for name in _LOSSES))
LOSS_OF_SGD = part(
    *(f"sklearn.linear_model.{name}" for name in _OF_SGD),
    *(f"sklearn.Cy{name}" for name in _LOSSES),
)
SCORER = part(
    "sklearn.metrics._Scorer", "sklearn.metrics._PassthroughScorer",
    "sklearn.metrics._MultimetricScorer",
)  # fmt: skip


def _of(**kinds: Kind) -> Kind:
    """Return a check of an object with these attributes and no others."""

    def check(_: Any, owner: Owner) -> None:
        for name, value in owner.attributes.items():
            if name not in kinds:
                raise Contradiction(f"has an attribute that is not known: {name[:40]!r}")
            kinds[name](value, owner)

    return check


_arithmetic = _of()

TABLE: Table = {
    **{
        f"sklearn.{name}": _of(
            closs=part(f"sklearn.Cy{name}"),
            link=_LINK,
            n_classes=lambda value, owner: None if value is None else whole(1)(value, owner),
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
    **{f"sklearn.{name}": _of(interval_y_pred=_INTERVAL, quantile=number) for name in _LINKS},
    "sklearn.Interval": _of(
        low=number, high=number, low_inclusive=boolean, high_inclusive=boolean
    ),
    "sklearn.metrics._Scorer": _of(
        _score_func=function(*(f"sklearn.metrics.{name}" for name in _SCORE_FUNCTIONS)),
        _sign=number,
        _kwargs=plain,
        _response_method=plain,
    ),
    "sklearn.metrics._PassthroughScorer": _of(_estimator=estimator),
    "sklearn.metrics._MultimetricScorer": _of(
        _scorers=mapping(text, part("sklearn.metrics._Scorer")), _raise_exc=boolean, _use_cache=plain
    ),
}
