"""The doors to the bytes of artifacts."""
