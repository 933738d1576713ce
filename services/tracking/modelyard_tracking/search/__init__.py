"""Searches: filters and orders as SQL."""
