"""The HTTP edge of Modelyard."""
