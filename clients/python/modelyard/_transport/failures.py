"""Classification of failed calls."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from modelyard import exceptions
from modelyard._transport.quiet_grpc import grpc
from modelyard.api.errors.v1 import errors_pb2
from modelyard.exceptions import (
    Cancelled,
    DeadlineExceeded,
    ModelyardException,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)

_DETAILS_KEY = "grpc-status-details-bin"
_TYPE_URL = "type.googleapis.com/google.rpc."
# gRPC's details for a call without a connection.
_UNREACHED = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "errors resolving",
    "DNS resolution failed",
)
# gRPC's text at its own limit of concurrent calls; nothing was started.
_CROWDED = "Concurrent RPC limit exceeded"
_CROWDED_FOR_S = 0.5
# Without our error details these codes come from gRPC, and nothing was started; the outcome of
# other codes is unknown.
_NOT_STARTED = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED}
# Only a server that is stopping cancels calls, those that arrive at that moment.
_BROKEN_OFF = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
_UNKNOWN_OUTCOME = " The change may have been done: check before you retry."

Detail = TypeVar("Detail", bound=Message)


class Failure:
    """A failed call.

    Args:
        error: Error of the gRPC call.

    Attributes:
        is_of_transport: Whether the server did not answer.
        may_have_arrived: Whether the server may have executed the call without reporting it.
        is_late: Whether there was no answer in time.
        may_pass: Whether the same call may succeed later.
        retry_after_s: Delay before a retry that the server asked for, seconds; None for none.
    """

    def __init__(self, error: Any) -> None:
        self._code: grpc.StatusCode = error.code()
        self._details: str = error.details() or ""
        status = _status(error)
        self._info = _detail(status, errors_pb2.ErrorInfo)
        if self._info is not None and self._info.domain != "modelyard":
            self._info = None
        self.is_of_transport = self._code in _BROKEN_OFF and self._info is None
        self.is_late = self._code is grpc.StatusCode.DEADLINE_EXCEEDED
        self.may_have_arrived = (
            self._info is None
            and self._code not in _NOT_STARTED
            and not (self.is_of_transport and self._is_unreached())
        )
        self.retry_after_s = self._retry_after_s(status)
        is_down = self.is_of_transport or self._code is grpc.StatusCode.UNAVAILABLE
        self.may_pass = self.retry_after_s is not None or (is_down and self._distrust() is None)

    def _is_unreached(self) -> bool:
        return any(text in self._details for text in _UNREACHED)

    def _retry_after_s(self, status: errors_pb2.Status | None) -> float | None:
        info = _detail(status, errors_pb2.RetryInfo)
        if info is not None:
            return max(info.retry_delay.ToMilliseconds() / 1000, 0.0)
        return _CROWDED_FOR_S if self._is_crowded() else None

    def _is_crowded(self) -> bool:
        return self._code is grpc.StatusCode.RESOURCE_EXHAUSTED and _CROWDED in self._details

    def _distrust(self) -> str | None:
        if not (self.is_of_transport and self._is_unreached()):
            return None
        from modelyard._transport import tls

        return tls.explained(self._details)

    def exception(self, server: str, timeout_s: float, *, may_be_done: bool) -> ModelyardException:
        """Return the exception to raise.

        Args:
            server: Address of the server, for messages.
            timeout_s: Deadline of all attempts together, seconds.
            may_be_done: Whether this attempt, or an earlier one, may have changed something.
        """
        outcome = _UNKNOWN_OUTCOME if may_be_done else ""
        if self._info is not None:
            kind = _BY_REASON.get(self._info.reason, ModelyardException)
            # Any other refusal takes earlier attempts into account, so the outcome is known.
            unknown = outcome if self.may_pass else ""
            return kind((self._details or self._info.reason) + unknown)
        by_code = {
            grpc.StatusCode.UNAVAILABLE: Unavailable(
                f"The server at {server} cannot be reached{self._why()}{outcome}"
            ),
            grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded(
                f"The server at {server} did not answer within {timeout_s:g} s.{outcome}"
            ),
            grpc.StatusCode.UNIMPLEMENTED: Unimplemented(
                f"The server at {server} does not implement this call; is it too old?"
            ),
            grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted(
                f"The server at {server} refused: {self._details}.{outcome}"
            ),
            grpc.StatusCode.CANCELLED: Cancelled(f"The call was cancelled.{outcome}"),
        }
        failed = ModelyardException(f"The server at {server} failed: {self._details}.{outcome}")
        return by_code.get(self._code, failed)

    def _why(self) -> str:
        reason = self._distrust()
        if reason:
            return f": {reason}."
        if self._is_unreached() and "Socket closed" in self._details:
            return (
                ": it closes connections at once. Does it require TLS (https:// or grpcs://) or a "
                "client certificate (MODELYARD_TLS_CERT_FILE)?"
            )
        return ". Is it running?"


def _reasons() -> dict[str, type[ModelyardException]]:
    known = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    kinds = {kind.code: kind for kind in known if issubclass(kind, ModelyardException)}
    return {name: kinds[name] for name in errors_pb2.Reason.keys() if name in kinds}  # noqa: SIM118 - an enum wrapper is not a dict


_BY_REASON = _reasons()


def _status(error: Any) -> errors_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            try:
                return errors_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: errors_pb2.Status | None, kind: type[Detail]) -> Detail | None:
    url = _TYPE_URL + kind.DESCRIPTOR.name
    found = [detail for detail in status.details if detail.type_url == url] if status else []
    try:
        return kind.FromString(found[0].value) if found else None
    except DecodeError:
        return None
