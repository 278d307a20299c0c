"""Conditional Access for the AKS server application in Microsoft Graph v1.0: the `SignInPolicies` port.

Sources: Graph's conditionalAccessPolicy, evaluate (what-if) and signIn pages. Policies have no upsert and their names
are not unique: they are listed and compared here. What a policy says beyond our words is never written over unseen.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from aks_entra.adapters.graph_wire import Document, Wire, literal
from aks_entra.core.access import PolicyResult
from aks_entra.core.conditional_access import ENFORCED, REPORT_ONLY, SeenSignIn, StandingPolicy, WantedPolicy
from aks_entra.core.durations import stamp
from aks_entra.core.kubelogin import SERVER_APP
from aks_entra.core.preflight import SignInRule
from aks_entra.errors import Refused

BASE: Final = "/identity/conditionalAccess"
READ: Final = "Policy.Read.All"
WRITE: Final = "Policy.Read.All, Policy.ReadWrite.ConditionalAccess and Application.Read.All"
SIGN_INS: Final = "AuditLog.Read.All, Directory.Read.All and Policy.Read.All"
REPORTED: Final = "include-unknown-enum-members"
"""Without it Graph hides every reportOnly* result."""


class GraphSignInPolicies:
    """The policies of the signed-in identity's tenant."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def evaluate(self, user_id: str) -> tuple[PolicyResult, ...]:
        """What-if of a sign-in of this user with kubectl from an unknown device."""
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

    async def in_the_way(self, principal_id: str, *, person: bool) -> tuple[SignInRule, ...]:
        """The enforced policies that a sign-in to AKS meets: of a person by what-if, of an application by its name."""
        try:
            if person:
                found = [(one, person_meets(one)) for one in await self._what_if(principal_id)]
            else:
                policies = await self._wire.list(
                    f"{BASE}/policies", doing="read the Conditional Access policies", needs=READ
                )
                found = [(one, application_meets(one, principal_id)) for one in policies]
        except Refused as refused:
            if "P1" in refused.remedy:  # without the licence there is no Conditional Access
                return ()
            raise
        return tuple(
            SignInRule(name=str(one.get("displayName") or ""), controls=_controls(one), certain=certain)
            for one, certain in found
            if certain is not None and one.get("state") == ENFORCED
        )

    async def _what_if(self, user_id: str) -> list[Document]:
        answer = await self._wire.ask(
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

    async def named(self, name: str) -> tuple[StandingPolicy, ...]:
        """The policies of this display name."""
        found = await self._wire.list(f"{BASE}/policies", doing="read the Conditional Access policies", needs=READ)
        return tuple(_standing(one) for one in found if one.get("displayName") == name)

    async def create(self, wanted: WantedPolicy) -> StandingPolicy:
        """POST, report-only."""
        body = {"displayName": wanted.name, "state": REPORT_ONLY, **_body(wanted)}
        made = await self._wire.post(
            f"{BASE}/policies", body, doing=f"create the Conditional Access policy {wanted.name!r}", needs=WRITE
        )
        return _standing(made)

    async def update(self, policy_id: str, wanted: WantedPolicy, *, state: str) -> None:
        """PATCH of everything that was asked for, and of the state."""
        await self._wire.patch(
            f"{BASE}/policies/{policy_id}",
            {"state": state, **_body(wanted)},
            doing=f"change the Conditional Access policy {wanted.name!r}",
            needs=WRITE,
        )

    async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """Sign-ins at the AKS server application, newest first, with what this policy said to each."""
        clause = f"resourceId eq {literal(SERVER_APP)} and createdDateTime ge {stamp(since)}"
        if user_id:
            clause += f" and userId eq {literal(user_id)}"
        found = await self._wire.list(
            "/auditLogs/signIns",
            doing="read the sign-in log",
            needs=SIGN_INS,
            query={"$filter": clause},
            prefer=REPORTED,
        )
        return tuple(_seen(one, policy_id) for one in found)

    async def ensure_server_application(self) -> bool:
        """See that the AKS server application has a service principal in the tenant; whether it was created."""
        path = f"/servicePrincipals(appId={literal(SERVER_APP)})"
        doing = "look for the AKS server application"
        if await self._wire.find(path, doing=doing, needs="Application.Read.All") is not None:
            return False
        await self._wire.post(
            "/servicePrincipals",
            {"appId": SERVER_APP},
            doing="make the AKS server application known in the tenant",
            needs="Application.ReadWrite.All",
        )
        return True


def person_meets(result: Document) -> bool | None:
    """Whether a what-if result applies for certain; None: it does not."""
    if result.get("policyApplies"):
        return True
    return False if result.get("analysisReasons") == "notEnoughInformation" else None


def application_meets(policy: Document, principal_id: str) -> bool | None:
    """Whether a policy is about an application's sign-in to AKS, for certain; None: it is not.

    Policies for workload identities name service principals; those for users never meet an application.
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


def _standing(one: Document) -> StandingPolicy:
    conditions = one.get("conditions") or {}
    users = conditions.get("users") or {}
    return StandingPolicy(
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
