"""Authentication of callers, and their permissions and scopes."""
