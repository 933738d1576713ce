"""How models, versions and sources are referred to: names, stages, URIs."""
