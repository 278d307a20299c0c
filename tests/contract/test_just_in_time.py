"""PIM for Groups and Conditional Access over the wire: durations, policies, proofs of the end, and the traps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra import access_survey
from aks_entra.core.access import explain
from aks_entra.core.conditional_access import ENFORCED, REPORT_ONLY, Control
from aks_entra.core.pim import ActivationPolicy, Kind
from aks_entra.errors import Refused
from aks_entra.granting import Patience
from aks_entra.just_in_time import JustInTime
from aks_entra.policies import PolicyRequest, SignInRules
from aks_entra.wiring import Session
from azure_sandbox.server import Sandbox

from .conftest import ADMINS, WORLD, Opener, cluster

EVERYTHING = (
    "Group.ReadWrite.All, Directory.Read.All, RoleManagement.ReadWrite.Directory, "
    "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup, PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup, "
    "RoleManagementPolicy.ReadWrite.AzureADGroup, Policy.Read.All, Policy.ReadWrite.ConditionalAccess, "
    "Application.ReadWrite.All, AuditLog.Read.All"
)
RICH = WORLD.replace("Group.ReadWrite.All, Directory.Read.All", EVERYTHING) + "licences: [P1, P2]\n"
POOR = RICH.replace("licences: [P1, P2]", "licences: []")
DANA, LEFT = "dana@contoso.com", "left@contoso.com"
TWO_HOURS = ActivationPolicy(max_duration=timedelta(hours=2), ticket=True)
rich = pytest.mark.parametrize("box", [{"world": RICH}], indirect=True)
poor = pytest.mark.parametrize("box", [{"world": POOR}], indirect=True)


def jit(session: Session) -> JustInTime:
    return JustInTime(ports=session.ports, access=session.access, patience=Patience(limit=5, every=0.01))


def rules(session: Session) -> SignInRules:
    return SignInRules(ports=session.ports, access=session.access, patience=Patience(limit=5, every=0.01))


async def new_group(session: Session, policy: ActivationPolicy = TWO_HOURS) -> str:
    made, _ = await jit(session).create_group("jit-admins", "jit-admins", "", (DANA,), policy)
    return made


@rich
async def test_a_group_is_made_once_with_its_policy(opened: Opener) -> None:
    async with opened() as session:
        pim = jit(session)
        group_id, created = await pim.create_group("jit-admins", "jit-admins", "on call", (DANA,), TWO_HOURS)
        assert created
        assert await session.access.pim.policy(group_id) == TWO_HOURS
        again, created = await pim.create_group("jit-admins", "jit-admins", "on call", (DANA,), TWO_HOURS)
        assert (again, created) == (group_id, False)
        changed = await pim.policy_for(timedelta(hours=4), frozenset({"justification"}), (DANA, "aks-admins"))
        await pim.set_policy(group_id, changed)
        assert await session.access.pim.policy(group_id) == changed
        assert changed.approver_groups == (ADMINS,)


@rich
async def test_an_eligible_member_is_told_to_activate_and_an_active_one_ends(opened: Opener) -> None:
    async with opened() as session:
        pim, group_id = jit(session), await new_group(session)
        made = await pim.assign(group_id, DANA, Kind.ELIGIBLE, timedelta(days=30), "on call")
        assert made.status == "Provisioned"
        assert [(one.kind, one.principal_id) for one, _ in await pim.members(group_id)] == [
            (Kind.ELIGIBLE, (await session.access.people.principal(DANA)).id)
        ]
        facts = await access_survey.gather(session.ports, session.access, cluster("guarded"), DANA)
        assert group_id in [one.group_id for one in facts.eligible or ()]

        await pim.assign(group_id, LEFT, Kind.ACTIVE, timedelta(hours=3), "incident", "INC-7")
        who = await session.access.people.principal(LEFT)
        assert group_id in await session.access.people.groups_of(who.id)
        said = await pim.end(group_id, LEFT, Kind.ACTIVE, "over")
        assert "a new token does not carry the group" in said
        assert group_id not in await session.access.people.groups_of(who.id)


@rich
async def test_an_application_never_activates_and_a_policy_is_named_in_its_refusal(opened: Opener) -> None:
    async with opened() as session:
        pim, group_id = jit(session), await new_group(session)
        with pytest.raises(Refused, match="only a person activates"):
            await pim.activate(group_id, timedelta(hours=1), "me")
        with pytest.raises(Refused, match="P002"):
            await pim.assign(group_id, DANA, Kind.ACTIVE, timedelta(minutes=1), "short")
        with pytest.raises(Refused, match="ExpirationRule") as refused:
            await pim.assign(group_id, DANA, Kind.ELIGIBLE, timedelta(days=900), "long")
        assert "policy" in refused.value.remedy


@poor
async def test_a_missing_licence_is_said_to_be_just_that(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused) as refused:
            await jit(session).assign("aks-admins", DANA, Kind.ELIGIBLE, timedelta(days=1), "on call")
        assert "P2" in refused.value.remedy
        with pytest.raises(Refused) as refused:
            await session.access.policies.named("aks-policy")
        assert "P1" in refused.value.remedy
        facts = await access_survey.gather(session.ports, session.access, cluster("guarded"), DANA)
        assert (facts.policies, explain(facts).allowed) == (None, True)


def wanted(**change: object) -> PolicyRequest:
    whole: dict[str, object] = {
        "name": "aks-policy",
        "groups": ("aks-admins",),
        "controls": (Control.MFA,),
        "break_glass": ("glass@contoso.com",),
        **change,
    }
    return PolicyRequest(**whole)  # type: ignore[arg-type]  # a test's own table


GLASS = RICH.replace("users:\n", "users:\n  - {name: glass, upn: glass@contoso.com}\n")
glass = pytest.mark.parametrize("box", [{"world": GLASS}], indirect=True)


@glass
async def test_a_policy_reports_first_and_is_enforced_as_it_was(opened: Opener) -> None:
    async with opened() as session:
        engine = rules(session)
        with pytest.raises(Refused, match="C009"):
            await engine.apply(wanted(), enforce=True)
        made = await engine.apply(wanted(), enforce=False)
        assert (made.state, made.changed, made.sign_ins) == (REPORT_ONLY, True, ())
        assert not (await engine.apply(wanted(), enforce=False)).changed
        with pytest.raises(Refused, match="C010"):
            await engine.apply(wanted(controls=(Control.COMPLIANT_DEVICE,)), enforce=True)
        enforced = await engine.apply(wanted(), enforce=True)
        assert (enforced.id, enforced.state) == (made.id, ENFORCED)
        with pytest.raises(Refused, match="C011"):
            await engine.apply(wanted(), enforce=False)
        facts = await access_survey.gather(session.ports, session.access, cluster("guarded"), DANA)
        assert "A124" in {one.rule for one in explain(facts).reasons}


@glass
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"break_glass": ()}, "C001"),
        ({"break_glass": ("gone@contoso.com",)}, "C002"),
        ({"break_glass": (LEFT,)}, "C002"),
        ({"groups": ()}, "C003"),
        ({"controls": ()}, "C004"),
        ({"controls": (Control.BLOCK,)}, "C005"),
    ],
)
async def test_a_policy_that_could_lock_everybody_out_is_refused(
    opened: Opener, change: dict[str, object], rule: str
) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match=rule):
            await rules(session).apply(wanted(**change), enforce=False)
        assert await session.access.policies.named("aks-policy") == ()


@rich
async def test_a_membership_may_begin_later_and_nothing_stands_before(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        pim, group_id = jit(session), await new_group(session)
        later = session.ports.clock.now() + timedelta(minutes=10)
        made = await pim.assign(group_id, DANA, Kind.ACTIVE, timedelta(minutes=30), "shift", "INC-7", start=later)
        assert not made.failed
        assert await pim.members(group_id) == ()
        who = await session.access.people.principal(DANA)
        box.clock.advance(timedelta(minutes=11))
        ((standing, _),) = await pim.members(group_id)
        assert standing.end is not None
        assert abs(standing.end - later - timedelta(minutes=30)) < timedelta(seconds=2)
        assert group_id in await session.access.people.groups_of(who.id)
        box.clock.advance(timedelta(minutes=30))
        assert await pim.members(group_id) == ()
