"""gRPC servers and clients, with interceptors, deadlines, idempotency, validation and health."""
