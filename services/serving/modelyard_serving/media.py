"""Media types of the scoring protocol, used by the endpoint and its workers."""

from __future__ import annotations

JSON = "application/json"
CSV = "text/csv"


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type header.

    Raises:
        ValueError: The type is not supported, or has a parameter other than `charset=utf-8`.
    """
    found, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if found not in {JSON, CSV}:
        raise ValueError(
            f"This predictor takes {JSON} and {CSV}; the Content-Type was "
            f"{repr(found) if found else 'missing'}."
        )
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        if name.strip() != "charset" or value.strip().strip('"') not in {"utf-8", "utf8"}:
            raise ValueError(
                f"The only parameter of Content-Type that is supported is charset=utf-8; "
                f"got {parameter!r}."
            )
    return found
