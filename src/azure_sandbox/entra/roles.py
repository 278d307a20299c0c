"""Directory roles: their template IDs, and which delegated permissions they make effective.

A delegated permission never extends a user's rights: the token's `scp` and a role must both allow a request.
Source: Microsoft Entra built-in roles (permissions reference).
"""

from __future__ import annotations

MEMBER = "b79fbf4d-3ef9-4689-8143-76b194e85509"  # in `wids` of every member user
ROLES: dict[str, str] = {
    "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
    "Global Reader": "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
    "Privileged Role Administrator": "e8611ab8-c189-46e8-94e1-60213ab1f814",
    "Groups Administrator": "fdd7a751-b60b-444a-984c-02652fe8fa1c",
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "Directory Writers": "9360feb5-f418-4baa-8175-e2a00bac4301",
    "Identity Governance Administrator": "45d8d3c5-c802-45c6-b32a-1d70b5e1e86e",
    "Conditional Access Administrator": "b1be1c3e-b65d-4f19-8427-f6fa0d97feb9",
    "Security Administrator": "194ae4cb-b126-40b2-bd5b-6091b380977d",
    "Security Reader": "5d6b6bb7-de71-4623-b4af-96380a352509",
    "Reports Reader": "4a5d8f65-41da-4de4-8968-e035b65339cf",
    "Application Administrator": "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
    "Cloud Application Administrator": "158c047a-c907-4556-b7ef-446551a6b5f7",
}
_GLOBAL = "Global Administrator"
_GROUPS = {
    _GLOBAL,
    "Groups Administrator",
    "User Administrator",
    "Directory Writers",
    "Identity Governance Administrator",
}
_SECURITY = {_GLOBAL, "Global Reader", "Security Administrator", "Security Reader", "Conditional Access Administrator"}
PRIVILEGED = {_GLOBAL, "Privileged Role Administrator"}
GROUP_ADMINISTRATORS = _GROUPS
_EFFECTIVE: dict[str, set[str]] = {
    "Group.ReadWrite.All": _GROUPS,
    "GroupMember.ReadWrite.All": _GROUPS,
    "Directory.ReadWrite.All": _GROUPS,
    "Group.Create": set(ROLES),
    "RoleManagement.ReadWrite.Directory": PRIVILEGED,
    "Policy.Read.All": _SECURITY,
    "Policy.Read.ConditionalAccess": _SECURITY,
    "Policy.ReadWrite.ConditionalAccess": {_GLOBAL, "Conditional Access Administrator", "Security Administrator"},
    "Application.Read.All": set(ROLES),
    "Application.ReadWrite.All": {_GLOBAL, "Application Administrator", "Cloud Application Administrator"},
    "User.ReadWrite.All": {_GLOBAL, "User Administrator"},
    "AuditLog.Read.All": _SECURITY | {"Reports Reader"},
}


def template_ids(names: frozenset[str]) -> frozenset[str]:
    """Return the template IDs of roles by name. Raises ValueError for an unknown name."""
    if unknown := sorted(names - set(ROLES)):
        raise ValueError(f"unknown directory roles: {', '.join(unknown)}; known: {', '.join(sorted(ROLES))}")
    return frozenset(ROLES[name] for name in names)


def effective(permission: str, roles: frozenset[str]) -> bool:
    """Return whether a delegated permission is effective for a user with these roles (template IDs)."""
    allowed = _EFFECTIVE.get(permission)
    return allowed is None or bool(roles & {ROLES[name] for name in allowed})


def any_role(roles: frozenset[str], names: set[str]) -> bool:
    """Return whether one of the roles (template IDs) has one of the names."""
    return bool(roles & {ROLES[name] for name in names})
