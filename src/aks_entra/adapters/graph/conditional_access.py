"""Conditional Access for the AKS server application in Microsoft Graph v1.0: the `ConditionalAccessPolicies` port.

Sources: Graph's pages "conditionalAccessPolicy", "evaluate" (what-if) and "signIn". Graph cannot upsert a policy, and
names of policies are not unique, so policies are listed and compared here. A policy with conditions that we do not
model is shown before it is overwritten.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from aks_entra.adapters.graph.client import Document, GraphClient, key, literal
from aks_entra.core.access.access_facts import PolicyResult
from aks_entra.core.access.conditional_access import ENFORCED, REPORT_ONLY, ExistingPolicy, SeenSignIn, WantedPolicy
from aks_entra.core.access.kubelogin import SERVER_APP
from aks_entra.core.durations import stamp
from aks_entra.core.preflight import ConditionalAccessPolicy
from aks_entra.errors import Refused

BASE: Final = "/identity/conditionalAccess"
READ: Final = "Policy.Read.All"
WRITE: Final = "Policy.Read.All, Policy.ReadWrite.ConditionalAccess and Application.Read.All"
SIGN_INS: Final = "AuditLog.Read.All, Directory.Read.All and Policy.Read.All"
REPORTED: Final = "include-unknown-enum-members"
"""The header without which Graph hides every reportOnly* result."""


class GraphConditionalAccess:
    """The policies of the signed-in identity's tenant."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def evaluate(self, user_id: str) -> tuple[PolicyResult, ...]:
        """Return the what-if results for a sign-in of this user with kubectl from an unknown device."""
        return tuple(
            PolicyResult(
                id=str(one.get("id") or ""),
                name=str(one.get("displayName") or ""),
                state=str(one.get("state") or ""),
                applies=bool(one.get("policyApplies")) or one.get("analysisReasons") == "notEnoughInformation",
                controls=_controls(one),
            )
            for one in await self._what_if(user_id)
        )

    async def in_the_way(self, principal_id: str, *, person: bool) -> tuple[ConditionalAccessPolicy, ...]:
        """Return the enforced policies that apply to a sign-in to AKS.

        For a person, Graph's what-if tells. For an application, the policies that name it are read.
        """
        try:
            if person:
                found = [(one, person_meets(one)) for one in await self._what_if(principal_id)]
            else:
                policies = await self._graph.list(
                    f"{BASE}/policies", doing="read the Conditional Access policies", needs=READ
                )
                found = [(one, application_meets(one, principal_id)) for one in policies]
        except Refused as refused:
            if "P1" in refused.remedy:  # without the licence there is no Conditional Access
                return ()
            raise
        return tuple(
            ConditionalAccessPolicy(name=str(one.get("displayName") or ""), controls=_controls(one), certain=certain)
            for one, certain in found
            if certain is not None and one.get("state") == ENFORCED
        )

    async def _what_if(self, user_id: str) -> list[Document]:
        answer = await self._graph.ask(
            f"{BASE}/evaluate",
            {
                "signInIdentity": {"@odata.type": "#microsoft.graph.userSignIn", "userId": user_id},
                "signInContext": {
                    "@odata.type": "#microsoft.graph.applicationContext",
                    "includeApplications": [SERVER_APP],
                },
                "signInConditions": {"clientAppType": "mobileAppsAndDesktopClients"},
                "appliedPoliciesOnly": False,
            },
            doing=f"ask what Conditional Access says to {user_id}",
            needs=READ,
        )
        return list(answer.get("value") or ())

    async def named(self, name: str) -> tuple[ExistingPolicy, ...]:
        """Return the policies with this display name."""
        found = await self._graph.list(f"{BASE}/policies", doing="read the Conditional Access policies", needs=READ)
        return tuple(_existing(one) for one in found if one.get("displayName") == name)

    async def create(self, wanted: WantedPolicy) -> ExistingPolicy:
        """POST the policy in state report-only."""
        body = {"displayName": wanted.name, "state": REPORT_ONLY, **_body(wanted)}
        made = await self._graph.post(
            f"{BASE}/policies", body, doing=f"create the Conditional Access policy {wanted.name!r}", needs=WRITE
        )
        return _existing(made)

    async def update(self, policy_id: str, wanted: WantedPolicy, *, state: str) -> None:
        """PATCH everything that was asked for, and the state."""
        await self._graph.patch(
            f"{BASE}/policies/{policy_id}",
            {"state": state, **_body(wanted)},
            doing=f"change the Conditional Access policy {wanted.name!r}",
            needs=WRITE,
        )

    async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """Return the sign-ins at the AKS server application, newest first, with this policy's result for each."""
        clause = f"resourceId eq {literal(SERVER_APP)} and createdDateTime ge {stamp(since)}"
        if user_id:
            clause += f" and userId eq {literal(user_id)}"
        found = await self._graph.list(
            "/auditLogs/signIns",
            doing="read the sign-in log",
            needs=SIGN_INS,
            query={"$filter": clause},
            headers={"Prefer": REPORTED},
        )
        return tuple(_seen(one, policy_id) for one in found)

    async def ensure_server_application(self) -> bool:
        """Create the service principal of the AKS server application unless it exists. Returns whether it did."""
        path = f"/servicePrincipals{key('appId', SERVER_APP)}"
        doing = "look for the AKS server application"
        if await self._graph.find(path, doing=doing, needs="Application.Read.All") is not None:
            return False
        await self._graph.post(
            "/servicePrincipals",
            {"appId": SERVER_APP},
            doing="make the AKS server application known in the tenant",
            needs="Application.ReadWrite.All",
        )
        return True


