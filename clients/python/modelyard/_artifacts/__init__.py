"""Artifact bytes: uploads, downloads, manifests and the local cache."""
