"""The HTTP layer of all servers: protocol limits, request ids, errors, routes and the server.

Processes without an HTTP port do not import it.
"""
