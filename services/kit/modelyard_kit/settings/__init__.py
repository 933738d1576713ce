"""The settings of all programs: declarations, parsing and checks."""
