"""Checks of API tokens against a fetched snapshot, with real threads."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from modelyard.api.access.v1 import access_pb2 as pb
from modelyard_kit.auth import grants
from modelyard_kit.auth.roles import ROLES
from modelyard_kit.auth.tokens import Snapshot, Tokens
from modelyard_kit.errors import Unauthenticated, Unavailable
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.token_checks import from_registry, snapshot_of

NOW_MS = 1_700_000_000_000


def token_of(number: int) -> str:
    return f"modelyard_{number:010d}_{'s' * 43}"


class Registry:
    """Returns snapshots as the registry does, unless it is down."""

    def __init__(self) -> None:
        self.revision = 0
        self.checks: dict[str, pb.TokenCheck] = {}
        self.is_down = False
        self.asked = 0
        self.fetched: SimpleQueue[int] = SimpleQueue()
        """Revisions of the fetched snapshots."""

    def make(self, number: int, role: int = pb.VIEWER, **fields: object) -> str:
        token = token_of(number)
        check = pb.TokenCheck(
            id=token.split("_")[1],
            sha256=hashlib.sha256(token.encode()).hexdigest(),
            name=f"token {number}",
            role=role,  # type: ignore[arg-type]  # also one that is not in the contract
            **fields,  # type: ignore[arg-type]
        )
        self.checks[check.id] = check
        self.revision += 1
        return token

    def revoke(self, token: str) -> None:
        del self.checks[token.split("_")[1]]
        self.revision += 1

    def fetch(self, revision: int) -> Snapshot | None:
        self.asked += 1
        if self.is_down:
            raise Unavailable("registry cannot be reached. Try again.")
        reply = pb.ListTokenChecksResponse(revision=self.revision, tokens=self.checks.values())
        self.fetched.put(self.revision)
        return snapshot_of(reply, revision)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def tokens(registry: Registry) -> Tokens:
    return Tokens(registry.fetch, lambda: NOW_MS)


@pytest.fixture
def following(tokens: Tokens) -> Iterator[Tokens]:
    tokens.start()
    yield tokens
    tokens.close()


def test_a_token_grants_what_its_role_does(registry: Registry, tokens: Tokens) -> None:
    token = registry.make(1, pb.APPROVER, models=["fraud-*"])
    grant = tokens.identify(token)
    assert (grant.name, grant.principal) == ("token 1", "token:0000000001")
    assert grant.permissions == ROLES[pb.APPROVER]
    assert grant.scope.has_model("fraud-1")
    assert not grant.scope.has_model("iris")
    assert grant.scope.has_experiment("iris")


def test_an_unknown_role_has_no_permissions(registry: Registry, tokens: Tokens) -> None:
    assert tokens.identify(registry.make(1, role=77)).permissions == frozenset()


def test_a_new_token_is_found_at_its_first_use(registry: Registry, tokens: Tokens) -> None:
    tokens.identify(registry.make(1))
    assert tokens.identify(registry.make(2)).name == "token 2"
    assert registry.asked == 2
    tokens.identify(token_of(1))
    assert registry.asked == 2


def test_a_revoked_token_ends_with_the_next_snapshot(registry: Registry, tokens: Tokens) -> None:
    token = registry.make(1)
    tokens.identify(token)
    registry.revoke(token)
    tokens.refresh()
    with pytest.raises(Unauthenticated, match="it is unknown, revoked or expired"):
        tokens.identify(token)


def test_the_snapshot_is_kept_up_to_date(registry: Registry, following: Tokens) -> None:
    token = registry.make(1)
    following.identify(token)
    registry.revoke(token)
    while registry.fetched.get(timeout=30) < registry.revision:
        pass
    following.close()  # what was answered is kept by then
    registry.is_down = True  # so that the check below can only be answered from the snapshot
    with pytest.raises(Unauthenticated):
        following.identify(token)


def test_without_the_registry_known_tokens_are_valid_until_they_expire(registry: Registry) -> None:
    now_ms = [NOW_MS]
    tokens = Tokens(registry.fetch, lambda: now_ms[0])
    check = pb.TokenCheck()
    check.expire_time.FromMilliseconds(NOW_MS + 1000)
    token = registry.make(1, expire_time=check.expire_time)
    tokens.identify(token)
    registry.is_down = True
    tokens.refresh()
    assert tokens.identify(token).name == "token 1"
    with pytest.raises(Unauthenticated):
        tokens.identify(token_of(2))
    now_ms[0] += 1000
    with pytest.raises(Unauthenticated, match="The token 'token 1' has expired"):
        tokens.identify(token)


def test_a_server_without_a_snapshot_cannot_check_tokens(
    registry: Registry, tokens: Tokens
) -> None:
    registry.is_down = True
    for _ in range(3):
        with pytest.raises(Unavailable, match="Tokens cannot be checked now"):
            tokens.identify(token_of(1))
    assert registry.asked == 1  # and does not ask for each of them


def test_the_registry_coming_back_is_noticed(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.is_down = True
    token = registry.make(1)
    tokens = Tokens(registry.fetch)
    with pytest.raises(Unavailable):
        tokens.identify(token)
    assert [record.message for record in caplog.records] == ["tokens cannot be refreshed"]
    registry.is_down = False
    tokens.refresh()
    assert tokens.identify(token).name == "token 1"


def test_the_reason_of_a_failed_refresh_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with connect("127.0.0.1:1") as channel:
        Tokens(from_registry(channel, "the-services-own")).refresh()
    (record,) = caplog.records
    assert "onnect" in vars(record)["detail"]
    assert "the-services-own" not in str(vars(record))


def test_text_that_is_not_a_token_causes_no_fetch(registry: Registry, tokens: Tokens) -> None:
    for text in ("", "modelyard_", token_of(1)[:-1], token_of(1) + "s", "ünlesbar" * 9):
        with pytest.raises(Unauthenticated):
            tokens.identify(text)
    assert registry.asked == 0


def test_many_at_once_find_a_new_token(registry: Registry, tokens: Tokens) -> None:
    tokens.identify(registry.make(1))
    new = registry.make(2)
    start = threading.Barrier(8)
    named: list[str] = []

    def identify() -> None:
        start.wait()
        named.append(tokens.identify(new).name)

    threads = [threading.Thread(target=identify) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert named == ["token 2"] * 8


def test_every_comparison_takes_the_same_time(
    registry: Registry, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare: Callable[..., bool] = hmac.compare_digest

    def counting(given: str, known: str) -> bool:
        compared.append((len(given), len(known)))
        return compare(given, known)

    known = registry.make(1)
    monkeypatch.setattr(hmac, "compare_digest", counting)
    tokens.identify(known)
    for wrong in (token_of(9), known[:-1] + "x", "no token at all"):
        with pytest.raises(Unauthenticated):
            tokens.identify(wrong)
    # The given token is hashed first, and compared with a digest even if its id is unknown.
    assert compared == [(64, 64)] * 4


def test_the_password_of_basic_is_the_token() -> None:
    assert grants.token_of("Basic YWRhOnQ6MQ==") == "t:1"  # ada:t:1
    assert grants.token_of("basic YWRh") == ""
    assert grants.token_of("Basic %%%") == ""
    assert grants.token_of("Bearer  t ") == "t"
    assert grants.token_of("t") == ""
    assert grants.token_id(f"Bearer {token_of(7)}") == "0000000007"
    assert grants.token_id("Bearer modelyard_x") == ""
