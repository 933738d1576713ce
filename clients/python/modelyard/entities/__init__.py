"""Entities that the client returns, with MLflow's attributes. Times are Unix milliseconds."""

from modelyard._drop_in import missing_attribute
from modelyard.entities import model_registry
from modelyard.entities.erasures import Erasure, RemainingObject
from modelyard.entities.experiments import Experiment, ExperimentTag, ViewType
from modelyard.entities.files import FileInfo
from modelyard.entities.logged_models import (
    LoggedModel,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
)
from modelyard.entities.paged import PagedList
from modelyard.entities.runs import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)

__all__ = [
    "Dataset",
    "DatasetInput",
    "Erasure",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LoggedModel",
    "LoggedModelInput",
    "LoggedModelOutput",
    "LoggedModelParameter",
    "LoggedModelStatus",
    "LoggedModelTag",
    "Metric",
    "PagedList",
    "Param",
    "RemainingObject",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunOutputs",
    "RunStatus",
    "RunTag",
    "ViewType",
    "model_registry",
]

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__
