"""Landlock, the Linux kernel's sandbox for processes without privileges, by its system calls."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1  # flag of the first call
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEVICE
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | IOCTL_DEVICE
# Number of rights by version; the kernel refuses a right that it does not know.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_NOW = 16
_TCP = 1 << 0 | 1 << 1  # bind, connect
_HAS_TCP, _HAS_SCOPES = 4, 6
_SCOPES = 1 << 0 | 1 << 1  # abstract sockets, signals


@cache
def version() -> int:
    """Return the version of the kernel's Landlock; 0 without it."""
    if sys.platform != "linux":
        return 0
    try:
        return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)))
    except OSError:
        return 0


def everything() -> int:
    """Return all rights for files that this kernel knows, but making devices."""
    return ((1 << _RIGHTS.get(version(), _RIGHTS_NOW)) - 1) & ~_MAKE_DEVICES


def restrict(allowed: Iterable[tuple[Path, int]], *, has_network: bool) -> None:
    """Restrict this thread, and those it starts from now on, to some files, for ever.

    It can no longer trace or read the memory of other processes, or signal them. It must be the
    only thread, since another would stay free.

    Args:
        allowed: Rights to a file, or to a folder and everything below it. A path that does not
            exist is left out.
        has_network: Whether connections over TCP may be made and accepted.

    Raises:
        OSError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if not version():
        return
    rules = _create(has_network=has_network)
    try:
        for path, rights in allowed:
            _allow(rules, path, rights & ((1 << _RIGHTS.get(version(), _RIGHTS_NOW)) - 1))
        _call(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)


def _create(*, has_network: bool) -> int:
    files = (1 << _RIGHTS.get(version(), _RIGHTS_NOW)) - 1
    network = 0 if has_network or version() < _HAS_TCP else _TCP
    parts = [files]
    if version() >= _HAS_TCP:
        parts.append(network)
    if version() >= _HAS_SCOPES:
        parts.append(_SCOPES)
    handled = struct.pack(f"{len(parts)}Q", *parts)
    return _call(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint32(0))


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is not there, or cannot be reached
    try:
        if not path.is_dir():
            rights &= _OF_A_FILE
        rule = struct.pack("=Qi", rights, opened)
        _call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
