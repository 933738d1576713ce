"""A gateway whose store is not the one of tracking serves and stores no artifacts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.http.artifact_edge import API, FILES, Edge, running_edge
from tests.support.stores.s3_servers import S3Server

from modelyard_gateway.artifacts.belonging import Belonging
from modelyard_kit.artifacts import ArtifactStore, Digest, UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.artifacts.marks import INSTALLATION
from modelyard_kit.errors import Unavailable

SIGNER = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1")
DATA = b"bytes that must not go astray"


@pytest.fixture(params=["local", "s3"])
def stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[ArtifactStore, ArtifactStore]]:
    """Yield the store of tracking and another one of the same kind."""
    if request.param == "local":
        yield LocalStore(tmp_path / "one", SIGNER), LocalStore(tmp_path / "other", SIGNER)
    else:
        moto: S3Server = request.getfixturevalue("moto")
        yield moto.open_store(), moto.open_store()


def readiness(edge: Edge) -> str:
    return edge.refusal("GET", "/health")[2]


def test_a_gateway_with_another_store_is_not_ready_and_refuses_transfers(
    tmp_path: Path,
    stores: tuple[ArtifactStore, ArtifactStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, other = stores
    monkeypatch.setattr(Belonging, "fresh_s", 0.0)
    with running_edge(tmp_path / "edge", store=own, gateway_store=other) as edge:
        run_id = edge.create_run()
        file = f"{FILES}/0/{run_id}/artifacts/a.txt"
        digest = Digest.of(DATA)
        _, _, signed_put = SIGNER.put_url(digest, len(DATA), int(time.time()) + 60).partition("1/")
        own.put(digest, [DATA], len(DATA))
        _, _, signed_get = SIGNER.get_url(digest, int(time.time()) + 60).partition("1/")
        upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=a.txt"
        asked: list[tuple[Any, ...]] = [
            ("PUT", file, DATA),
            ("GET", file),
            ("GET", f"{API}/presigned/0/{run_id}/artifacts/a.txt"),
            ("GET", f"/get-artifact?run_id={run_id}&path=a.txt"),
            ("POST", upload, DATA),
            ("PUT", f"/{signed_put}", DATA),
            ("GET", f"/{signed_get}"),
        ]
        for given in ("", "0" * 32):  # of no installation, of another one
            if given:
                other.set_mark(INSTALLATION, given)
            assert "artifacts (the store is not the one of tracking)" in readiness(edge)
            for request in asked:
                status, code, message = edge.refusal(*request)
                assert (status, code) == (503, "TEMPORARILY_UNAVAILABLE"), request
                assert "Correct MODELYARD_ARTIFACTS of the gateway." in message
        assert not list(other.list_objects())
        assert edge.listed(f"0/{run_id}/artifacts") == {}  # what needs no bytes is answered

        other.set_mark(INSTALLATION, str(own.mark(INSTALLATION)), replace=True)
        assert "artifacts" not in readiness(edge)
        assert edge.ask("PUT", f"/{signed_put}", DATA)[0] == 200


class Silent(LocalStore):
    """A store that does not say to which installation it belongs."""

    def mark(self, name: str) -> str | None:
        raise Unavailable(f"{name} cannot be read")


def test_a_store_whose_id_cannot_be_read_is_not_another_store(tmp_path: Path) -> None:
    own = LocalStore(tmp_path / "store", SIGNER)
    silent = Silent(tmp_path / "store", SIGNER)
    with running_edge(tmp_path / "edge", store=own, gateway_store=silent) as edge:
        run_id = edge.create_run()
        assert edge.ask("PUT", f"{FILES}/0/{run_id}/artifacts/a.txt", DATA)[0] == 200
        assert "artifacts" not in readiness(edge)
