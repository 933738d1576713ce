"""One line instead of a traceback when an optional package is missing."""

from __future__ import annotations

from importlib.util import find_spec


def require_extra(module: str, extra: str, *packages: str) -> None:
    """Refuse a call whose packages are not installed.

    Args:
        module: Who needs them, as the user imported it.
        extra: The extra of this distribution that brings them.
        packages: Import names.

    Raises:
        ImportError: Naming the extra.
    """
    if any(find_spec(package) is None for package in packages):
        raise ImportError(f"{module} needs the {extra!r} extra: pip install 'modelyard[{extra}]'")
