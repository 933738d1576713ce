"""All entries, by the name of a class; an estimator without one needs `allow_pickle`."""

from __future__ import annotations

from modelyard.sklearn._checked import _linear, _parts
from modelyard.sklearn._checked._entry import Table

TABLE: Table = {
    **_parts.TABLE,
    **_linear.TABLE,
}
