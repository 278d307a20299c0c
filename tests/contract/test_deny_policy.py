"""What is closed stays closed, with Azure's policies in the sandbox: other clients are refused, break-glass is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aks_entra.core.deny_policy import assignment_id, exemption_id
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.evidence.observations import DenyPolicySeen
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.steps import Guarded
from aks_entra.core.target import Keep
from aks_entra.core.verdict.rollback import is_restored
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.errors import Refused, Rejected
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.planning.planner import plan_fleet
from aks_entra.planning.rollback import plan_way_back
from aks_entra.probes.deny_policy import look
from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.authorization.policies import PolicyAssignment, find_definition
from azure_sandbox.front.http import Reply
from tests.contract.small_world import ADMINS, SUBSCRIPTION, UNLOCKED, cluster
from tests.support.executor_jobs import job_of

if TYPE_CHECKING:
    from aks_entra.wiring import Session
    from azure_sandbox.server import Sandbox
    from tests.contract.small_world import Opener

ROLES = Path(__file__).parents[2] / "deployments" / "roles"
PLAIN = cluster("plain")
DELAY = "durations: {policy: 50000}\n"  # half a second at the pace of these tests
KEEP = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), keep=Keep.DENY)


async def planned(session: Session) -> FleetPlan:
    selector = Selector(subscription=SUBSCRIPTION, name="plain")
    return await plan_fleet(session.ports, Fleet(name="prod", selectors=(selector,), target=KEEP), ())


async def opening(session: Session) -> Opening:
    now = session.ports.clock.now()
    until, since = ((now + timedelta(minutes=some)).isoformat(timespec="seconds") for some in (45, 0))
    return Opening(until=until, since=since, reason="INC-77", opener="dana")


def glass(session: Session) -> BreakGlass:
    return BreakGlass(session.ports, session.watch, session.executor, session.timeouts)


async def closed(session: Session) -> Verdict:
    who = (await session.ports.callers.prover()).object_id
    return await glass(session).close(PLAIN, Prover(object_id=who))


async def open_as_the_portal(session: Session) -> None:
    """Send the PUT with which the portal and any other client turns local accounts on."""
    arm = session.ports.arm
    expected = replace(Guarded.of(await arm.cluster(PLAIN)), ca=None)
    await arm.set_local_accounts(PLAIN, expected, enabled=True)


def seen(verdict: Verdict) -> DenyPolicySeen:
    return [one for one in verdict.evidence if isinstance(one, DenyPolicySeen)][-1]


@pytest.mark.parametrize("box", [{"world": UNLOCKED, "more": DELAY}], indirect=True)
async def test_a_kept_cluster_is_opened_by_break_glass_and_by_a_rollback_alone(opened: Opener, box: Sandbox) -> None:
    key = normal(assignment_id(PLAIN))
    async with opened() as session:
        done = await planned(session)
        verdict = await session.executor.migrate(job_of(done))
        assert verdict.outcome is Outcome.VERIFIED, verdict.because
        assert (seen(verdict).assignment, seen(verdict).changed) == (assignment_id(PLAIN), True)
        assert seen(verdict).correlation_id
        made = box.arm.state.policies[key]
        assert (made.effect, made.scope, made.enforced) == ("Deny", PLAIN.resource_id, True)
        assert made.properties["metadata"]["planDigest"] == done.digest
        anew = (await planned(session)).clusters[0]
        assert "assign-deny-policy" not in {step.kind for step in anew.steps}
        assert anew.blockers == ()
        box.arm.state.policies[key] = replace(made, since=None)  # Azure enforces it by now
    async with opened() as session:
        wanted = await opening(session)
        assert (await glass(session).open(PLAIN, wanted)).outcome is Outcome.NOT_VERIFIED
        assert (await session.ports.arm.cluster(PLAIN)).local_accounts
        assert normal(exemption_id(PLAIN)) in box.arm.state.exemptions
        later = replace(wanted, until=(session.ports.clock.now() + timedelta(hours=2)).isoformat(timespec="seconds"))
        assert (await glass(session).open(PLAIN, later)).outcome is Outcome.NOT_VERIFIED
        assert box.arm.state.exemptions[normal(exemption_id(PLAIN))].properties["expiresOn"] == later.until
    async with opened() as session:
        again = await closed(session)
        assert again.because[0] == "local accounts are closed again", again.because
        assert box.arm.state.exemptions == {}
        with pytest.raises(Rejected, match="Azure Policy 'aks-entra-keep' forbids it"):
            await open_as_the_portal(session)
        assert not await session.ports.deny_policies.end_exemption(PLAIN)
        back = await plan_way_back(session.ports, done, (PLAIN,), ())
        restored = await session.executor.migrate(job_of(back))
        assert is_restored(back.clusters[0], restored.evidence), restored.because
        assert box.arm.state.policies == {}
        assert not await session.ports.deny_policies.remove(PLAIN)


@pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
async def test_what_bears_our_name_and_is_not_ours_stays_as_it_is(opened: Opener, box: Sandbox) -> None:
    definition = find_definition("993c2fcd-2b29-49d2-9eb0-df2c3a730c32")
    assert definition is not None
    theirs = PolicyAssignment(scope=PLAIN.resource_id, name="aks-entra-keep", definition=definition, effect="Audit")
    box.arm.add_policy(theirs)
    async with opened() as session:
        policies = session.ports.deny_policies
        for call in (policies.assign(PLAIN, "sha256:1"), policies.remove(PLAIN)):
            with pytest.raises(Refused, match="is not ours, because its metadata lacks `managedBy: aks-entra`") as no:
                await call
            assert no.value.code == "NotOurs"
        (found,) = await session.ports.arm.policies(PLAIN) or ()
        assert not found.ours
        plan = await planned(session)
        (warning,) = [one for one in plan.clusters[0].findings if one.rule == "W145"]
        assert "somebody else made a policy assignment named aks-entra-keep" in warning.message
        verdict = await session.executor.migrate(job_of(plan))
        assert verdict.outcome is Outcome.VERIFIED, verdict.because
        assert "is not ours" in verdict.because[0]
        assert verdict.because[0].endswith("to assign it: ask its owner to give it another name")
        later = await look(session.ports, PLAIN)
        assert later.problem.startswith("somebody else made /subscriptions/")
        assert later.remedy == "ask its owner to give it another name"
    assert list(box.arm.state.policies.values()) == [theirs]


@pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
async def test_break_glass_on_a_cluster_that_others_close_too_names_an_exemption_beside_ours(
    opened: Opener, box: Sandbox
) -> None:
    definition = find_definition("993c2fcd-2b29-49d2-9eb0-df2c3a730c32")
    assert definition is not None
    async with opened() as session:
        await session.executor.migrate(job_of(await planned(session)))
        key = normal(assignment_id(PLAIN))
        box.arm.state.policies[key] = replace(box.arm.state.policies[key], since=None)
        scope = f"/subscriptions/{SUBSCRIPTION}"
        box.arm.add_policy(PolicyAssignment(scope=scope, name="theirs", definition=definition, effect="Deny"))
    async with opened() as session:
        wanted = await opening(session)
        refused = await glass(session).open(PLAIN, wanted)
        assert refused.outcome is Outcome.REFUSED
        assert "az policy exemption create --name aks-entra-break-glass-others " in refused.next
        assert f"--expires-on {wanted.until}" in refused.next
        assert box.arm.state.exemptions == {}, "nothing was opened, so our policy is in force again"
        path = "policyExemptions/aks-entra-break-glass$"
        box.faults.add("DELETE", path, answer=Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}))
        again = await glass(session).open(PLAIN, wanted)
        assert again.because[1].startswith("the exemption from the deny policy ends by itself, but not yet: ")


def least(*names: str, without: str = "") -> dict[str, Any]:
    """Return a world whose operator has only these roles of deployments/roles."""
    roles = [json.loads((ROLES / f"{name}.json").read_text()) for name in names]
    actions = [action for one in roles for action in one["Actions"] if action != without]
    custom = json.dumps([{"name": "both", "actions": actions, "dataActions": []}])
    world = UNLOCKED.replace("{principal: operator, role: Owner}", "{principal: operator, role: both}")
    return {"world": world, "more": f"customRoles: {custom}\n"}


@pytest.mark.parametrize("box", [least("migrate", "keep")], indirect=True)
async def test_the_two_roles_are_enough(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        done = await planned(session)
        assert not any(one.rule in {"W145", "U145"} for one in done.clusters[0].findings)
        assert seen(await session.executor.migrate(job_of(done))).changed
        assert (await glass(session).open(PLAIN, await opening(session))).outcome is Outcome.NOT_VERIFIED
        assert (await closed(session)).because[0] == "local accounts are closed again"
        back = await plan_way_back(session.ports, done, (PLAIN,), ())
        assert is_restored(back.clusters[0], (await session.executor.migrate(job_of(back))).evidence)
    assert box.arm.state.policies == {}
    assert box.arm.state.exemptions == {}


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("box", [least("migrate")], indirect=True)
async def test_without_the_right_the_plan_warns_and_the_report_names_the_command(opened: Opener) -> None:
    async with opened() as session:
        done = await planned(session)
        assert "W145" in {one.rule for one in done.clusters[0].findings}
        verdict = await session.executor.migrate(job_of(done))
        assert verdict.outcome is Outcome.VERIFIED
        assert "lacks Microsoft.Authorization/policyAssignments/write" in verdict.because[0]
        assert "az policy assignment create --name aks-entra-keep" in verdict.because[0]


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    "box", [least("migrate", "keep", without="Microsoft.Authorization/policyAssignments/exempt/action")], indirect=True
)
async def test_without_the_right_to_exempt_break_glass_opens_nothing(opened: Opener) -> None:
    async with opened() as session:
        await session.executor.migrate(job_of(await planned(session)))
        verdict = await glass(session).open(PLAIN, await opening(session))
        assert verdict.outcome is Outcome.REFUSED
        assert "lacks Microsoft.Authorization/policyAssignments/exempt/action" in verdict.because[0]
        assert "az policy exemption create --name aks-entra-break-glass" in verdict.next
        assert not (await session.ports.arm.cluster(PLAIN)).local_accounts
