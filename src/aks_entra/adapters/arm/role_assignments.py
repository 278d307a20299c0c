"""Role assignments on clusters and their namespaces: the `RoleAssignments` port.

A PUT always names the principal's type: the SDK's default is "User", and Azure refuses a group under it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from aks_entra.adapters.arm.clients import ARM_HOST, NO_RETRY, Clients
from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.malformed import malformed
from aks_entra.adapters.http.paging import every
from aks_entra.core.access.grants import AZURE_ROLES, Ask, Grant, grant_of, is_named_by_us, is_ours
from aks_entra.core.access.rbac import RoleAssignment, RoleDefinition, covers
from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused, Rejected, TryLater

_SUBSCRIPTION: Final = re.compile(r"^/subscriptions/([^/]+)", re.IGNORECASE)
_CLUSTER: Final = re.compile(
    r"^(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.containerservice/managedclusters/[^/]+)(/|$)",
    re.IGNORECASE,
)
_REPLICATING: Final = 15.0


class ClusterRoles:
    """Reads and writes role assignments as the signed-in identity."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._roles: dict[str, RoleDefinition] = {}

    async def held(self, cluster: ClusterId, principal_id: str | None) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below a cluster.

        With a principal, return only those of the principal and its groups.
        """
        wanted = f"assignedTo('{principal_id}')" if principal_id else None
        return await self._around(cluster.subscription_id, cluster.resource_id, wanted, str(cluster))

    async def held_at(self, resource_id: str) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below any resource in a subscription."""
        subscription = resource_id.strip("/").split("/")[1]
        return await self._around(subscription, resource_id, None, resource_id.rpartition("/")[2])

    async def _around(
        self, subscription_id: str, resource_id: str, wanted: str | None, called: str
    ) -> tuple[RoleAssignment, ...]:
        found = []
        doing = f"read the role assignments on {called}"
        with azure(doing):
            listed = self._clients.authorization(subscription_id).role_assignments.list_for_scope(
                scope=resource_id.lstrip("/"), filter=wanted
            )
            async for one in every(listed, doing):
                if not all(getattr(one, name) for name in ("scope", "role_definition_id", "principal_id")):
                    raise malformed(
                        doing, ARM_HOST, "a role assignment without scope, role or principal", writing=False
                    )
                scope = str(one.scope)
                if covers(scope, resource_id) or covers(resource_id, scope):
                    found.append(one)
            return tuple([await self._held(subscription_id, one) for one in found])

    async def grants(self, subscription_id: str) -> tuple[Grant, ...]:
        """Return every grant of ours in a subscription, for all clusters. A copy of our mark has `foreign` set."""
        found = []
        doing = f"read the role assignments of subscription {subscription_id}"
        with azure(doing):
            listed = self._clients.authorization(subscription_id).role_assignments.list_for_subscription()
            async for one in every(listed, doing):
                cluster = _CLUSTER.match(str(one.scope))
                if cluster is not None and is_ours(str(one.description or "")):
                    held = await self._held(subscription_id, one)
                    grant = grant_of(held, cluster[1].lower())
                    if grant is not None:
                        found.append(grant if is_named_by_us(held) else replace(grant, foreign=True))
        return tuple(found)

    async def assign(self, ask: Ask, text: str) -> Grant:
        """PUT under the request's own name. TryLater until principal and assignment are replicated.

        Refused (RoleAssignmentExists) if somebody else made the same assignment, because nothing would ever end it.
        """
        from azure.mgmt.authorization.v2022_04_01.models import (
            RoleAssignmentCreateParameters,
        )

        role_id, _ = AZURE_ROLES[ask.level]
        subscription = ask.cluster.subscription_id
        assignments = self._clients.authorization(subscription).role_assignments
        parameters = RoleAssignmentCreateParameters(
            role_definition_id=f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role_id}",
            principal_id=ask.principal.id,
            principal_type=ask.principal.kind,
            description=text,
        )
        try:
            with azure(f"assign {ask.role} to {ask.principal.called}", writing=True):
                made = await assignments.create(
                    scope=ask.scope.lstrip("/"),
                    role_assignment_name=ask.assignment_name,
                    parameters=parameters,
                    **NO_RETRY,
                )
                held = await self._held(subscription, made)
        except Rejected as rejected:
            raise _why(rejected, ask) from rejected
        grant = grant_of(held, ask.cluster.key)
        if grant is None or held.description != text:
            raise TryLater("the role assignment does not show its end yet", after=_REPLICATING, code="NotReplicated")
        return grant

    async def remove(self, grant: Grant) -> bool:
        """DELETE the role assignment. Returns whether it existed."""
        subscription = _SUBSCRIPTION.match(grant.id)
        if subscription is None:
            raise Refused(f"{grant.id!r} is not a role assignment in a subscription")
        with azure(f"remove the role assignment {grant.id}", writing=True):
            gone = await self._clients.authorization(subscription[1]).role_assignments.delete_by_id(
                role_assignment_id=grant.id.lstrip("/"), **NO_RETRY
            )
        return gone is not None

    async def _held(self, subscription_id: str, one: object) -> RoleAssignment:
        """Return an assignment with its role definition. Each definition is read once."""
        role_id = str(getattr(one, "role_definition_id", ""))
        key = role_id.rpartition("/")[2].lower()
        if key not in self._roles:
            found = await self._clients.authorization(subscription_id).role_definitions.get_by_id(role_id.lstrip("/"))
            parts = found.permissions or ()
            self._roles[key] = RoleDefinition(
                id=key,
                name=str(found.role_name or key),
                actions=tuple(it for part in parts for it in part.actions or ()),
                not_actions=tuple(it for part in parts for it in part.not_actions or ()),
                data_actions=tuple(it for part in parts for it in part.data_actions or ()),
                not_data_actions=tuple(it for part in parts for it in part.not_data_actions or ()),
            )
        return RoleAssignment(
            id=str(getattr(one, "id", "")),
            role=self._roles[key],
            principal_id=str(getattr(one, "principal_id", "")).lower(),
            principal_type=str(getattr(one, "principal_type", "") or ""),
            scope=str(getattr(one, "scope", "") or "/"),
            description=str(getattr(one, "description", "") or ""),
            condition=str(getattr(one, "condition", "") or ""),
        )


def _why(rejected: Rejected, ask: Ask) -> Rejected | Refused | TryLater:
    match rejected.code:
        case "PrincipalNotFound":
            return TryLater(
                f"Azure does not know {ask.principal.called} yet",
                after=_REPLICATING,
                code=rejected.code,
                remedy="a new group is visible everywhere after seconds, sometimes minutes",
                status=rejected.status,
                correlation_id=rejected.correlation_id,
            )
        case "RoleAssignmentExists":
            return Refused(
                f"{ask.principal.called} already has {ask.role} there, by an assignment of others that never ends",
                remedy="remove it first (az role assignment delete), if access should end",
                code=rejected.code,
                status=rejected.status,
                correlation_id=rejected.correlation_id,
            )
    return rejected
