"""gRPC servers and clients, and what surrounds every call."""
