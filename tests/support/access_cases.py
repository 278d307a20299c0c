"""Makes facts about a person's access to a cluster for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aks_entra.core.access.access_facts import AccessFacts, Group
from aks_entra.core.access.grants import AZURE_ROLES, Approval, Ask, Grant, Level, Via
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Binding, RoleAssignment, RoleDefinition, Rule, Subject
from aks_entra.core.cluster import ClusterId, Identity, Posture

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TENANT = "22222222-2222-2222-2222-222222222222"
CLUSTER = ClusterId(subscription_id="11111111-1111-1111-1111-111111111111", resource_group="shop-weu", name="shop-01")
ADMINS = "44444444-4444-4444-4444-444444444444"
TEAM = "55555555-5555-5555-5555-555555555555"
DANA = Principal(id="66666666-6666-6666-6666-666666666666", kind="User", name="dana@contoso.com")
ROBOT = Principal(id="77777777-7777-7777-7777-777777777777", kind="ServicePrincipal", name="robot")
POSTURE = Posture(
    cluster=CLUSTER,
    identity=Identity.MANAGED,
    tenant_id=TENANT,
    admin_group_ids=(ADMINS,),
    azure_rbac=True,
    local_accounts=False,
    fqdn="shop-01.hcp.westeurope.azmk8s.io",
    version="1.33.5",
)
AKS = "Microsoft.ContainerService/managedClusters"
READER = RoleDefinition(
    id=AZURE_ROLES[Level.READER][0],
    name=AZURE_ROLES[Level.READER][1],
    data_actions=(f"{AKS}/pods/read", f"{AKS}/apps/deployments/read"),
)
USER = RoleDefinition(
    id=AZURE_ROLES[Level.CLUSTER_USER][0],
    name=AZURE_ROLES[Level.CLUSTER_USER][1],
    actions=(f"{AKS}/listClusterUserCredential/action",),
)
CLUSTER_ADMIN = RoleDefinition(id="0", name="Cluster Admin Role", actions=(f"{AKS}/listClusterAdminCredential/action",))


def facts(**change: Any) -> AccessFacts:
    """Return the facts about dana, who has no access to a cluster with Azure RBAC, with some changes."""
    whole: dict[str, Any] = {
        "posture": POSTURE,
        "tenant_id": TENANT,
        "person": DANA,
        "groups": frozenset(),
        "direct": frozenset(),
        "admin_groups": (Group(id=ADMINS, name="aks-admins"),),
        "eligible": (),
        "active": (),
        "roles": (),
        "bindings": (),
        "policies": (),
        **change,
    }
    return AccessFacts(**whole)


def posture(**change: Any) -> Posture:
    """Return the cluster with some changes."""
    return replace(POSTURE, **change)


def held(role: RoleDefinition, scope: str = CLUSTER.resource_id, who: str = DANA.id, **change: Any) -> RoleAssignment:
    """Return a role assignment."""
    return RoleAssignment(id=f"{scope}/assignments/1", role=role, principal_id=who, scope=scope, **change)


def binding(kind: str, name: str, *, namespace: str = "", role: str = "view", **rule: Any) -> Binding:
    """Return a binding of one subject to one rule."""
    rules = (Rule(**{"verbs": ("get", "list"), "groups": ("",), "resources": ("pods",), **rule}),)
    return Binding(name="b1", namespace=namespace, role=role, subjects=(Subject(kind=kind, name=name),), rules=rules)


def ask(**change: Any) -> Ask:
    """Return dana's request for two hours as a reader of one namespace, with some changes."""
    whole: dict[str, Any] = {
        "cluster": CLUSTER,
        "principal": DANA,
        "level": Level.READER,
        "via": Via.AZURE,
        "end": datetime(2026, 11, 24, 12, tzinfo=UTC),
        "reason": "CHG-1",
        "namespace": "shop",
        "requested_by": "dana@contoso.com",
        **change,
    }
    return Ask(**whole)


APPROVED = Approval(digest=ask().digest, approver="erin")


def grant(**change: Any) -> Grant:
    whole: dict[str, Any] = {
        "via": Via.AZURE,
        "id": "1",
        "cluster_key": CLUSTER.key,
        "principal_id": DANA.id,
        "role": READER.name,
        "until": NOW + HOUR,
        **change,
    }
    return Grant(**whole)
