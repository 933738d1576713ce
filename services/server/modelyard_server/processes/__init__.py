"""Entry points of the services and of the all-in-one platform."""
