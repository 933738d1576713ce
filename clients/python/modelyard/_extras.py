"""Reports a missing optional package in one line."""

from __future__ import annotations

from importlib.util import find_spec


def require_extra(module: str, extra: str, *packages: str) -> None:
    """Refuse a call whose packages are not installed.

    Args:
        module: Module or call that needs the packages, for the message.
        extra: Extra of this distribution that installs them.
        packages: Import names of the packages.

    Raises:
        ImportError: A package is not installed; names the extra.
    """
    if any(find_spec(package) is None for package in packages):
        raise ImportError(f"{module} needs the {extra!r} extra: pip install 'modelyard[{extra}]'")
