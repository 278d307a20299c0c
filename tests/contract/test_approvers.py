"""A plan against the sandbox's Microsoft Graph says whether enough people can sign at its gates."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.fleet import ONE_STAGE, Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.gates import Gate
from aks_entra.planning.planner import plan_fleet
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.http import Reply
from azure_sandbox.front.proxy import Exchange
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import ADMINS, SUBSCRIPTION, TENANT, fleet_world

PAIR, ALONE, NOBODY = (f"a1b2c3d4-2222-4222-8333-94444555{end}" for end in ("6661", "6662", "6663"))
UNKNOWN = "a1b2c3d4-2222-4222-8333-944445559999"
WORLD = fleet_world(
    {"shop-weu": [f"name: c-{one}, nodes: 1, identity: none" for one in range(3)]},
    in_tenant="users: [{name: dana, upn: dana@contoso.com}, {name: olive, upn: olive@contoso.com}, "
    "{name: left, upn: left@contoso.com, enabled: false}]",
    more_groups=(
        f"name: pair, id: {PAIR}, members: [alone, olive, left, operator]",
        f"name: alone, id: {ALONE}, members: [dana]",
        f"name: nobody, id: {NOBODY}, members: [operator]",
    ),
).replace("Directory.Read.All]", "Directory.Read.All, PrivilegedEligibilitySchedule.Read.AzureADGroup]")
FORBIDDEN = Reply(403, {"error": {"code": "Authorization_RequestDenied", "message": "no"}})


def signed_by(*groups: str, **how: object) -> Fleet:
    approvers = Approvers(tenant_id=TENANT, client_id="app", groups=groups, at_least=2)
    gate = Gate(approvers=replace(approvers, **how))  # type: ignore[arg-type]  # the tests' own fields
    return Fleet(
        name="shop",
        selectors=(Selector(subscription=SUBSCRIPTION),),
        target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
        stages=(replace(ONE_STAGE[0], gate_before=gate),),
    )


async def said(fleet: Fleet) -> dict[str, str]:
    """Return what rule 166 says, the same of each cluster."""
    async with open_session(Settings(group_reads=2, group_read_gap=0)) as session:
        plan = await plan_fleet(session.ports, fleet, ())
    found = [{it.rule: it.message for it in one.findings if it.rule.endswith("66")} for one in plan.clusters]
    assert found == [found[0]] * 3
    return found[0]


async def test_people_of_all_groups_count_once_and_applications_and_disabled_users_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "world.yaml").write_text(WORLD)
    seen: list[Exchange] = []
    async with in_environment(
        monkeypatch, tmp_path / "world.yaml", pace=100_000, replication=0, observe=seen.append
    ) as box:
        assert await said(signed_by(PAIR)) == {}, "dana is in it through another group"
        assert set(await said(signed_by(PAIR, not_requester=True))) == {"W166"}
        assert "only 2 people can" in (await said(signed_by(PAIR, ALONE, at_least=3)))["B066"]
        assert "nobody can" in (await said(signed_by(NOBODY)))["B066"]
        assert f"group {UNKNOWN} does not exist" in (await said(signed_by(UNKNOWN)))["B066"]
        assert f"group {UNKNOWN} does not exist" in (await said(signed_by(PAIR, UNKNOWN)))["W166"]
        seen.clear()
        await said(signed_by(PAIR, ALONE))
        asked = Counter(it.path.partition("?")[0] for it in seen if it.host == "graph.microsoft.com")
        assert [asked[f"/v1.0/groups/{one}"] for one in (PAIR, ALONE)] == [1, 1]
        assert asked[f"/v1.0/groups/{PAIR}/transitiveMembers"] <= 2, "the count, and the list"
        members = f"/groups/{PAIR}/transitiveMembers"
        box.faults.add("GET", members, host="graph.microsoft.com", answer=FORBIDDEN, times=3)
        assert "could not be read" in (await said(signed_by(PAIR)))["U166"]
        assert not box.faults.waiting
