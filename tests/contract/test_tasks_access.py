"""The tasks of the access runbooks, in this process and over an open session, with every branch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.access.conditional_access import REPORT_ONLY
from aks_entra.core.access.grants import Approval, Ask, Level
from aks_entra.core.access.pim import ActivationPolicy
from aks_entra.errors import Refused
from aks_entra.wiring import Session
from tasks import access as tasks
from tests.contract.access_engines import wanted
from tests.contract.small_world import DANA, GLASS, READER, SUBSCRIPTION, Opener

UNLOCKED = GLASS.replace("        locks: [{name: keep, level: ReadOnly}]\n", "")
pytestmark = [pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True), pytest.mark.usefixtures("box")]


async def named(session: Session, cluster: str = "shop-weu/guarded", hours: float = 1.0) -> Ask:
    what, end = (READER["appId"], Level.READER, "default", None), session.ports.clock.now() + timedelta(hours=hours)
    return await tasks.name_request.fn(cluster, "prod-eu", what, end, "CHG-1", "dana")


async def test_a_grant_is_requested_checked_given_and_ended(opened: Opener) -> None:
    async with opened() as session:
        ask = await named(session)
        assert (ask.requested_by, ask.reason) == ("dana", "CHG-1")
        assert await tasks.check_request.fn(ask) == ()
        given = await tasks.give_access.fn(ask, Approval(digest=ask.digest, approver="erin"))
        assert ask.end is not None
        assert given.grant.until == ask.end.replace(microsecond=0)
        ended = await tasks.end_access.fn(given.grant)
        assert (ended.removed, ended.still_allowed) == (True, "")


async def test_the_sweep_ends_expired_grants_and_keeps_the_others(opened: Opener) -> None:
    async with opened() as session:
        ask = await named(session, "pay-weu/azure-rbac")
        await tasks.give_access.fn(ask, Approval(digest=ask.digest, approver="erin"))
        assert (await tasks.sweep.fn((SUBSCRIPTION,), {})).ended == ()
        old = replace(ask, end=session.ports.clock.now() - timedelta(hours=1))
        with pytest.raises(Refused, match="ended"):
            await tasks.give_access.fn(old, Approval(digest=old.digest, approver="erin"))


async def test_clusters_are_found_by_subscription_and_resource_group_and_reviewed(opened: Opener) -> None:
    async with opened():
        everywhere = await tasks.find_clusters.fn(("prod-eu",), None)
        there = await tasks.find_clusters.fn((SUBSCRIPTION,), "SHOP-weu")
        assert {one.cluster.name for one in there} == {"plain", "legacy", "guarded"}
        assert len(everywhere) == len(there) + 2
        (guarded,) = [one for one in there if one.cluster.name == "guarded"]
        assert any("dana" in way.who for way in await tasks.review_cluster.fn(guarded))


@pytest.mark.parametrize("asks", [(True, True, True), (False, False, False)])
async def test_a_group_is_created_with_its_policy(opened: Opener, asks: tuple[bool, bool, bool]) -> None:
    justification, ticket, mfa = asks
    policy = ActivationPolicy(max_duration=timedelta(hours=2), justification=justification, ticket=ticket, mfa=mfa)
    async with opened() as session:
        group_id, created = await tasks.create_group.fn("jit", "jit", "on call", (DANA,), (), policy)
        assert created
        assert await session.access.pim.policy(group_id) == policy


async def test_a_conditional_access_policy_is_checked_and_applied(opened: Opener) -> None:
    async with opened():
        assert await tasks.check_policy.fn(wanted(), enforce=False) == ()
        with pytest.raises(Refused, match="C009"):
            await tasks.check_policy.fn(wanted(), enforce=True)
        assert (await tasks.apply_policy.fn(wanted(), enforce=False)).state == REPORT_ONLY
