"""References to models, versions and sources: names, stages, URIs."""
