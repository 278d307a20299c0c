"""Grants and explanations with the real SDKs: access, its reasons, its end, and what remains."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aks_entra.access import explain as access_survey
from aks_entra.access import grants
from aks_entra.access.grant_sweep import sweep
from aks_entra.access.grants import Patience
from aks_entra.core.access.explain import explain
from aks_entra.core.access.grants import Approval, Ask, Level, Via, description
from aks_entra.core.access.resource_access import attributes
from aks_entra.errors import Refused
from aks_entra.ports.migration import Clock
from aks_entra.wiring import Session
from azure_sandbox.server import Sandbox
from tests.contract.access_engines import granter
from tests.contract.small_world import ADMINS, READER, SUBSCRIPTION, UNLOCKED, Opener, cluster

pytestmark = pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
PODS = attributes("list", "pods", namespace="default")


async def asked(
    session: Session, name: str, level: Level, *, to: str = READER["appId"], namespace: str = "", hours: float = 2
) -> Ask:
    place = cluster(name, "pay-weu" if name == "azure-rbac" else "shop-weu")
    what = (to, level, namespace, None)
    return await grants.ask_for(session.ports, place, what, timedelta(hours=hours), "CHG-1")


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
        assert (await sweep(engine, (SUBSCRIPTION,), (posture,))).ended == ()  # its end has not come yet
        (standing,) = await engine.active((SUBSCRIPTION,), (posture,))
        ended = await engine.end(standing)
        assert (ended.removed, ended.still_allowed, ended.error) == (True, "", "")
        assert "do not give this access any more" in ended.tokens
        assert await may(session, name, READER["id"]) is False
        assert not (await engine.end(standing)).removed


async def test_the_sweep_ends_only_grants_that_are_over(opened: Opener) -> None:
    async with opened() as session:
        engine = granter(session)
        short = await asked(session, "azure-rbac", Level.READER, namespace="default", hours=1)
        long = await asked(session, "azure-rbac", Level.WRITER, namespace="default", hours=9)
        bound = await asked(session, "guarded", Level.READER, namespace="default", hours=1)
        for ask in (short, long, bound):
            await engine.give(ask, approved(ask))
        postures = tuple([await session.ports.arm.cluster(ask.cluster) for ask in (long, bound)])
        clock = Later(session.ports.clock, timedelta(hours=2))
        aged = replace(
            engine, ports=replace(session.ports, clock=clock), patience=Patience(timeout=0.2, poll_interval=0.01)
        )
        ended = (await sweep(aged, (SUBSCRIPTION,), postures)).ended
        assert sorted(one.grant.role for one in ended) == ["Azure Kubernetes Service RBAC Reader", "view"]
        assert all(one.removed and one.late > 0 for one in ended)
        left = await engine.active((SUBSCRIPTION,), postures)
        assert [one.role for one in left] == ["Azure Kubernetes Service RBAC Writer"]


class Copied(Ask):
    """A grant of someone else with our label and description, under another name."""

    @property
    def binding_name(self) -> str:
        return "their-own"


async def test_what_carries_our_mark_under_another_name_is_never_deleted(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        engine = granter(session)
        ask = await asked(session, "azure-rbac", Level.READER, namespace="default", hours=-1)
        box.arm.assign(ask.scope, READER["id"], ask.role, description=description(ask, "mallory", ask.end))
        bound = await asked(session, "guarded", Level.READER, namespace="default", hours=-1)
        whole = {name: getattr(bound, name) for name in Ask.__dataclass_fields__}
        posture = await session.ports.arm.cluster(bound.cluster)
        for namespace, text in (("default", description(bound, "mallory", bound.end)), ("kube-system", "")):
            copy = Copied(**{**whole, "namespace": namespace})
            assert (await session.access.bindings.bind(posture, copy, text)).foreign
        swept = await sweep(engine, (SUBSCRIPTION,), (posture,))
        assert swept.ended == ()
        assert len(swept.foreign) == 3
        assert [one.partition(" ")[0] for one in swept.troubles] == ["rolebindings/kube-system/their-own"]
        for one in swept.foreign:
            for claimed in (one, replace(one, foreign=False, text="changed since")):
                with pytest.raises(Refused, match=r"is not a (grant|binding) of ours"):
                    await engine.end(claimed)
        assert set((await sweep(engine, (SUBSCRIPTION,), (posture,))).foreign) == set(swept.foreign)
        damaged = replace(await asked(session, "guarded", Level.WRITER, namespace="default", hours=1))
        made = await session.access.bindings.bind(posture, damaged, "aks-entra grant; until=soon")
        known = {made.name: session.ports.clock.now() - timedelta(hours=1)}
        (ended,) = (await sweep(engine, (SUBSCRIPTION,), (posture,), known)).ended
        assert (ended.grant.name, ended.removed) == (damaged.binding_name, True)


async def test_a_longer_request_extends_a_grant_and_a_shorter_one_does_not_shorten_it(opened: Opener) -> None:
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


async def test_a_grant_needs_an_approval_of_the_same_request(opened: Opener) -> None:
    async with opened() as session:
        engine = granter(session)
        ask = await asked(session, "azure-rbac", Level.READER)
        other = await asked(session, "azure-rbac", Level.CLUSTER_ADMIN)
        for approval in (None, approved(other)):
            with pytest.raises(Refused, match="nobody approved exactly this request"):
                await engine.give(ask, approval)
        assert await session.access.roles.grants(SUBSCRIPTION) == ()


async def test_a_grant_can_cover_the_kubeconfig_only(opened: Opener) -> None:
    async with opened() as session:
        ask = await asked(session, "guarded", Level.CLUSTER_USER, to="dana@contoso.com")
        given = await granter(session).give(ask, approved(ask))
        assert "kubeconfig may be fetched" in given.proof
        (grant,) = await session.access.roles.grants(SUBSCRIPTION)
        assert (grant.role, grant.until) == ("Azure Kubernetes Service Cluster User Role", ask.end)
        ended = await granter(session).end(grant)
        assert ended.removed
        assert await session.access.roles.grants(SUBSCRIPTION) == ()


async def test_an_existing_role_assignment_of_others_is_never_adopted(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        ask = await asked(session, "azure-rbac", Level.READER)
        box.arm.assign(ask.scope, READER["id"], "Azure Kubernetes Service RBAC Reader")
        with pytest.raises(Refused, match="by an assignment of others that never ends") as refused:
            await granter(session).give(ask, approved(ask))
        assert refused.value.code == "RoleAssignmentExists"


async def test_an_explanation_distinguishes_member_outsider_and_disabled_account(opened: Opener) -> None:
    async with opened() as session:
        seen = {
            who: explain(
                await access_survey.gather(session.ports, session.access, cluster("guarded"), who),
                attributes("list", "nodes"),
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


async def test_an_unknown_principal_is_refused_by_name(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match=r"nobody@contoso\.com"):
            await access_survey.gather(session.ports, session.access, cluster("guarded"), "nobody@contoso.com")


@pytest.mark.usefixtures("as_reader")
async def test_without_rights_memberships_are_unknown_and_not_none(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused) as refused:
            await access_survey.gather(session.ports, session.access, cluster("guarded"), "dana@contoso.com")
    assert "User.Read.All" in refused.value.remedy


class Later:
    """The same clock, some hours later."""

    def __init__(self, clock: Clock, ahead: timedelta) -> None:
        self._clock = clock
        self._ahead = ahead

    def now(self) -> datetime:
        return self._clock.now() + self._ahead

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
