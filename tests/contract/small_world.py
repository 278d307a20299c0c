"""The world file that most contract tests use, with the names and ids in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager

from aks_entra.core.cluster import ClusterId
from aks_entra.wiring import Session

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
TENANT = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
ADMINS = "a1b2c3d4-1111-4222-8333-944445555666"
ELIGIBLE = "a1b2c3d4-1111-4222-8333-944445555777"
DELETED = "a1b2c3d4-1111-4222-8333-944445555999"
READER = {"id": "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21", "appId": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3"}
WORLD = f"""\
version: 1
tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}
users:
  - {{name: dana, upn: dana@contoso.com}}
  - {{name: left, upn: left@contoso.com, enabled: false}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}}
  - {{name: reader, id: {READER["id"]}, appId: {READER["appId"]}, secret: the-reader}}
groups:
  - {{name: aks-admins, id: {ADMINS}, members: [operator, dana, left]}}
  - {{name: just-in-time, id: {ELIGIBLE}, eligible: [{{principal: dana}}]}}
  - {{name: gone, id: {DELETED}, members: [dana], deleted: 2026-11-02}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
      - {{principal: reader, role: Azure Kubernetes Service Cluster User Role}}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {{name: plain, nodes: 2, identity: none, tags: {{env: prod}}, workloads: [{{name: web, replicas: 2}}]}}
          - {{name: legacy, nodes: 1, identity: legacy}}
          - {{name: guarded, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}}
      - name: pay-weu
        location: westeurope
        locks: [{{name: keep, level: ReadOnly}}]
        clusters:
          - {{name: azure-rbac, nodes: 1, identity: managed, adminGroups: [aks-admins], azureRbac: true}}
          - {{name: asleep, nodes: 1, identity: none, powerState: Stopped}}
"""
UNLOCKED = WORLD.replace("        locks: [{name: keep, level: ReadOnly}]\n", "")
EVERYTHING = (
    "Group.ReadWrite.All, Directory.Read.All, RoleManagement.ReadWrite.Directory, "
    "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup, PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup, "
    "RoleManagementPolicy.ReadWrite.AzureADGroup, Policy.Read.All, Policy.ReadWrite.ConditionalAccess, "
    "Application.ReadWrite.All, AuditLog.Read.All"
)
RICH = WORLD.replace("Group.ReadWrite.All, Directory.Read.All", EVERYTHING) + "licences: [P1, P2]\n"
DANA, LEFT = "dana@contoso.com", "left@contoso.com"
GLASS = RICH.replace("users:\n", "users:\n  - {name: glass, upn: glass@contoso.com}\n")
OWNER = "roleAssignments: [{principal: operator, role: Owner}]"
Opener = Callable[..., AbstractAsyncContextManager[Session]]


def fleet_world(
    groups: Mapping[str, Iterable[str]],
    *,
    in_tenant: str = "",
    more_groups: Iterable[str] = (),
    in_subscription: str = OWNER,
    in_group: str = "",
) -> str:
    """Return a world file with one subscription, an operator who owns it, and the group `aks-admins`.

    `groups`: the clusters of each resource group, each as the inside of a flow mapping (`name: a, nodes: 1`).
    `more_groups`: groups of the directory, in the same way. The other arguments are lines to add to the file's top, to
    the subscription and to each resource group.
    """
    lines = [
        "version: 1",
        f"tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}",
        "servicePrincipals:",
        "  - {name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}",
        "groups:",
        f"  - {{name: aks-admins, id: {ADMINS}, members: [operator]}}",
        *(f"  - {{{one}}}" for one in more_groups),
        "operator: operator",
        in_tenant,
        "subscriptions:",
        f"  - id: {SUBSCRIPTION}",
        "    name: prod-eu",
        f"    {in_subscription}" if in_subscription else "",
        "    resourceGroups:",
    ]
    for name, clusters in groups.items():
        lines += [f"      - name: {name}", "        location: westeurope", f"        {in_group}" if in_group else ""]
        lines += ["        clusters:", *(f"          - {{{one}}}" for one in clusters)]
    return "".join(f"{line}\n" for line in lines if line)


def cluster(name: str, group: str = "shop-weu") -> ClusterId:
    return ClusterId(subscription_id=SUBSCRIPTION, resource_group=group, name=name)
