"""The registry replies and refuses what a naive one does, whatever was called before."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from tests.property.naive_models import FOREIGN, PINNED
from tests.property.naive_registry import DAMAGE, DIGEST, NaiveRegistry
from tests.support.databases.dialects import DIALECTS, open_migrated
from tests.support.soak import examples

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.scope import EVERYTHING, Scope
from modelyard_kit.db.notify import Notifier
from modelyard_kit.errors import Error
from modelyard_kit.references.uris import parse_source
from modelyard_kit.rpc.caller import Caller, caller, restrict_to_callers
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.rules.pinning import Pinned
from modelyard_registry.search.restriction import RESTRICTION
from modelyard_registry.servicer import RegistryServicer

RPCS = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"].methods_by_name
ROBOT = Scope(models=("iris*",), bearer="robot")
_names = itertools.count()


class _Context:
    """What a method asks of gRPC's context."""

    def is_active(self) -> bool:
        return True


CONTEXT = cast("grpc.ServicerContext", _Context())


class Time:
    """A clock that stands still during a call."""

    ms = 1

    def __call__(self) -> int:
        return self.ms


class Both:
    """A registry and a naive one, which answer the same calls.

    Each of two models has three names, and is renamed from one to the next.
    """

    def __init__(self, servicer: RegistryServicer) -> None:
        self.naive = NaiveRegistry()
        self.scope = EVERYTHING
        self._servicer = servicer
        number = next(_names)
        cycles = [[f"{kind} {n} {number}" for n in range(3)] for kind in ("iris", "rosé")]
        self._cycles = [itertools.cycle(cycle) for cycle in cycles]
        self.names = [next(cycle) for cycle in self._cycles]

    def create_model(self, model: int) -> None:
        name = self.names[model]
        request = pb.CreateRegisteredModelRequest(name=name)
        self._compare("CreateRegisteredModel", request, lambda naive: naive.create_model(name))

    def create_version(
        self,
        model: int,
        source: str | tuple[int, str],
        tags: dict[str, str],
        ensure: bool,  # noqa: FBT001 - one of a step's values, as below
    ) -> None:
        name = self.names[model]
        if isinstance(source, tuple):
            source = f"models:/{self.names[source[0]]}/{source[1]}"
        pinned = Pinned(DIGEST, "run", "7", None, has_model=True)
        sealed: Any = pinned if source == PINNED else parse_source(source)
        request = pb.CreateModelVersionRequest(
            name=name,
            source=source,
            tags=[pb.ModelVersionTag(key=key, value=value) for key, value in tags.items()],
            create_registered_model=ensure,
        )
        self._compare(
            "CreateModelVersion",
            request,
            lambda naive: naive.create_version(name, source, tags, ensure=ensure),
            lambda: self._servicer._create(request, CONTEXT, sealed),  # noqa: SLF001 - after sealing
        )

    def read(self, model: int, reference: str) -> None:
        name = self.names[model]
        self._compare(
            "GetModelVersion",
            pb.GetModelVersionRequest(name=name, version=reference),
            lambda naive: naive.get_version(name, reference),
        )
        at = "@" if reference in WORDS else "/"
        self._compare(
            "ResolveModel",
            pb.ResolveModelRequest(uri=f"models:/{name}{at}{reference}", include_downloads=False),
            lambda naive: naive.resolve(name, reference),
        )
        self._compare(
            "GetRegisteredModel",
            pb.GetRegisteredModelRequest(name=name),
            lambda naive: naive.get_model(name),
        )

    def transition(
        self,
        model: int,
        number: int,
        stage: str,
        archive: bool,  # noqa: FBT001
        expected: str,
        etag: str,
    ) -> None:
        name = self.names[model]
        request = pb.TransitionModelVersionStageRequest(
            name=name,
            version=str(number),
            stage=stage,
            archive_existing_versions=archive,
            expected_holder=expected,
            etag=etag,
        )
        self._compare(
            "TransitionModelVersionStage",
            request,
            lambda naive: naive.transition(name, number, stage, archive, expected, etag),
        )

    def roll_back(self, model: int, place: str, to: int | None, expected: str) -> None:
        name, number = self.names[model], "" if to is None else str(to)
        if place in WORDS:
            self._compare(
                "RollbackAlias",
                pb.RollbackAliasRequest(
                    name=name, alias=place, to=number, expected_holder=expected
                ),
                lambda naive: naive.roll_back_alias(name, place, to, expected),
            )
        else:
            self._compare(
                "RollbackStage",
                pb.RollbackStageRequest(
                    name=name, stage=place, to=number, expected_holder=expected
                ),
                lambda naive: naive.roll_back_stage(name, place, to, expected),
            )

    def set_alias(self, model: int, alias: str, number: int) -> None:
        name = self.names[model]
        self._compare(
            "SetRegisteredModelAlias",
            pb.SetRegisteredModelAliasRequest(name=name, alias=alias, version=str(number)),
            lambda naive: naive.set_alias(name, alias, number),
        )

    def delete_alias(self, model: int, alias: str) -> None:
        name = self.names[model]
        self._compare(
            "DeleteRegisteredModelAlias",
            pb.DeleteRegisteredModelAliasRequest(name=name, alias=alias),
            lambda naive: naive.delete_alias(name, alias),
        )

    def set_tag(self, model: int, number: int | None, key: str, value: str) -> None:
        name = self.names[model]
        fields = {"name": name, "key": key, "value": value}
        rpc, request = (
            ("SetRegisteredModelTag", pb.SetRegisteredModelTagRequest(**fields))
            if number is None
            else ("SetModelVersionTag", pb.SetModelVersionTagRequest(version=str(number), **fields))
        )
        self._compare(rpc, request, lambda naive: naive.set_tag(name, number, key, value))

    def delete_tag(self, model: int, number: int | None, key: str) -> None:
        name = self.names[model]
        fields = {"name": name, "key": key}
        rpc, request = (
            ("DeleteRegisteredModelTag", pb.DeleteRegisteredModelTagRequest(**fields))
            if number is None
            else (
                "DeleteModelVersionTag",
                pb.DeleteModelVersionTagRequest(version=str(number), **fields),
            )
        )
        self._compare(rpc, request, lambda naive: naive.delete_tag(name, number, key))

    def delete_version(self, model: int, number: int) -> None:
        name = self.names[model]
        self._compare(
            "DeleteModelVersion",
            pb.DeleteModelVersionRequest(name=name, version=str(number)),
            lambda naive: naive.delete_version(name, number),
        )

    def rename(self, model: int) -> None:
        name = self.names[model]
        if name not in self.naive.models:
            return
        self.scope = EVERYTHING
        new_name = self.names[model] = next(self._cycles[model])
        self._compare(
            "RenameRegisteredModel",
            pb.RenameRegisteredModelRequest(name=name, new_name=new_name),
            lambda naive: naive.rename(name, new_name),
        )

    def set_damage(self, is_damaged: bool) -> None:  # noqa: FBT001
        found = [pb.DamagedManifest(digest=DIGEST, damage=DAMAGE)]
        self._compare(
            "SetDamagedManifests",
            pb.SetDamagedManifestsRequest(manifests=found if is_damaged else []),
            lambda naive: naive.set_damage(is_damaged=is_damaged),
        )

    def verify(self) -> None:
        """Verify the histories, and compare their lengths with the revisions."""
        self.scope = EVERYTHING
        for name, revision in self.naive.revisions.items():
            reply = self._call("VerifyHistory", pb.VerifyHistoryRequest(name=name))
            assert reply.revision == revision

    def _compare(
        self,
        rpc: str,
        request: Any,
        expected: Callable[[NaiveRegistry], Message],
        call: Callable[[], Message] | None = None,
    ) -> None:
        """Make a call on both, and compare the replies or the refusals."""
        CLOCK.ms += 1
        naive = deepcopy(self.naive)
        naive.now_ms, naive.scope = CLOCK.ms, self.scope
        wanted: Any
        try:
            wanted = expected(naive)
        except Error as refusal:
            wanted = (type(refusal), refusal.message)
        else:
            self.naive = naive
        got: Any
        try:
            got = self._call(rpc, request, call)
        except Error as refusal:
            got = (type(refusal), refusal.message)
        assert got == wanted, f"{rpc}: {got} instead of {wanted}"

    def _call(self, rpc: str, request: Any, call: Callable[[], Message] | None = None) -> Any:
        grant = Grant("ada", scope=self.scope)
        caller.set(Caller(RPCS[rpc], "ada", grant, "request", "", "", time.monotonic() + 30, ""))
        return getattr(self._servicer, rpc)(request, CONTEXT) if call is None else call()


