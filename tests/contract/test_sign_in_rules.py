"""Conditional Access that would stop the prover: what-if knows of a person, policies name an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aks_entra.adapters.conditional_access import application_meets, person_meets
from aks_entra.core.kubelogin import SERVER_APP
from aks_entra.core.preflight import SignInRule
from aks_entra.errors import Refused
from aks_entra.ports import SignInRules
from aks_entra.wiring import Session
from tests.contract.conftest import READER, TENANT

if TYPE_CHECKING:
    from azure_sandbox.server import Sandbox
    from tests.contract.conftest import Opener

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


def rules(session: Session) -> SignInRules:
    assert session.ports.sign_in is not None
    return session.ports.sign_in


@BOX
async def test_a_person_is_asked_about(opened: Opener, box: Sandbox) -> None:
    people = {name: person.id for name in ("dana", "erin") if (person := box.directory.user(f"{name}@contoso.com"))}
    async with opened() as session:
        met = await rules(session).in_the_way(people["dana"], person=True)
        assert met == (SignInRule(name="Not dana", controls=("block",)),)
        met = await rules(session).in_the_way(people["erin"], person=True)
        assert met == (
            SignInRule(name="Everybody twice", controls=("mfa",)),
            SignInRule(name="Only from the office", controls=("block",), certain=False),
        )
        assert await rules(session).in_the_way(ROBOT, person=False) == ()  # policies for users never meet it


@pytest.mark.parametrize("box", [{"world": UNLICENSED}], indirect=True)
async def test_without_the_licence_there_is_no_conditional_access(opened: Opener) -> None:
    async with opened() as session:
        assert await rules(session).in_the_way(ROBOT, person=False) == ()


async def test_without_the_right_it_is_refused(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_policy_for_workload_identities(change: dict[str, Any], *, certain: bool | None) -> None:
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
def test_an_answer_of_what_if(result: dict[str, Any], *, certain: bool | None) -> None:
    assert person_meets(result) is certain
