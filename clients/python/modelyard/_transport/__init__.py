"""How the SDK reaches servers: connections, calls, retries, TLS, local instances."""