CLOCK = Time()
WORDS = ("champion", "challenger")
HELD = ("Staging", "Production")
STAGES = ("None", *HELD, "Archived")
STEPS = 300


def script(chance: Random) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield steps: names of methods of `Both`, with arguments."""

    def model() -> int:
        return chance.choice([0] * 9 + [1])

    def number() -> int:
        return chance.randint(1, 5)

    def rarely(*values: Any, else_: Any = "") -> Any:
        return chance.choice(values) if chance.random() < 0.1 else else_

    def source() -> str | tuple[int, str]:
        copied = (model(), chance.choice(["1", "3", "latest", *STAGES]))
        sources: list[str | tuple[int, str]] = [FOREIGN, PINNED, PINNED, copied]
        return chance.choice(sources)

    def stage() -> str:
        return chance.choice(HELD * 2 + STAGES)

    def tag() -> tuple[Any, ...]:
        return model(), chance.choice([None, 1, 2, 3]), chance.choice(["team", "a/b c"])

    kinds: dict[str, tuple[int, Callable[[], tuple[Any, ...]]]] = {
        "create_version": (
            4,
            lambda: (model(), source(), {"team": "x", "b": "\\"}, chance.random() < 0.5),
        ),
        "create_model": (1, lambda: (model(),)),
        "read": (4, lambda: (model(), chance.choice(["1", "2", "latest", *STAGES, *WORDS]))),
        "transition": (
            10,
            lambda: (
                model(),
                number(),
                stage(),
                chance.random() < 0.2,
                rarely("none", "1", "2"),
                rarely("1", "2"),
            ),
        ),
        "roll_back": (
            8,
            lambda: (
                model(),
                chance.choice(HELD * 2 + WORDS * 2 + STAGES),
                rarely(1, 2, 3, else_=None),
                rarely("none", "1"),
            ),
        ),
        "set_alias": (6, lambda: (model(), chance.choice(WORDS), number())),
        "delete_alias": (1, lambda: (model(), chance.choice(WORDS))),
        "set_tag": (2, lambda: (*tag(), chance.choice(["one", "dreißig\n"]))),
        "delete_tag": (1, tag),
        "delete_version": (1, lambda: (model(), number())),
        "rename": (1, lambda: (model(),)),
        "set_damage": (1, lambda: (chance.random() < 0.3,)),
    }
    weights = [weight for weight, _ in kinds.values()]
    for kind in chance.choices(list(kinds), weights, k=STEPS):
        yield kind, kinds[kind][1]()


@pytest.fixture(scope="module", params=DIALECTS)
def servicer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServicer]:
    database = open_migrated(request.param, tmp_path_factory.mktemp("calls"), MIGRATIONS)
    restrict_to_callers(database, RESTRICTION)
    nothing: Any = None
    yield RegistryServicer(
        database,
        store=nothing,
        tracking=nothing,
        clock=CLOCK,
        notifier=Notifier(),
        is_stopping=lambda: False,
        token=None,
        protects_staged=False,
    )
    database.close()


@pytest.mark.parametrize("seed", range(examples(2)))
def test_the_registry_answers_as_a_naive_one(servicer: RegistryServicer, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - not for secrets
    both = Both(servicer)
    both.set_damage(is_damaged=False)
    for _ in range(5):
        both.create_version(0, PINNED, {}, ensure=True)
    for kind, values in script(chance):
        both.scope = chance.choice([EVERYTHING, EVERYTHING, ROBOT])
        getattr(both, kind)(*values)
    both.verify()
