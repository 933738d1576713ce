"""Reading and hashing of the objects of a store by its server, for `gc` and `doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.internal import rpc

_PAGE_TIMEOUT_S = 600.0
_MAX_NAMED = 5


def pages(uri: str | None) -> Iterable[pb.ScrubObjectsResponse]:
    """Have a server verify its objects, a page at a time.

    Args:
        uri: Address of the tracking server; None for that of the local home.

    Raises:
        ModelyardException: The server refused, or cannot be reached.
    """
    call = partial(rpc.call, uri, timeout_s=_PAGE_TIMEOUT_S)
    found: Iterable[pb.ScrubObjectsResponse] = rpc.pages(
        call, pb.ScrubObjectsRequest(), pb.ScrubObjectsResponse
    )
    return found


def described(found: pb.DamagedObject) -> str:
    """Return a line on a damaged object and what has it."""
    state = "missing" if found.missing else "damaged"
    holders = [f"version {version.version} of {version.name}" for version in found.versions]
    holders += [_file(file) for file in found.files]
    named = list(_some(holders)) or ["nothing that is registered or logged"]
    return f"{state}: object {found.digest}, {found.size_bytes:,} bytes, in {', '.join(named)}"


def _file(file: pb.FileWithSameBytes) -> str:
    if file.run_id:
        return f"'{file.path}' of run {file.run_id}"
    return f"'{file.path}' of logged model {file.model_id}"


def _some(holders: list[str]) -> Iterator[str]:
    yield from holders[:_MAX_NAMED]
    if len(holders) > _MAX_NAMED:
        yield f"and {len(holders) - _MAX_NAMED} more"
