"""The doors that ARM shows, read with the real clients from the sandbox, and what bad answers make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.doors.model import Door, DoorState
from aks_entra.core.doors.registry import words_of
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.planning.planner import plan_fleet
from aks_entra.probes import doors
from aks_entra.wiring import Session
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import UNLOCKED, Opener, cluster
from tests.support.memory_model import WorldClock

ARM = "management.azure.com"
GITHUB = "https://token.actions.githubusercontent.com"
AUTHENTICATOR = (
    f"{{issuer: {{url: '{GITHUB}', audiences: [aks]}}, claimMappings: {{username: {{expression: claims.sub}}}}}}"
)
MORE = f"""\
      - name: doors-weu
        location: westeurope
        clusters:
          - name: ajar
            identity: managed
            adminGroups: [aks-admins]
            localAccounts: false
            jwtAuthenticators: {{github: {AUTHENTICATOR}}}
            managedNamespaces: {{pay: {{adoptionPolicy: Never}}}}
"""
BOX = pytest.mark.parametrize("box", [{"world": UNLOCKED, "more": MORE}], indirect=True)
BAD = {
    "a page": Reply(200, "<html>Please sign in</html>"),
    "nothing": Reply(200, {}),
    "a resource without a name": Reply(200, {"value": [{"properties": {}}]}),
    "half an authenticator": Reply(200, {"value": [{"name": "new", "properties": []}]}),
    "a refusal": Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
    "a preview that ended": Reply(400, {"error": {"code": "NoRegisteredProviderFound", "message": "ended"}}),
    "a type that is gone": Reply(404, {"error": {"code": "InvalidResourceType", "message": "gone"}}),
    "a second page that fails": Reply(200, {"value": [], "nextLink": f"https://{ARM}/nowhere?api-version=1"}),
    "a page elsewhere": Reply(200, {"value": [], "nextLink": "https://elsewhere.invalid/"}),
}


async def looked(session: Session, name: str = "ajar", group: str = "doors-weu") -> dict[str, Door]:
    posture = await session.ports.arm.cluster(cluster(name, group))
    (seen,) = await doors.look(replace(session.ports, clock=WorldClock()), posture)
    return {door.kind: door for door in seen.doors}


@BOX
async def test_open_doors_name_who_can_use_them_and_closed_doors_have_a_proof(opened: Opener) -> None:
    async with opened() as session:
        ajar = await looked(session)
        assert ajar["jwt-authenticators"].because == (f"github accepts tokens of {GITHUB}",)
        assert ajar["managed-namespaces"].because[0].startswith("pay: everyone with")
        assert ajar["node-ssh"].because == ("nodepool1: everyone with a private key of its local user",)
        assert {ajar[kind].state for kind in ("jwt-authenticators", "managed-namespaces", "node-ssh")} == {"open"}
        shut = await looked(session, "guarded", "shop-weu")
        assert {shut[kind].state for kind in ("jwt-authenticators", "managed-namespaces")} == {"closed"}


@BOX
@pytest.mark.usefixtures("as_reader")
async def test_without_a_right_a_door_is_not_looked_at_and_the_right_is_named(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("ajar", "doors-weu"))
        (seen,) = await doors.look(session.ports, posture)
    for kind, right in (("jwt-authenticators", "jwtAuthenticators"), ("managed-namespaces", "managedNamespaces")):
        (door,) = [one for one in seen.doors if one.kind == kind]
        assert door.state is DoorState.NOT_LOOKED_AT
        assert door.remedy == f"grant Microsoft.ContainerService/managedClusters/{right}/read"
    assert box.faults.waiting == ()


@BOX
async def test_an_invalid_answer_never_closes_a_door(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        for what, answer in BAD.items():
            for path in ("/jwtAuthenticators$", "/managedNamespaces$"):
                box.faults.add("GET", path, host=ARM, answer=answer, times=6)  # a repeated read gets the same answer
            seen = await looked(session, "guarded", "shop-weu")
            box.faults.clear()
            for door in (seen["jwt-authenticators"], seen["managed-namespaces"]):
                assert door.state is not DoorState.CLOSED, (what, door)
                assert door.remedy, (what, door)
                assert door.because[0], (what, door)


@BOX
async def test_a_fleet_that_wants_a_door_closed_is_told_in_the_plan_and_fails(opened: Opener) -> None:
    async with opened() as session:
        target = WantedTarget(admin_groups=(WantedGroup(name="aks-admins"),), doors=("jwt-authenticators",))
        selector = Selector(subscription="prod-eu", resource_group="doors-weu", name="ajar")
        plan = await plan_fleet(session.ports, Fleet(name="doors", selectors=(selector,), target=target), ())
        (one,) = plan.clusters
        assert "W170" in {finding.rule for finding in one.findings}
        job = Job(digest=plan.digest, plan=one, prover=plan.prover)
        verdict = await session.executor.migrate(job)
        assert verdict.outcome is Outcome.FAILED, verdict.because
        assert any("(jwt-authenticators) must be closed, and is open" in said for said in verdict.because)
        other = replace(job, plan=replace(one, target=replace(one.target, doors=())))
        verdict = await session.executor.migrate(other)
        assert verdict.outcome is not Outcome.FAILED, verdict.because
        assert f"other ways in: {words_of(())}" not in verdict.because
