"""JSON, URL parameters and messages of the contract into each other."""
