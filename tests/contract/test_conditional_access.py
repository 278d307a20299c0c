"""Conditional Access policies that would block the prover: what-if for a user, policies for an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aks_entra.adapters.graph.conditional_access import application_meets, person_meets
from aks_entra.core.access.kubelogin import SERVER_APP
from aks_entra.core.preflight import ConditionalAccessPolicy
from aks_entra.errors import Refused
from aks_entra.ports.migration import ConditionalAccess
from aks_entra.wiring import Session
from tests.contract.small_world import READER, TENANT

if TYPE_CHECKING:
    from azure_sandbox.server import Sandbox
    from tests.contract.small_world import Opener

ROBOT = READER["id"]
WORLD = f"""\
version: 1
tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}
users:
  - {{name: dana, upn: dana@contoso.com}}
  - {{name: erin, upn: erin@contoso.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Policy.Read.All, Directory.Read.All]}}
  - {{name: reader, id: {ROBOT}, appId: {READER["appId"]}, secret: the-reader}}
namedLocations:
  - {{name: office, ranges: [203.0.113.0/24], trusted: true}}
conditionalAccess:
  - {{name: Not dana, users: [dana], grant: [block]}}
  - {{name: Everybody twice, users: [All], excludeUsers: [dana], grant: [mfa]}}
  - {{name: Only from the office, users: [erin], locations: [All], excludeLocations: [office], grant: [block]}}
  - {{name: Later, users: [All], grant: [block], state: reportOnly}}
operator: operator
"""
UNLICENSED = WORLD[: WORLD.index("conditionalAccess")] + "licences: []\noperator: operator\n"
BOX = pytest.mark.parametrize("box", [{"world": WORLD}], indirect=True)
WORKLOADS: dict[str, Any] = {
    "state": "enabled",
    "conditions": {
        "applications": {"includeApplications": ["All"], "excludeApplications": []},
        "clientApplications": {"includeServicePrincipals": [ROBOT.upper()], "excludeServicePrincipals": []},
    },
}


def rules(session: Session) -> ConditionalAccess:
    assert session.ports.conditional_access is not None
    return session.ports.conditional_access


@BOX
async def test_what_if_finds_policies_that_block_a_user(opened: Opener, box: Sandbox) -> None:
    people = {name: person.id for name in ("dana", "erin") if (person := box.directory.user(f"{name}@contoso.com"))}
    async with opened() as session:
        met = await rules(session).in_the_way(people["dana"], person=True)
        assert met == (ConditionalAccessPolicy(name="Not dana", controls=("block",)),)
        met = await rules(session).in_the_way(people["erin"], person=True)
        assert met == (
            ConditionalAccessPolicy(name="Everybody twice", controls=("mfa",)),
            ConditionalAccessPolicy(name="Only from the office", controls=("block",), certain=False),
        )
        assert await rules(session).in_the_way(ROBOT, person=False) == ()  # policies for users do not apply to it


@pytest.mark.parametrize("box", [{"world": UNLICENSED}], indirect=True)
async def test_without_the_licence_no_policy_applies(opened: Opener) -> None:
    async with opened() as session:
        assert await rules(session).in_the_way(ROBOT, person=False) == ()


async def test_without_the_permission_the_read_is_refused(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", READER["appId"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "the-reader")
    async with opened() as session:
        with pytest.raises(Refused, match=r"Policy\.Read\.All"):
            await rules(session).in_the_way(ROBOT, person=False)


@pytest.mark.parametrize(
    ("change", "certain"),
    [
        ({}, True),
        ({"clientApplications": {"includeServicePrincipals": ["ServicePrincipalsInMyTenant"]}}, True),
        ({"applications": {"includeApplications": [SERVER_APP]}}, True),
        ({"locations": {"includeLocations": ["All"]}}, False),
        ({"servicePrincipalRiskLevels": ["high"]}, False),
        (
            {
                "clientApplications": {
                    "includeServicePrincipals": [ROBOT],
                    "servicePrincipalFilter": {"mode": "exclude"},
                }
            },
            False,
        ),
        ({"clientApplications": {"includeServicePrincipals": [ROBOT], "excludeServicePrincipals": [ROBOT]}}, None),
        ({"clientApplications": {"includeServicePrincipals": ["another"]}}, None),
        ({"clientApplications": None}, None),
        ({"applications": {"includeApplications": ["another"]}}, None),
        ({"applications": {"includeApplications": ["All"], "excludeApplications": [SERVER_APP]}}, None),
    ],
)
def test_a_policy_for_workload_identities_applies_certainly_possibly_or_not(
    change: dict[str, Any], *, certain: bool | None
) -> None:
    policy = {**WORKLOADS, "conditions": {**WORKLOADS["conditions"], **change}}
    assert application_meets(policy, ROBOT) is certain


@pytest.mark.parametrize(
    ("result", "certain"),
    [
        ({"policyApplies": True, "analysisReasons": "notSet"}, True),
        ({"policyApplies": False, "analysisReasons": "notEnoughInformation"}, False),
        ({"policyApplies": False, "analysisReasons": "users"}, None),
    ],
)
def test_an_answer_of_what_if_means_certainly_possibly_or_not(result: dict[str, Any], *, certain: bool | None) -> None:
    assert person_meets(result) is certain
