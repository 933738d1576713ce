"""The files that a worker may open: those of Python, of the system's libraries and of its model."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelyard_serving.runtime import landlock
from modelyard_serving.runtime.landlock import DEVICE, READ

_DUMPABLE = 4
_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store"),
    # Of /etc only what libraries read: elsewhere in it there are keys and passwords.
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/localtime", "/etc/timezone", "/etc/os-release", "/etc/mime.types", "/etc/fonts"),
    *("/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs"),
    *("/etc/pki/ca-trust", "/etc/crypto-policies", "/etc/ca-certificates", "/etc/OpenCL"),
    *("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"),
    *("/etc/passwd", "/etc/group", "/etc/services", "/etc/protocols"),
    # Of /proc only the worker's own folder, and none of its parent's.
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg"),
    *("/proc/filesystems", "/proc/version", "/proc/sys/vm", "/proc/driver/nvidia"),
    *("/sys/devices", "/sys/fs/cgroup", "/sys/bus", "/sys/class", "/sys/module"),
)
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the place of semaphores on Linux
_DEVICES = ("null", "zero", "full", "random", "urandom", "nvidia*", "kfd", "dri/*")


def enter(folder: Path, closed: Sequence[Path], *, has_network: bool) -> None:
    """Restrict this process to the files that its model needs, as far as the kernel can.

    The temporary folder of the process must be its own: it may write there, and nowhere else.

    Args:
        folder: Folder of the model.
        closed: Paths that stay closed even if they are below a folder of Python or the system.
        has_network: Whether connections over TCP may be made and accepted, and memory shared with
            processes that this one starts, as `multiprocessing` does.

    Raises:
        OSError: The kernel refused.
    """
    readable = [path for root in roots() for path in _without(root, closed)]
    allowed = [(path, READ) for path in (*readable, folder)]
    allowed += [(path, DEVICE) for name in _DEVICES for path in Path("/dev").glob(name)]
    allowed.append((Path(tempfile.gettempdir()), landlock.everything()))
    if has_network:
        allowed += [(path, landlock.everything()) for path in _without(_SHARED_MEMORY, closed)]
    landlock.restrict(allowed, has_network=has_network)


def in_force() -> str:
    """Return what keeps a worker from files and processes on this machine; empty for nothing."""
    version = landlock.version()
    return f"Landlock {version}" if version else ""


def hide() -> None:
    """Hide the memory and environment of this process from others of its user, but not of root."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)


def roots() -> Iterator[Path]:
    """Yield the folders of Python, its packages and the system's libraries."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    for name in (sys.prefix, sys.base_prefix, *sys.path, *libraries, *_SYSTEM):
        if name.startswith("/"):
            yield Path(name)
            yield from _linked(Path(name))
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):  # of packages that are installed from their source
            yield from map(Path, getattr(module, "MAPPING", {}).values())


def _linked(packages: Path) -> Iterator[Path]:
    """Yield the folders of packages that an installer linked from its cache, file by file."""
    for file in packages.glob("*.dist-info/METADATA"):
        if file.is_symlink():
            yield file.resolve().parent.parent


def _without(root: Path, closed: Sequence[Path]) -> Iterator[Path]:
    """Yield paths that cover everything below `root` but what is closed."""
    real = root.resolve()
    if any(real.is_relative_to(path) for path in closed):
        return
    if not any(path.is_relative_to(real) for path in closed):
        yield root
        return
    for child in sorted(real.iterdir()):
        yield from _without(child, closed)
