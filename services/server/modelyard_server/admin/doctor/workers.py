"""What confines the processes that models run in, on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard_server.admin.doctor.finding import Finding, ok, warn
from modelyard_serving.runtime import limits, sandbox

_GIB = 1 << 30


def check() -> Iterator[Finding]:
    """Name the sandbox and the memory of a worker of `models serve`."""
    memory = f"{limits.default_memory_bytes() / _GIB:.1f} GiB of memory by default"
    if confined := sandbox.in_force():
        yield ok("model workers", f"confined by {confined}, {memory}")
        return
    yield warn(
        "model workers",
        f"{memory}; the kernel has no Landlock, so that they may read what their user may",
        "Serve models on Linux 5.13 or newer with Landlock enabled, as a user who cannot read the "
        "home and its token, or in a container without them.",
    )
