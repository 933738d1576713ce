"""Whether `make soak` runs the tests, which are longer then."""

from __future__ import annotations

import os

SOAK = int(os.environ.get("MODELYARD_SOAK", "0"))
"""How often each fault happens; 0 for the short forms."""
_MORE_EXAMPLES = 5


def examples(few: int) -> int:
    """Return how many examples a property is tried with: few, or that many times more in a soak."""
    return few * _MORE_EXAMPLES * SOAK if SOAK else few
