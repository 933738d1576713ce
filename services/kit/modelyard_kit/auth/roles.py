"""What each role may do. docs/access.md says it in words."""

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
"""Permissions by role. Nobody but services has INTERNAL."""


def role_name(role: Role) -> str:
    """Return a role as people write it, e.g. "viewer"."""
    return Role.Name(role).lower()


def roles_with(permission: Permission) -> list[str]:
    """Return the names of the roles that have a permission, the weakest first."""
    able = [role for role in ROLES if permission in ROLES[role]]
    return [role_name(role) for role in sorted(able, key=lambda role: len(ROLES[role]))]
