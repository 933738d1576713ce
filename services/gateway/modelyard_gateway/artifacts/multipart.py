"""MLflow's multipart uploads: parts are sent to signed URLs and joined at the end.

The gateway keeps no state between requests. The permissions of an upload are signed into its id; a
part is one or more objects of the store, named by its ETag. The ETag is signed too, so that a file
is made only of bytes that its uploader has sent, and of each part once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute

from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard_gateway.artifacts.paths import Owned, owned_file, unquoted_path_in
from modelyard_gateway.artifacts.transfers import Transfers
from modelyard_gateway.artifacts.uploads import Uploads
from modelyard_gateway.bodies import MAX_OF_ONE_BYTES, Bodies
from modelyard_gateway.calls import metadata_of, parsed
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.errors import InvalidArgument, PermissionDenied, missing
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import JsonResponse
from modelyard_kit.http.routing import below

MAX_PARTS = 10_000
_EXPIRES_S = 60 * 60  # as long as the lease of objects that belong to no file
_MAX_BODY_BYTES = MAX_OF_ONE_BYTES  # URLs and ETags of 10,000 parts
_WRITE = artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"].methods_by_name[
    "CheckArtifactsWritable"
]
_MAX_ID_CHARACTERS = 512


class Multipart:
    """Routes of multipart uploads.

    Args:
        signer: Signs the URLs of parts and the ids of uploads.
        bodies: Admits bodies into memory.
        transfers: Runs short blocking work.
        uploads: Stores the bytes.
    """

    def __init__(
        self, signer: UrlSigner, bodies: Bodies, transfers: Transfers, uploads: Uploads
    ) -> None:
        self._signer = signer
        self._bodies = bodies
        self._transfers = transfers
        self._uploads = uploads

    def routes(self, root: str) -> Iterator[BaseRoute]:
        yield below(f"{root}/mpu/create/", {"POST": self.create})
        yield below(f"{root}/mpu/complete/", {"POST": self.complete})
        yield below(f"{root}/mpu/abort/", {"POST": self.abort})

    async def create(self, request: Request) -> Response:
        """Return an upload id and a URL to PUT each part to."""
        body = await self._document(request)
        artifact = _uploaded_file(request, body)
        num_parts = _typed(body, "num_parts", int, default=1)
        if not 1 <= num_parts <= MAX_PARTS:
            raise InvalidArgument(
                f"Invalid value for parameter 'num_parts': {num_parts}; expected 1 to {MAX_PARTS}."
            )
        identity = metadata_of(request)
        await self._transfers.run(lambda: self._uploads.check_writable(artifact, identity))
        return JsonResponse(await self._transfers.run(lambda: self._created(artifact, num_parts)))

    def _created(self, artifact: Owned, num_parts: int) -> dict[str, Any]:
        expires_at_s = int(time.time()) + _EXPIRES_S
        claims = {"method": "MULTIPART", "expires": str(expires_at_s), "parts": str(num_parts)}
        credentials = [
            {
                "url": self._signer.file_url("PUT", str(artifact), expires_at_s, part=str(number)),
                "part_number": number,
                "headers": {},
            }
            for number in range(1, num_parts + 1)
        ]
        upload_id = urlencode(self._signer.sign(str(artifact), claims))
        return {"upload_id": upload_id, "credentials": credentials}

    async def complete(self, request: Request) -> Response:
        """Join the parts into one file, replacing an existing one."""
        body = await self._document(request)
        artifact = _uploaded_file(request, body)
        identity = metadata_of(request)
        num_parts = self._checked_parts(artifact, body)
        tags = _tags(_typed(body, "parts", list), num_parts)
        objects = await self._transfers.run(
            lambda: [
                digest for tag in tags for digest in part_objects(self._signer, artifact, *tag)
            ]
        )
        await self._transfers.run(lambda: self._uploads.check_writable(artifact, identity))
        await self._uploads.join(request, artifact, objects, identity)
        return JsonResponse({})

    async def abort(self, request: Request) -> Response:
        """Abort an upload: its parts belong to no file and are swept when their lease ends."""
        body = await self._document(request)
        artifact, identity = _uploaded_file(request, body), metadata_of(request)
        self._checked_parts(artifact, body)
        await self._transfers.run(lambda: self._uploads.check_writable(artifact, identity))
        return JsonResponse({})

    async def _document(self, request: Request) -> dict[str, Any]:
        async with self._bodies.admitted(request, "tracking", _WRITE, _MAX_BODY_BYTES):
            body = await request.exchange.read(_MAX_BODY_BYTES)
            if body is None:
                raise HttpError(
                    413,
                    "INVALID_PARAMETER_VALUE",
                    f"The body is larger than {_MAX_BODY_BYTES >> 20} MiB; use larger parts.",
                )
            document = await self._bodies.decoded(lambda: parsed(request, body))
        if type(document) is not dict:
            raise InvalidArgument("The body must be a JSON object.")
        return document

    def _checked_parts(self, artifact: Owned, body: dict[str, Any]) -> int:
        """Return the number of parts; raise PermissionDenied for an upload id not signed here."""
        claims = dict(parse_qsl(_typed(body, "upload_id", str)[:_MAX_ID_CHARACTERS]))
        signed = self._signer.check("MULTIPART", str(artifact), claims, time.time())
        return int(signed["parts"])


def part_tag(
    signer: UrlSigner, artifact: Owned, granted: Mapping[str, str], objects: Sequence[Digest]
) -> str:
    """Return the ETag of a part that was uploaded to a `granted` URL and stored as `objects`."""
    names = ".".join(objects)
    claims = _part_claims(granted["part"], granted["expires"], names)
    return f"{names}-{granted['expires']}-{signer.sign(str(artifact), claims)['signature']}"


def part_objects(signer: UrlSigner, artifact: Owned, number: int, tag: str) -> list[Digest]:
    """Return the objects that a part is stored as.

    Raises:
        InvalidArgument: The ETag belongs to another part or another file.
    """
    names, expires, signature = [*tag.split("-", 2), "", ""][:3]
    claims = _part_claims(str(number), expires, names)
    try:
        signer.check("PART", str(artifact), {**claims, "signature": signature}, time.time())
    except PermissionDenied:
        raise InvalidArgument(
            f"The ETag of part {number} is not the one that its upload returned: '{tag[:100]}'."
        ) from None
    return [Digest(name) for name in names.split(".")]


def _part_claims(number: str, expires: str, names: str) -> dict[str, str]:
    return {"method": "PART", "part": number, "expires": expires, "objects": names}


def _uploaded_file(request: Request, body: dict[str, Any]) -> Owned:
    """Return the file's path: its folder from the route, its name from the local path."""
    folder = unquoted_path_in(request).rstrip("/")
    local = _typed(body, "path", str)
    name = _file_name(local)
    if not name:
        raise InvalidArgument(f"Parameter 'path' must end in a file name, got '{local[:200]}'.")
    return owned_file(f"{folder}/{name}")