def person_meets(result: Document) -> bool | None:
    """Return True if a what-if result applies for certain, False if it may apply, and None if it does not apply."""
    if result.get("policyApplies"):
        return True
    return False if result.get("analysisReasons") == "notEnoughInformation" else None


def application_meets(policy: Document, principal_id: str) -> bool | None:
    """Return True if a policy applies to an application's sign-in to AKS for certain, and False if it may apply.

    None if it does not apply. Only policies for workload identities, which name service principals, can apply.
    """
    conditions = policy.get("conditions") or {}
    workloads = conditions.get("clientApplications") or {}
    named = {str(one).casefold() for one in workloads.get("includeServicePrincipals") or ()}
    left_out = {str(one).casefold() for one in workloads.get("excludeServicePrincipals") or ()}
    if not named & {principal_id.casefold(), "serviceprincipalsinmytenant"} or principal_id.casefold() in left_out:
        return None
    applications = conditions.get("applications") or {}
    wanted = set(applications.get("includeApplications") or ())
    if not wanted & {"All", SERVER_APP} or SERVER_APP in set(applications.get("excludeApplications") or ()):
        return None
    depends = (
        conditions.get("locations"),
        conditions.get("servicePrincipalRiskLevels"),
        workloads.get("servicePrincipalFilter"),
    )
    return not any(depends)


def _body(wanted: WantedPolicy) -> dict[str, Any]:
    conditions: dict[str, Any] = {
        "clientAppTypes": ["all"],
        "applications": {"includeApplications": [SERVER_APP]},
        "users": {
            "includeGroups": list(wanted.groups),
            "excludeUsers": list(wanted.break_glass_users),
            "excludeGroups": list(wanted.break_glass_groups),
        },
    }
    if wanted.trusted_locations:
        conditions["locations"] = {"includeLocations": ["All"], "excludeLocations": list(wanted.trusted_locations)}
    return {
        "conditions": conditions,
        "grantControls": {
            "operator": wanted.operator,
            "builtInControls": [control.value for control in wanted.controls],
        },
    }


def _existing(one: Document) -> ExistingPolicy:
    conditions = one.get("conditions") or {}
    users = conditions.get("users") or {}
    return ExistingPolicy(
        id=str(one["id"]),
        name=str(one.get("displayName") or ""),
        state=str(one.get("state") or ""),
        groups=tuple(users.get("includeGroups") or ()),
        controls=_controls(one),
        excluded_users=tuple(users.get("excludeUsers") or ()),
        excluded_groups=tuple(users.get("excludeGroups") or ()),
        operator=str((one.get("grantControls") or {}).get("operator") or ""),
        trusted_locations=tuple((conditions.get("locations") or {}).get("excludeLocations") or ()),
        applications=tuple((conditions.get("applications") or {}).get("includeApplications") or ()),
    )


def _controls(one: Document) -> tuple[str, ...]:
    return tuple((one.get("grantControls") or {}).get("builtInControls") or ())


def _seen(one: Document, policy_id: str) -> SeenSignIn:
    applied = {str(it.get("id")): it for it in one.get("appliedConditionalAccessPolicies") or ()}
    return SeenSignIn(
        at=str(one.get("createdDateTime") or ""),
        user=str(one.get("userPrincipalName") or one.get("userId") or ""),
        result=str(applied.get(policy_id, {}).get("result") or ""),
        client=str(one.get("appDisplayName") or one.get("appId") or ""),
        error=int((one.get("status") or {}).get("errorCode") or 0),
    )
