"""HTTP, for everything that listens: heads, limits, request ids, refusals, routes, the server.

A process that answers no HTTP imports none of it.
"""
