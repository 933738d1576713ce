"""The client under MLflow's module name, `tracking`."""

from modelyard._drop_in import missing_attribute
from modelyard._fluent.addresses import (
    get_registry_uri,
    get_tracking_uri,
    is_tracking_uri_set,
    set_registry_uri,
    set_tracking_uri,
)
from modelyard.client import Client, MlflowClient

__all__ = [
    "Client",
    "MlflowClient",
    "get_registry_uri",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_registry_uri",
    "set_tracking_uri",
]

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__
