"""The long forms of tests, which `make soak` runs."""

from __future__ import annotations

import os

SOAK = int(os.environ.get("TEST_SOAK", "0"))
"""Number of repetitions of each fault; 0 for the short forms."""
_MORE_EXAMPLES = 5


def examples(few: int) -> int:
    """Return the number of examples of a property: few, or a multiple of them in a soak."""
    return few * _MORE_EXAMPLES * SOAK if SOAK else few
