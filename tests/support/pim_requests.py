"""Sends PIM requests to a sandbox directory, for the tests of PIM for Groups."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.support.identity_client import DOMAIN, IdentityClient

BASE = "/identityGovernance/privilegedAccess/group"
ALICE, BOB, OLIVE = (f"{it}@{DOMAIN}" for it in ("alice", "bob", "olive"))
POLICIES = "/policies/roleManagementPolicyAssignments"
DAY = {"type": "afterDuration", "duration": "P1D"}


def new_client(replication: float = 0.0, group: dict[str, Any] | None = None, **world: Any) -> IdentityClient:
    return IdentityClient(
        {
            "users": [
                {"name": "Alice Adams", "upn": ALICE},
                {"name": "Bob Brown", "upn": BOB, "mfa": False},
                {"name": "Olive Owens", "upn": OLIVE, "roles": ["Privileged Role Administrator"]},
            ],
            "groups": [{"name": "jit", "roleAssignable": True, **(group or {})}],
            **world,
        },
        replication=replication,
    )


def request_body(
    client: IdentityClient, who: str = ALICE, action: str = "adminAssign", **change: Any
) -> dict[str, Any]:
    return {
        "accessId": "member",
        "principalId": client.id(who),
        "groupId": client.id("jit"),
        "action": action,
        "justification": "on call",
        "scheduleInfo": {"startDateTime": "2020-01-01T00:00:00Z", "expiration": DAY},
        **change,
    }


async def eligible(client: IdentityClient, who: str = ALICE) -> dict[str, Any]:
    made: dict[str, Any] = await client.post(f"{BASE}/eligibilityScheduleRequests", request_body(client, who))
    return made


async def activate(client: IdentityClient, who: str = ALICE, hours: str = "PT2H", **change: Any) -> dict[str, Any]:
    client.caller = who
    made: dict[str, Any] = await client.post(
        f"{BASE}/assignmentScheduleRequests", activation(client, who, hours, **change)
    )
    return made


def activation(client: IdentityClient, who: str = ALICE, hours: str = "PT2H", **change: Any) -> dict[str, Any]:
    expiration = {"type": "AfterDuration", "duration": hours}
    return request_body(client, who, "selfActivate", **{"scheduleInfo": {"expiration": expiration}, **change})


async def members(client: IdentityClient) -> list[str]:
    caller, client.caller = client.caller, "operator"
    found = (await client.get(f"/groups/{client.id('jit')}/members"))["value"]
    client.caller = caller
    return [it["displayName"] for it in found]


async def instances(client: IdentityClient, kind: str = "assignment") -> list[dict[str, Any]]:
    clause = quote(f"groupId eq '{client.id('jit')}'")
    found: list[dict[str, Any]] = (await client.get(f"{BASE}/{kind}ScheduleInstances?$filter={clause}"))["value"]
    return found


async def rule(client: IdentityClient, name: str, body: dict[str, Any]) -> None:
    found = await policy(client)
    reply = await client.send("PATCH", f"/policies/roleManagementPolicies/{found['policyId']}/rules/{name}", body)
    assert reply.status == 200, reply


async def policy(client: IdentityClient) -> dict[str, Any]:
    clause = quote(f"scopeId eq '{client.id('jit')}' and scopeType eq 'Group' and roleDefinitionId eq 'member'")
    (found,) = (await client.get(f"{POLICIES}?$filter={clause}&$expand=policy($expand=rules)"))["value"]
    assert isinstance(found, dict)
    return found
