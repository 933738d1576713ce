"""The statements of the calls that users wait for, and the rows that they return.

Each row that is part of a document knows its paths in it.
"""
