"""PIM for Groups and Conditional Access over the wire: durations, policies, proof of the end, and known traps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra.access import explain as access_survey
from aks_entra.core.access.conditional_access import ENFORCED, REPORT_ONLY, Control
from aks_entra.core.access.explain import explain
from aks_entra.core.access.pim import Kind
from aks_entra.errors import Refused
from azure_sandbox.server import Sandbox
from tests.contract.access_engines import TWO_HOURS, jit, new_group, rules, wanted
from tests.contract.small_world import ADMINS, DANA, GLASS, LEFT, RICH, Opener, cluster

POOR = RICH.replace("licences: [P1, P2]", "licences: []")
rich = pytest.mark.parametrize("box", [{"world": RICH}], indirect=True)
poor = pytest.mark.parametrize("box", [{"world": POOR}], indirect=True)


@rich
async def test_a_group_is_created_once_with_its_policy(opened: Opener) -> None:
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
async def test_an_eligible_member_is_told_to_activate_and_an_active_membership_ends(opened: Opener) -> None:
    async with opened() as session:
        pim, group_id = jit(session), await new_group(session)
        made = await pim.assign(group_id, DANA, Kind.ELIGIBLE, timedelta(days=30), "on call")
        assert made.status == "Provisioned"
        assert [(one.kind, one.principal_id) for one, _ in await pim.members(group_id)] == [
            (Kind.ELIGIBLE, (await session.ports.directory.principal(DANA)).id)
        ]
        facts = await access_survey.gather(session.ports, session.access, cluster("guarded"), DANA)
        assert group_id in [one.group_id for one in facts.eligible or ()]

        await pim.assign(group_id, LEFT, Kind.ACTIVE, timedelta(hours=3), "incident", "INC-7")
        who = await session.ports.directory.principal(LEFT)
        assert group_id in await session.ports.directory.groups_of(who.id)
        said = await pim.end(group_id, LEFT, Kind.ACTIVE, "over")
        assert "a new token does not contain the group" in said
        assert group_id not in await session.ports.directory.groups_of(who.id)


@rich
async def test_an_application_cannot_activate_and_the_error_names_the_rule(opened: Opener) -> None:
    async with opened() as session:
        pim, group_id = jit(session), await new_group(session)
        with pytest.raises(Refused, match="P001 only a person can activate"):
            await pim.activate(group_id, timedelta(hours=1), "me")
        with pytest.raises(Refused, match="P002"):
            await pim.assign(group_id, DANA, Kind.ACTIVE, timedelta(minutes=1), "short")
        with pytest.raises(Refused, match="ExpirationRule") as refused:
            await pim.assign(group_id, DANA, Kind.ELIGIBLE, timedelta(days=900), "long")
        assert "policy" in refused.value.remedy


@poor
async def test_a_missing_licence_is_reported_as_such(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused) as refused:
            await jit(session).assign("aks-admins", DANA, Kind.ELIGIBLE, timedelta(days=1), "on call")
        assert "P2" in refused.value.remedy
        with pytest.raises(Refused) as refused:
            await session.access.policies.named("aks-policy")
        assert "P1" in refused.value.remedy
        facts = await access_survey.gather(session.ports, session.access, cluster("guarded"), DANA)
        assert (facts.policies, explain(facts).allowed) == (None, True)


glass = pytest.mark.parametrize("box", [{"world": GLASS}], indirect=True)


@glass
async def test_a_policy_is_report_only_first_and_enforced_unchanged(opened: Opener) -> None:
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
async def test_a_policy_that_could_lock_all_users_out_is_refused(
    opened: Opener, change: dict[str, object], rule: str
) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match=rule):
            await rules(session).apply(wanted(**change), enforce=False)
        assert await session.access.policies.named("aks-policy") == ()


@rich
async def test_a_membership_can_begin_later_and_has_no_effect_before(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        pim, group_id = jit(session), await new_group(session)
        later = session.ports.clock.now() + timedelta(minutes=10)
        made = await pim.assign(group_id, DANA, Kind.ACTIVE, timedelta(minutes=30), "shift", "INC-7", start=later)
        assert not made.failed
        assert await pim.members(group_id) == ()
        who = await session.ports.directory.principal(DANA)
        box.clock.advance(timedelta(minutes=11))
        ((standing, _),) = await pim.members(group_id)
        assert standing.end is not None
        assert abs(standing.end - later - timedelta(minutes=30)) < timedelta(seconds=2)
        assert group_id in await session.ports.directory.groups_of(who.id)
        box.clock.advance(timedelta(minutes=30))
        assert await pim.members(group_id) == ()
