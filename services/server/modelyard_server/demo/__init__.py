"""`modelyard demo`."""
