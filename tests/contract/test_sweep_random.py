"""After random calls, a sweep leaves exactly the live objects."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.swept_platform import Platform, swept_platform

from modelyard_kit.artifacts import Digest
from modelyard_tracking.rules.artifacts import STRAY_MS


class People:
    """Log, share, register, delete and give up, at random."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self.platform = platform
        self._choose = random.Random(seed)  # noqa: S311 - no secret
        self._contents = [f"object {number}".encode() for number in range(8)]
        self._trees: dict[str, dict[str, bytes]] = {}
        self._versions: list[str] = []

    @property
    def needed(self) -> set[Digest]:
        trees = {Digest.of(data) for files in self._trees.values() for data in files.values()}
        return trees | self.platform.needed()

    def do_something(self) -> None:
        choices: list[Callable[[], object]] = [self._log, self._log, self._delete, self._register]
        choices += [self._delete_version, self._give_up, self._let_time_pass, self.platform.sweep]
        self._choose.choice(choices)()

    def _log(self) -> None:
        run_id = self._choose.choice([*self._trees, self.platform.tracking.create_run()])
        names = (f"model/{self._choose.randrange(3)}" for _ in range(2))
        files = {name: self._choose.choice(self._contents) for name in names}
        self.platform.tracking.log_files(files, run_id=run_id)
        self._trees.setdefault(run_id, {}).update(files)

    def _delete(self) -> None:
        if run_id := self._choose.choice([*self._trees, ""]):
            self.platform.delete_files(run_id)
            del self._trees[run_id]

    def _register(self) -> None:
        if run_id := self._choose.choice([*self._trees, ""]):
            self._versions.append(self.platform.register(run_id))

    def _delete_version(self) -> None:
        if self._versions:
            at = self._choose.randrange(len(self._versions))
            self.platform.delete_version(self._versions.pop(at))

    def _give_up(self) -> None:
        data = self._choose.choice(self._contents)
        self.platform.declare(self.platform.tracking.create_run(), data)
        self.platform.store.put(Digest.of(data), [data], len(data))

    def _let_time_pass(self) -> None:
        self.platform.clock.ahead_ms += self._choose.randrange(5_000_000)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_logged_shared_and_deleted_the_store_holds_what_is_live(
    tmp_path: Path, dialect: Dialect, seed: int
) -> None:
    with swept_platform(tmp_path, dialect) as platform:
        people = People(platform, seed)
        for _ in range(60):
            people.do_something()
            assert people.needed <= platform.objects
        platform.clock.ahead_ms += STRAY_MS
        platform.sweep()
        assert platform.objects == people.needed
