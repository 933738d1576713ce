"""Checks of values, limits and states, without I/O."""
