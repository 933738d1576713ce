"""Statements of the calls that users wait for, in SQLAlchemy Core; one module a noun."""
