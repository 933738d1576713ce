"""Limits of a worker's memory, processor time and descriptors.

The endpoint ends a load or prediction at its deadline. These limits hold where it cannot: a worker
that takes all memory at once, or whose endpoint hangs.
"""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path

_SHARE = 0.75  # the endpoint and the system need the rest
# Libraries reserve addresses that they never use, such as for threads and for graphics cards.
_ADDRESSES_PER_BYTE = 4
_MAX_FILES = 1024
_CGROUPS = Path("/sys/fs/cgroup")


def default_memory_bytes() -> int:
    """Return three quarters of the memory of the machine, or of the container if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min([machine, *_of_cgroups()]) * _SHARE)


def _of_cgroups() -> list[int]:
    """Return the memory limits of the control groups that this process is in."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), "")
    group = _CGROUPS / own.strip("/")
    files = [folder / "memory.max" for folder in (group, *group.parents)]
    files.append(_CGROUPS / "memory/memory.limit_in_bytes")  # version 1
    found = []
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return found


def apply(memory_bytes: int) -> None:
    """Limit this process for the rest of its life.

    Args:
        memory_bytes: Memory of its own that the process may have.
    """
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_AS, memory_bytes * _ADDRESSES_PER_BYTE)
    _lower(resource.RLIMIT_NOFILE, _MAX_FILES)
    _lower(resource.RLIMIT_CORE, 0)  # it would contain the inputs of predictions


def allow_cpu(seconds: float) -> None:
    """Allow this process so much more time on every processor; SIGXCPU ends it afterwards."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    more = seconds * (os.cpu_count() or 1) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime + more)
    if hard == resource.RLIM_INFINITY or soft <= hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    lowered = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (lowered, lowered))