def _file_name(local: str) -> str:
    """Return the name of a file from its path on the client's system; empty for a folder."""
    windows = PureWindowsPath(local)
    is_windows = "\\" in local and ("/" not in local or windows.drive)
    if local.endswith(("/", "\\") if is_windows else "/"):
        return ""
    return windows.name if is_windows else PurePosixPath(local).name


def _tags(parts: list[Any], num_parts: int) -> list[tuple[int, str]]:
    """Return the number and ETag of each part, in order."""
    tags: dict[int, str] = {}
    for part in parts:
        if type(part) is not dict:
            raise InvalidArgument("Parameter 'parts' must be a list of objects.")
        tags[_typed(part, "part_number", int)] = _typed(part, "etag", str).strip('"')
    if sorted(tags) != list(range(1, num_parts + 1)) or len(tags) != len(parts):
        raise InvalidArgument(
            f"Parameter 'parts' must name each part from 1 to {num_parts} once, "
            f"got {len(parts)} of them."
        )
    return sorted(tags.items())


def _typed(body: dict[str, Any], name: str, kind: type[Any], default: Any = None) -> Any:
    value = body.get(name)
    if value is None:
        value = default
    if value is None:
        raise missing(name)
    if type(value) is not kind:  # a bool is an int to isinstance
        raise InvalidArgument(
            f"Invalid value for parameter '{name}': expected {_NAMES[kind]}, "
            f"got {str(value)[:100]!r}."
        )
    return value


_NAMES = {int: "a whole number", str: "text", list: "a list"}
