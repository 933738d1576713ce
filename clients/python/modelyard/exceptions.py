"""What the client raises."""

from __future__ import annotations


class ModelyardException(Exception):
    """A refusal, with the error code of MLflow's REST API.

    Args:
        message: What was wrong, with which value, and what would be right.
        error_code: Such as `INVALID_PARAMETER_VALUE` or `RESOURCE_DOES_NOT_EXIST`.
    """

    def __init__(self, message: str, error_code: str = "INTERNAL_ERROR") -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code


MlflowException = ModelyardException
