"""Searches: filters and orders as SQL, and the restriction to a scope."""
