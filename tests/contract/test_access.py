"""Grants and explanations with the real SDKs against the sandbox: who gets in, why, until when, and what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aks_entra import access_survey, granting
from aks_entra.core.access import explain
from aks_entra.core.grants import Approval, Ask, Level, Via
from aks_entra.core.wishes import wish
from aks_entra.errors import Refused
from aks_entra.granting import Granter, Patience
from aks_entra.ports import Clock
from aks_entra.wiring import Session
from azure_sandbox.server import Sandbox

from .conftest import ADMINS, READER, SUBSCRIPTION, WORLD, Opener, cluster

UNLOCKED = WORLD.replace("        locks: [{name: keep, level: ReadOnly}]\n", "")
pytestmark = pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
PODS = wish("list", "pods", namespace="default")


def granter(session: Session) -> Granter:
    return Granter(ports=session.ports, access=session.access, patience=Patience(limit=5, every=0.01))


async def asked(
    session: Session, name: str, level: Level, *, to: str = READER["appId"], namespace: str = "", hours: float = 2
) -> Ask:
    place = cluster(name, "pay-weu" if name == "azure-rbac" else "shop-weu")
    what = (to, level, namespace, None)
    return await granting.ask_for(session.ports, session.access, place, what, timedelta(hours=hours), "CHG-1")


def approved(ask: Ask) -> Approval:
    return Approval(digest=ask.digest, approver="dana@contoso.com")


async def may(session: Session, name: str, who: str) -> bool | None:
    place = cluster(name, "pay-weu" if name == "azure-rbac" else "shop-weu")
    return explain(await access_survey.gather(session.ports, session.access, place, who), PODS).allowed


@pytest.mark.parametrize("name", ["azure-rbac", "guarded"])
async def test_a_grant_in_one_namespace_works_at_once_and_its_end_is_proven(opened: Opener, name: str) -> None:
    async with opened() as session:
        engine = granter(session)
        ask = await asked(session, name, Level.READER, namespace="default")
        assert ask.via is (Via.AZURE if name == "azure-rbac" else Via.KUBERNETES)
        assert await may(session, name, READER["id"]) is False

        given = await engine.give(ask, approved(ask))
        assert given.changed
        assert given.grant.until == ask.end
        assert await may(session, name, READER["id"]) is True
        assert not (await engine.give(ask, approved(ask))).changed

        posture = await session.ports.arm.cluster(ask.cluster)
        assert await engine.sweep((SUBSCRIPTION,), (posture,)) == ()  # not yet
        (standing,) = await engine.standing((SUBSCRIPTION,), (posture,))
        ended = await engine.end(standing)
        assert (ended.removed, ended.still_allowed, ended.error) == (True, "", "")
        assert "no longer carry this grant" in ended.tokens
        assert await may(session, name, READER["id"]) is False
        assert not (await engine.end(standing)).removed


async def test_the_sweep_ends_what_is_over_and_nothing_else(opened: Opener) -> None:
    async with opened() as session:
        engine = granter(session)
        short = await asked(session, "azure-rbac", Level.READER, namespace="default", hours=1)
        long = await asked(session, "azure-rbac", Level.WRITER, namespace="default", hours=9)
        bound = await asked(session, "guarded", Level.READER, namespace="default", hours=1)
        for ask in (short, long, bound):
            await engine.give(ask, approved(ask))
        postures = tuple([await session.ports.arm.cluster(ask.cluster) for ask in (long, bound)])
        clock = Later(session.ports.clock, timedelta(hours=2))
        aged = replace(engine, ports=replace(session.ports, clock=clock), patience=Patience(limit=0.2, every=0.01))
        ended = await aged.sweep((SUBSCRIPTION,), postures)
        assert sorted(one.grant.role for one in ended) == ["Azure Kubernetes Service RBAC Reader", "view"]
        assert all(one.removed and one.late > 0 for one in ended)
        left = await engine.standing((SUBSCRIPTION,), postures)
        assert [one.role for one in left] == ["Azure Kubernetes Service RBAC Writer"]


async def test_a_longer_request_moves_the_end_and_a_shorter_one_never_does(opened: Opener) -> None:
    async with opened() as session:
        engine = granter(session)
        for name in ("azure-rbac", "guarded"):
            first = await asked(session, name, Level.READER, namespace="default", hours=2)
            longer = await asked(session, name, Level.READER, namespace="default", hours=4)
            shorter = await asked(session, name, Level.READER, namespace="default", hours=1)
            assert (await engine.give(first, approved(first))).changed
            assert (await engine.give(longer, approved(longer))).grant.until == longer.end
            kept = await engine.give(shorter, approved(shorter))
            assert (kept.changed, kept.grant.until) == (False, longer.end)


async def test_nothing_is_given_without_an_approval_of_exactly_this_request(opened: Opener) -> None:
    async with opened() as session:
        engine = granter(session)
        ask = await asked(session, "azure-rbac", Level.READER)
        other = await asked(session, "azure-rbac", Level.CLUSTER_ADMIN)
        for approval in (None, approved(other)):
            with pytest.raises(Refused, match="nobody approved exactly this request"):
                await engine.give(ask, approval)
        assert await session.access.roles.grants(SUBSCRIPTION) == ()


async def test_the_kubeconfig_alone_can_be_granted_too(opened: Opener) -> None:
    async with opened() as session:
        ask = await asked(session, "guarded", Level.CLUSTER_USER, to="dana@contoso.com")
        given = await granter(session).give(ask, approved(ask))
        assert "kubeconfig may be fetched" in given.proof
        (grant,) = await session.access.roles.grants(SUBSCRIPTION)
        assert (grant.role, grant.until) == ("Azure Kubernetes Service Cluster User Role", ask.end)
        ended = await granter(session).end(grant)
        assert ended.removed
        assert await session.access.roles.grants(SUBSCRIPTION) == ()


async def test_an_assignment_of_somebody_else_is_never_taken_over(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        ask = await asked(session, "azure-rbac", Level.READER)
        box.arm.assign(ask.scope, READER["id"], "Azure Kubernetes Service RBAC Reader")
        with pytest.raises(Refused, match="it is not ours") as refused:
            await granter(session).give(ask, approved(ask))
        assert refused.value.code == "RoleAssignmentExists"


async def test_a_member_an_outsider_and_a_disabled_account_are_told_apart(opened: Opener) -> None:
    async with opened() as session:
        seen = {
            who: explain(
                await access_survey.gather(session.ports, session.access, cluster("guarded"), who),
                wish("list", "nodes"),
            )
            for who in ("dana@contoso.com", "left@contoso.com", READER["appId"])
        }
    assert seen["dana@contoso.com"].allowed is True
    assert ADMINS in (seen["dana@contoso.com"].token.groups or ())
    assert {one.rule for one in seen["dana@contoso.com"].reasons} >= {"A130", "A111", "A140", "A171"}
    assert seen["left@contoso.com"].allowed is False
    assert "A108" in {one.rule for one in seen["left@contoso.com"].reasons}
    outsider = seen[READER["appId"]]
    assert (outsider.allowed, outsider.kubeconfig) == (False, True)
    assert {"A110", "A135", "A180"} <= {one.rule for one in outsider.reasons}


async def test_somebody_unknown_is_refused_by_name(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match=r"nobody@contoso\.com"):
            await access_survey.gather(session.ports, session.access, cluster("guarded"), "nobody@contoso.com")


@pytest.mark.usefixtures("as_reader")
async def test_what_may_not_be_read_is_unknown_and_never_none(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused) as refused:
            await access_survey.gather(session.ports, session.access, cluster("guarded"), "dana@contoso.com")
    assert "User.Read.All" in refused.value.remedy


class Later:
    """The same clock, hours ahead."""

    def __init__(self, clock: Clock, ahead: timedelta) -> None:
        self._clock = clock
        self._ahead = ahead

    def now(self) -> datetime:
        return self._clock.now() + self._ahead

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
