"""`MlflowClient`: explicit calls, without an active run or experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelyard._client.artifacts import Artifacts
from modelyard._client.erasing import Erasing
from modelyard._client.experiments import Experiments
from modelyard._client.logged_items import Logging
from modelyard._client.logged_models import LoggedModels
from modelyard._client.model_versions import ModelVersions
from modelyard._client.runs import Runs
from modelyard._drop_in import missing_method

__all__ = ["Client", "MlflowClient"]


class MlflowClient(Experiments, Runs, Logging, Artifacts, LoggedModels, ModelVersions, Erasing):
    """Calls of the tracking service and the registry, under MLflow's names.

    Every call has a deadline and is retried when the server cannot be reached, but takes effect
    once. Every refusal is a `modelyard.exceptions.ModelyardException`.

    Args:
        tracking_uri: `http(s)://host:port` or `grpc(s)://host:port`; by default the address that
            `modelyard.set_tracking_uri` or the environment sets at the time of each call.
        registry_uri: Address for registered models; by default the tracking server.
    """

    if not TYPE_CHECKING:  # else type checkers would accept any attribute

        def __getattr__(self, name: str) -> Any:
            raise missing_method(self, name)


Client = MlflowClient


def __dir__() -> list[str]:
    return __all__
