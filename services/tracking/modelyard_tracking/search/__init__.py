"""Searches: filters and orders to SQL."""
