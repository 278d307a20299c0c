"""Who holds only a role of deployments/roles does all of its work; what is taken away from the role is named."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aks_entra import access_survey, granting, verifier
from aks_entra.break_glass import BreakGlass
from aks_entra.core.access import explain
from aks_entra.core.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.grants import Approval, Level
from aks_entra.core.opening import Opening
from aks_entra.core.plan import FleetPlan, Prover
from aks_entra.core.preflight import Severity
from aks_entra.core.standing import judge_standing
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.errors import AksEntraError
from aks_entra.executor import Job
from aks_entra.one_place import OnePlace
from aks_entra.settings import Settings
from aks_entra.survey import inventory, plan_fleet
from aks_entra.wayback import plan_way_back
from aks_entra.wiring import Session, open_session

from .conftest import ADMINS, READER, SUBSCRIPTION, cluster
from .test_access import UNLOCKED, granter
from .test_least_privilege import LISTED

ROLES = Path(__file__).parents[2] / "deployments" / "roles"
EVERYWHERE = Selector(subscription=SUBSCRIPTION)
NEW = WantedGroup(name="new-admins", create=True, unique_name="new-admins", members=("dana@contoso.com",))


HURRIED = Settings(
    poll_interval=0.02,
    look_interval=0.02,
    group_reads=2,
    group_read_gap=0,
    sign_in_limit=3,
    refusal_limit=3,
    credential_limit=3,
    settle_limit=10,
    verify_limit=3,
    step_limit=15,
    grant_limit=3,
)
"""What is missing is refused at once; what only takes its time here takes less than this."""


class Said(list[str]):
    """Everything that a person is told."""

    def plan(self, plan: FleetPlan) -> None:
        self.extend(f"{it.rule} {it.message} {it.remedy}" for one in plan.clusters for it in one.findings)

    def verdict(self, verdict: Verdict) -> None:
        self.extend((*verdict.because, verdict.next))

    def error(self, error: AksEntraError) -> None:
        self.append(f"{error.message} {error.remedy}")


async def planned(session: Session, selector: Selector, *wanted: WantedGroup) -> FleetPlan:
    target = WantedTarget(admin_groups=wanted or (WantedGroup(id=ADMINS),))
    return await plan_fleet(session.ports, Fleet(name="prod", selectors=(selector,), target=target), ())


async def look(session: Session, said: Said, _: Path) -> bool:
    rows = await inventory(session.ports, (EVERYWHERE,), probe=True, read=True, records=())
    said.extend(row.problem for row in rows)
    plan = await planned(session, EVERYWHERE)
    said.plan(plan)
    (one,) = [it for it in plan.clusters if it.cluster.name == "guarded"]
    seen = await verifier.verify(session.ports, session.limits, Job(digest=plan.digest, plan=one, prover=plan.prover))
    said.verdict(judge_standing(one, seen))
    said.extend(getattr(it, "message", "") for it in seen)
    running = [one for one in plan.clusters if not one.stopped]
    unknown = {it.rule for one in running for it in one.findings if it.severity is Severity.UNKNOWN}
    return unknown <= {"U120", "U140"}  # no audit log is given; before Entra nobody looks inside


async def migrate(session: Session, said: Said, folder: Path) -> bool:
    plan = await planned(session, Selector(subscription=SUBSCRIPTION, name="plain"), NEW)
    said.plan(plan)
    job = Job(digest=plan.digest, plan=plan.clusters[0], prover=plan.prover)
    there = await session.executor.migrate(job)
    said.verdict(there)
    back = await plan_way_back(session.ports, plan, (cluster("plain"),), ())
    said.plan(back)
    restored = await session.executor.migrate(Job(digest=back.digest, plan=back.clusters[0], prover=back.prover))
    said.verdict(restored)
    glass = BreakGlass(session.ports, session.watch, session.executor, session.limits)
    now = session.ports.clock.now()
    until = (now + timedelta(minutes=45)).isoformat(timespec="seconds")
    wanted = Opening(until=until, since=now.isoformat(timespec="seconds"), reason="INC-77", opener="dana")
    said.verdict(await glass.open(cluster("guarded"), wanted))
    await glass.hand_out(cluster("guarded"), OnePlace.reserve(folder / "guarded.kubeconfig"))
    prover = Prover(object_id=(await session.ports.callers.prover()).object_id)
    closed = await glass.close(cluster("guarded"), prover)
    said.verdict(closed)
    return there.outcome is Outcome.VERIFIED and closed.because[0] == "local accounts are closed again"


async def grant(session: Session, said: Said, _: Path) -> bool:
    place, what = cluster("azure-rbac", "pay-weu"), (READER["appId"], Level.READER, "default", None)
    ask = await granting.ask_for(session.ports, session.access, place, what, timedelta(hours=1), "CHG-1")
    engine = granter(session)
    made = await engine.give(ask, Approval(digest=ask.digest, approver="erin"))
    facts = await access_survey.gather(session.ports, session.access, place, READER["appId"])
    said.extend(f"{one.message} {one.remedy}" for one in explain(facts).reasons)
    await engine.end(made.grant)
    return not facts.unread or {what for what, _ in facts.unread} <= {"policies", "eligible"}


WORK: dict[str, tuple[Callable[[Session, Said, Path], Awaitable[bool]], str]] = {
    "look": (look, "inventory-fleet"),
    "migrate": (migrate, "migrate-fleet"),
    "access-granter": (grant, "grant-access"),
}


ONLY_WHERE: dict[str, str] = {
    "Microsoft.Resources/subscriptions/read": "a subscription is named by its name: Azure lists fewer without it",
    "Microsoft.Resources/subscriptions/resourceGroups/read": "a cluster is to be created",
    "Microsoft.Authorization/permissions/read": "Azure asks for it; the sandbox tells everybody their own permissions",
    "Microsoft.Authorization/roleAssignments/read": "the prover gets in by a role, not by an admin group",
    "Microsoft.Authorization/roleDefinitions/read": "roles are named (explain, review)",
    "Microsoft.Authorization/policySetDefinitions/read": "a policy initiative reaches the cluster",
    "Microsoft.Authorization/policyExemptions/read": "a policy reaches the cluster; unread, none is taken to be exempt",
    "Microsoft.ContainerService/managedClusters/agentPools/read": "pools changed while the cluster was written",
    "Microsoft.ContainerService/locations/operations/read": "an operation of somebody else is followed",
    "Microsoft.ContainerService/locations/operationresults/read": "as above",
    "Microsoft.Network/publicIPAddresses/read": "a service that this process depends on may run on the cluster",
    "Microsoft.Network/loadBalancers/read": "as above",
    "Microsoft.Network/virtualNetworks/subnets/read": "a pool has a subnet of its own",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup": "an admin group has no active member",
}
"""Actions of look.json and migrate.json that this world has no use for, and when they are used."""


def role(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((ROLES / f"{name}.json").read_text())
    return found


def world(name: str, *, without: str = "") -> dict[str, Any]:
    """The operator with this role alone, and the Graph permissions of its runbook."""
    held = role(name)
    mine = {
        "name": held["Name"],
        "actions": [one for one in held["Actions"] if one != without],
        "dataActions": [one for one in held["DataActions"] if one != without],
    }
    listed = [one for one in LISTED[WORK[name][1]] if one != without]
    permissions = f"graphPermissions: [{', '.join(listed)}]"
    text = re.sub(r"graphPermissions: \[[^]]*\]", permissions, UNLOCKED, count=1)
    if name == "access-granter":  # gets into the cluster by the role's own data actions, not as an administrator
        text = text.replace("members: [operator, dana, left]", "members: [dana, left]")
    text = text.replace("{principal: operator, role: Owner}", f"{{principal: operator, role: {held['Name']}}}")
    return {"world": text, "more": f"customRoles: [{json.dumps(mine)}]\n"}


LESS = [
    pytest.param(world(name, without=taken), name, taken, id=f"{name} without {taken}")
    for name in WORK
    for taken in (
        *role(name)["Actions"],
        *role(name)["DataActions"],
        *(LISTED[WORK[name][1]] if name != "access-granter" else ()),  # those of the granter: test_least_privilege
    )
]


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name"), [pytest.param(world(name), name, id=name) for name in WORK], indirect=["box"])
async def test_the_role_alone_is_enough(name: str, tmp_path: Path) -> None:
    said = Said()
    async with open_session(HURRIED) as session:
        done = await WORK[name][0](session, said, tmp_path)
    assert done, "\n".join(said)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name", "taken"), LESS, indirect=["box"])
async def test_what_is_missing_is_named(name: str, taken: str, tmp_path: Path) -> None:
    said = Said()
    async with open_session(HURRIED) as session:
        try:
            done = await WORK[name][0](session, said, tmp_path)
        except AksEntraError as error:
            said.error(error)
            done = False
    if taken in ONLY_WHERE and (name != "access-granter" or taken.startswith("Microsoft.Resources/")):
        assert done, "\n".join(said)  # what is not used here is not missed, and nothing is half done for it
        return
    assert any(taken.casefold() in one.casefold() for one in said), "\n".join(said)
