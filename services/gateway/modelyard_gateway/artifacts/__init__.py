"""HTTP routes for artifact bytes."""
