from urllib.parse import parse_qs, urlsplit

import pytest

from modelyard_kit.artifacts import Digest, UrlGrant, UrlSigner
from modelyard_kit.errors import PermissionDenied

DIGEST = Digest.of(b"weights")
OTHER = Digest.of(b"other weights")
SIGNER = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1:5000")


def query_of(url: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def test_a_url_allows_what_it_was_made_for_until_it_expires() -> None:
    url = SIGNER.put_url(DIGEST, size_bytes=7, expires_at_s=1000)

    assert url.startswith(
        f"http://127.0.0.1:5000/artifacts/objects/{DIGEST}?method=PUT&size=7&expires=1000&signature="
    )
    assert SIGNER.verify("PUT", DIGEST, query_of(url), 999.9) == UrlGrant(DIGEST, 7, None)


def test_a_file_name_of_any_characters_travels_unchanged() -> None:
    name = 'ж & =?#%20"\r\n/..\\'
    url = SIGNER.get_url(DIGEST, 1000, name)

    assert SIGNER.verify("GET", DIGEST, query_of(url), 0) == UrlGrant(DIGEST, None, name)


@pytest.mark.parametrize("now_s", [1000, 1000.5, 10**12])
def test_an_expired_url_is_refused_as_expired(now_s: float) -> None:
    query = query_of(SIGNER.get_url(DIGEST, 1000))

    with pytest.raises(PermissionDenied, match="has expired"):
        SIGNER.verify("GET", DIGEST, query, now_s)


@pytest.mark.parametrize(
    "forgery",
    [
        {"expires": "9999999999"},
        {"size": "8"},
        {"size": "07"},
        {"method": "GET"},
        {"filename": "x"},
        {"extra": "x"},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "é"},
        {"expires": "soon"},
    ],
)
def test_a_url_with_any_parameter_changed_is_refused_as_forged(forgery: dict[str, str]) -> None:
    query = query_of(SIGNER.put_url(DIGEST, 7, 1000)) | forgery

    with pytest.raises(PermissionDenied, match="signature of this artifact URL is not valid"):
        SIGNER.verify("PUT", DIGEST, query, 0)


@pytest.mark.parametrize("missing", ["method", "size", "expires", "signature"])
def test_a_url_with_a_parameter_missing_is_refused_as_forged(missing: str) -> None:
    query = query_of(SIGNER.put_url(DIGEST, 7, 1000))
    del query[missing]

    with pytest.raises(PermissionDenied, match="signature of this artifact URL is not valid"):
        SIGNER.verify("PUT", DIGEST, query, 0)


def test_a_url_does_not_open_another_object_or_method_or_instance() -> None:
    query = query_of(SIGNER.get_url(DIGEST, 1000))
    elsewhere = UrlSigner(b"t" * 32, lambda: "http://127.0.0.1:5000")

    for signer, method, digest in (
        (SIGNER, "GET", OTHER),
        (SIGNER, "PUT", DIGEST),
        (elsewhere, "GET", DIGEST),
    ):
        with pytest.raises(PermissionDenied, match="signature of this artifact URL is not valid"):
            signer.verify("PUT" if method == "PUT" else "GET", digest, query, 0)


def test_an_expired_forgery_is_called_a_forgery() -> None:
    query = query_of(SIGNER.get_url(DIGEST, 1000)) | {"signature": "0" * 64}

    with pytest.raises(PermissionDenied, match="not valid"):
        SIGNER.verify("GET", DIGEST, query, 5000)


def test_the_address_may_become_known_after_the_signer_is_made() -> None:
    addresses: list[str] = []
    signer = UrlSigner(b"s" * 32, lambda: addresses[-1])
    addresses.append("http://127.0.0.1:41234")

    assert signer.get_url(DIGEST, 1000).startswith("http://127.0.0.1:41234/artifacts/objects/")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        UrlSigner(b"short", lambda: "")
