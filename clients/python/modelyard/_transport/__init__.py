"""Transport of the SDK: connections, calls, retries, TLS, local instances."""
