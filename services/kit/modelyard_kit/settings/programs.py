"""The settings of each program, by its command."""

from __future__ import annotations

from modelyard_kit.settings.declarations import Settings, variables
from modelyard_kit.settings.table import (
    ClientSettings,
    GatewaySettings,
    ModelServerSettings,
    RegistrySettings,
    ServiceSettings,
    ServingSettings,
    TrackingSettings,
    UpSettings,
)

SERVICES: dict[str, type[ServiceSettings]] = {
    "tracking": TrackingSettings,
    "registry": RegistrySettings,
    "serving": ServingSettings,
    "gateway": GatewaySettings,
}
"""The settings of each service, by the command that runs it in a process of its own."""

PROGRAMS: dict[str, type[Settings]] = {
    "up": UpSettings,
    **SERVICES,
    "models serve": ModelServerSettings,
    "client": ClientSettings,
}
"""The settings of each program, by its command."""

KNOWN_VARIABLES = frozenset(name for kind in PROGRAMS.values() for name in variables(kind).values())
"""The variables of all programs; all of them may be set in one environment."""
