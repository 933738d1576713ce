from __future__ import annotations

import os
import warnings
from pathlib import Path

from modelyard._transport.locks import is_locked, locked


def test_a_lock_is_let_go_of_though_a_forked_child_has_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "start.lock"
    until_closed, keeps_open = os.pipe()
    with locked(path):
        assert is_locked(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
            child = os.fork()
        if child == 0:
            os.close(keeps_open)
            os.read(until_closed, 1)
            os._exit(0)
    try:
        assert not is_locked(path)
    finally:
        os.close(keeps_open)
        os.close(until_closed)
        os.waitpid(child, 0)
