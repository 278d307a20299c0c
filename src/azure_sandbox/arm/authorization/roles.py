"""Role definitions and what they allow, with Azure's built-in roles for clusters, groups, locks and assignments."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

_AKS = "Microsoft.ContainerService/managedClusters"
_DESCRIPTIONS: Final[dict[str, str]] = json.loads(
    files("azure_sandbox.arm.authorization").joinpath("role_descriptions.json").read_text("utf-8")
)
_FLEETS = "Microsoft.ContainerService/fleets"
_LOOK = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Resources/subscriptions/operationresults/read",
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
)
_READABLE = (
    "apps/controllerrevisions",
    "apps/daemonsets",
    "apps/deployments",
    "apps/replicasets",
    "apps/statefulsets",
    "batch/cronjobs",
    "batch/jobs",
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "namespaces",
    "persistentvolumeclaims",
    "pods",
    "policy/poddisruptionbudgets",
    "replicationcontrollers",
    "resourcequotas",
    "serviceaccounts",
    "services",
)
_WRITABLE = (
    "apps/daemonsets",
    "apps/deployments",
    "apps/replicasets",
    "apps/statefulsets",
    "batch/cronjobs",
    "batch/jobs",
    "configmaps",
    "endpoints",
    "persistentvolumeclaims",
    "pods",
    "policy/poddisruptionbudgets",
    "replicationcontrollers",
    "secrets",
    "serviceaccounts",
    "services",
)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.IGNORECASE)


def matches(pattern: str, action: str) -> bool:
    """Return whether a pattern with wildcards matches an action; case does not matter."""
    return _pattern(pattern).fullmatch(action) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role definition. It can be assigned at its `assignable` scopes and below them."""

    id: str
    name: str
    description: str = ""
    custom: bool = False
    assignable: tuple[str, ...] = ("/",)
    created: dt.datetime | None = None
    updated: dt.datetime | None = None
    created_by: str = ""
    updated_by: str = ""
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def allows(self, action: str, *, data: bool = False) -> bool:
        """Return whether the role allows an action.

        An action with a wildcard is allowed only if the role excludes no part of it.
        """
        granted, excluded = (self.data_actions, self.not_data_actions) if data else (self.actions, self.not_actions)
        if any(matches(it, action) or ("*" in action and matches(action, it)) for it in excluded):
            return False
        return any(matches(it, action) for it in granted)

    def permission(self) -> dict[str, Any]:
        """Return the permission in the form that ARM shows."""
        return {
            "actions": list(self.actions),
            "notActions": list(self.not_actions),
            "dataActions": list(self.data_actions),
            "notDataActions": list(self.not_data_actions),
        }


def _role(
    id: str,  # noqa: A002  # Azure's word
    name: str,
    *actions: str,
    no: tuple[str, ...] = (),
    data: tuple[str, ...] = (),
    no_data: tuple[str, ...] = (),
) -> Role:
    description = _DESCRIPTIONS.get(name, "")
    return Role(
        id=id,
        name=name,
        description=description,
        actions=actions,
        not_actions=no,
        data_actions=data,
        not_data_actions=no_data,
    )


def _for_members() -> tuple[Role, ...]:
    """Return the roles of Fleet Manager for the member clusters of a fleet, with the ids that Azure publishes."""
    name, members = "Azure Kubernetes Fleet Manager RBAC {} for Member Clusters", f"{_FLEETS}/members"
    read = tuple(f"{members}/{it}/read" for it in _READABLE)
    write = tuple(f"{members}/{it}/*" for it in _WRITABLE)
    rbac = tuple(f"{members}/rbac.authorization.k8s.io/{it}/*" for it in ("roles", "rolebindings"))
    return (
        _role("463ad26c-fcce-4469-9c7f-5653d8acbab5", name.format("Reader"), *_LOOK, data=read),
        _role("50346970-0998-40f2-b47d-f3b8809840f8", name.format("Writer"), *_LOOK, data=(*read, *write)),
        _role("d1f699ed-700a-4c77-a22f-29890ac7b115", name.format("Admin"), *_LOOK, data=(*read, *write, *rbac)),
        _role("79a36d98-eb96-4a76-ae1d-481dc98d2c23", name.format("Cluster Admin"), *_LOOK, data=(f"{members}/*",)),
    )


