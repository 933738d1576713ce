"""Values, limits and states of tracking. No I/O."""
