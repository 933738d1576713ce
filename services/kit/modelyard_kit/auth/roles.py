"""The permissions of each role, as described in docs/access.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from modelyard.api.access.v1.access_pb2 import Role
from modelyard.api.options.v1.options_pb2 import Permission

EVERYTHING: frozenset[Permission] = frozenset(cast("list[Permission]", Permission.values())) - {
    Permission.PERMISSION_UNSPECIFIED
}

_READING = frozenset({Permission.TRACKING_READ, Permission.REGISTRY_READ, Permission.SERVING_READ})

ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _READING,
    Role.CONTRIBUTOR: _READING
    | {
        Permission.TRACKING_WRITE,
        Permission.TRACKING_DELETE,
        Permission.REGISTRY_WRITE,
        Permission.REGISTRY_EDIT,
        Permission.PREDICT,
    },
    Role.APPROVER: _READING
    | {Permission.REGISTRY_EDIT, Permission.REGISTRY_PROMOTE, Permission.PREDICT},
    Role.ADMIN: EVERYTHING - {Permission.INTERNAL},
    Role.SERVING: _READING,
}
"""Permissions by role. INTERNAL belongs to no role: only the service token has it."""


def role_name(role: Role) -> str:
    """Return the name of a role as used in texts and commands, e.g. "viewer"."""
    return Role.Name(role).lower()


def roles_with(permission: Permission) -> list[str]:
    """Return the names of the roles that have a permission, the one with fewest first."""
    able = [role for role in ROLES if permission in ROLES[role]]
    return [role_name(role) for role in sorted(able, key=lambda role: len(ROLES[role]))]