_CREDENTIAL = f"{_AKS}/listClusterUserCredential/action"
ROLES = (
    _role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "*"),
    _role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        "*",
        no=(
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
        ),
    ),
    _role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "*/read"),
    _role(
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        "*/read",
        "Microsoft.Authorization/*",
        "Microsoft.Support/*",
    ),
    _role(
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "Role Based Access Control Administrator",
        "*/read",
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "Microsoft.Support/*",
    ),
    _role(
        "4d97b98b-1d4f-4787-a291-c67834d212e7",
        "Network Contributor",
        *("Microsoft.Authorization/*/read", "Microsoft.Insights/alertRules/*", "Microsoft.Network/*"),
        *("Microsoft.ResourceHealth/availabilityStatuses/read", "Microsoft.Resources/deployments/*"),
        *("Microsoft.Resources/subscriptions/resourceGroups/read", "Microsoft.Support/*"),
    ),
    _role(
        "28bf596f-4eb7-45ce-b5bc-6cf482fec137",
        "Locks Contributor",
        "Microsoft.Authorization/locks/*",
    ),
    _role(
        "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8",
        "Azure Kubernetes Service Cluster Admin Role",
        f"{_AKS}/listClusterAdminCredential/action",
        f"{_AKS}/accessProfiles/listCredential/action",
        f"{_AKS}/read",
        f"{_AKS}/runcommand/action",
    ),
    _role(
        "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
        "Azure Kubernetes Service Cluster User Role",
        _CREDENTIAL,
        f"{_AKS}/read",
    ),
    _role(
        "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8",
        "Azure Kubernetes Service Contributor Role",
        f"{_AKS}/read",
        f"{_AKS}/write",
        "Microsoft.Resources/deployments/*",
    ),
    _role(
        "7f6c6a51-bcf8-42ba-9220-52d62157d7db",
        "Azure Kubernetes Service RBAC Reader",
        *_LOOK,
        data=tuple(f"{_AKS}/{it}/read" for it in _READABLE),
    ),
    _role(
        "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb",
        "Azure Kubernetes Service RBAC Writer",
        *_LOOK,
        data=(*(f"{_AKS}/{it}/read" for it in _READABLE), *(f"{_AKS}/{it}/*" for it in _WRITABLE)),
    ),
    _role(
        "3498e952-d568-435e-9b2c-8d77e338d7f7",
        "Azure Kubernetes Service RBAC Admin",
        *_LOOK,
        _CREDENTIAL,
        data=(f"{_AKS}/*",),
        no_data=tuple(f"{_AKS}/{it}/{verb}" for it in ("resourcequotas", "namespaces") for verb in ("write", "delete")),
    ),
    _role(
        "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
        "Azure Kubernetes Service RBAC Cluster Admin",
        *_LOOK,
        _CREDENTIAL,
        data=(f"{_AKS}/*",),
    ),
    _role(
        "12338af0-0e69-4776-bea7-57ae8d297424",
        "Key Vault Crypto User",
        data=tuple(
            f"Microsoft.KeyVault/vaults/keys/{it}"
            for it in (
                *("read", "update/action", "backup/action", "encrypt/action", "decrypt/action"),
                *("wrap/action", "unwrap/action", "sign/action", "verify/action"),
            )
        ),
    ),
    *_for_members(),
)
BY_ID = {it.id: it for it in ROLES}
BY_NAME = {it.name.lower(): it for it in ROLES}


def find(name_or_id: str) -> Role | None:
    """Return a built-in role by its name, its GUID or its resource id, or None."""
    wanted = name_or_id.rpartition("/")[2].lower()
    return BY_ID.get(wanted) or BY_NAME.get(name_or_id.lower())
