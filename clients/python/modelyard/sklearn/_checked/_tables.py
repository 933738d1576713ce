"""All entries, by the name of a class; an estimator without one needs `allow_pickle`."""

from __future__ import annotations

from modelyard.sklearn._checked import (
    _boosting,
    _clusters,
    _composed,
    _decomposition,
    _linear,
    _losses,
    _machines,
    _nearest,
    _parts,
    _preprocessing,
    _processes,
    _selection,
    _statistical,
    _text,
    _trees,
)
from modelyard.sklearn._checked._entry import Table

TABLE: Table = {
    **_parts.TABLE,
    **_losses.TABLE,
    **_trees.TABLE,
    **_boosting.TABLE,
    **_linear.TABLE,
    **_machines.TABLE,
    **_nearest.TABLE,
    **_statistical.TABLE,
    **_composed.TABLE,
    **_preprocessing.TABLE,
    **_text.TABLE,
    **_selection.TABLE,
    **_decomposition.TABLE,
    **_clusters.TABLE,
    **_processes.TABLE,
}
