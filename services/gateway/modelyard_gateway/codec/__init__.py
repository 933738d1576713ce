"""Conversion between JSON, URL parameters and messages of the contract."""
