"""Each role of deployments/roles is enough for its work, and an action that is missing is named."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aks_entra.access import explain as access_survey
from aks_entra.access import grants
from aks_entra.core.access.explain import explain
from aks_entra.core.access.grants import Approval, Level
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.preflight import Severity
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.errors import AksEntraError
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.host.private_file import PrivateFile
from aks_entra.planning.inventory import inventory
from aks_entra.planning.planner import plan_fleet
from aks_entra.planning.rollback import plan_way_back
from aks_entra.planning.selection import Selection
from aks_entra.probes import doors
from aks_entra.settings import Settings
from aks_entra.verification import verifier
from aks_entra.wiring import Session, open_session
from azure_sandbox.arm.authorization.access import RoleAssignments
from azure_sandbox.server import Sandbox
from tests.contract.access_engines import LISTED, granter
from tests.contract.small_world import ADMINS, DANA, READER, SUBSCRIPTION, UNLOCKED, cluster

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
"""A missing right is refused at once. Everything else takes less time here than these timeouts."""


class Said(list[str]):
    """The messages that a user gets."""

    def plan(self, plan: FleetPlan) -> None:
        self.extend(f"{it.rule} {it.message} {it.remedy}" for one in plan.clusters for it in one.findings)

    def verdict(self, verdict: Verdict) -> None:
        self.extend((*verdict.because, verdict.next))

    def error(self, error: AksEntraError) -> None:
        self.append(f"{error.message} {error.remedy}")


async def planned(session: Session, selector: Selector, *wanted: WantedGroup) -> FleetPlan:
    target = WantedTarget(admin_groups=wanted or (WantedGroup(id=ADMINS),))
    return await plan_fleet(session.ports, Fleet(name="prod", selectors=(selector,), target=target), ())


async def doors_said(session: Session, said: Said, place: ClusterId) -> None:
    """Look at the doors of a cluster, as `aks-entra doors` does."""
    (seen,) = await doors.look(session.ports, await session.ports.arm.cluster(place))
    said.extend(f"{'; '.join(door.because)} {door.remedy}" for door in seen.doors)


async def look(session: Session, said: Said, _: Path) -> bool:
    rows = await inventory(session.ports, Selection(selectors=(EVERYWHERE,)), probe=True, read=True, records=())
    said.extend(row.problem for row in rows)
    plan = await planned(session, EVERYWHERE)
    said.plan(plan)
    await doors_said(session, said, cluster("guarded"))
    (one,) = [it for it in plan.clusters if it.cluster.name == "guarded"]
    seen = await verifier.verify(session.ports, session.timeouts, Job(digest=plan.digest, plan=one, prover=plan.prover))
    said.verdict(judge_current_state(one, seen))
    said.extend(getattr(it, "message", "") for it in seen)
    running = [one for one in plan.clusters if not one.stopped]
    unknown = {it.rule for one in running for it in one.findings if it.severity is Severity.UNKNOWN}
    return unknown <= {"U120", "U140"}  # no audit log; without Entra ID the cluster's objects cannot be read


async def migrate(session: Session, said: Said, folder: Path) -> bool:
    plan = await planned(session, Selector(subscription=SUBSCRIPTION, name="plain"), NEW)
    said.plan(plan)
    await doors_said(session, said, cluster("plain"))
    job = Job(digest=plan.digest, plan=plan.clusters[0], prover=plan.prover)
    there = await session.executor.migrate(job)
    said.verdict(there)
    if there.outcome is Outcome.VERIFIED:  # a migration that failed has named the missing right already
        back = await plan_way_back(session.ports, plan, (cluster("plain"),), ())
        said.plan(back)
        restored = await session.executor.migrate(Job(digest=back.digest, plan=back.clusters[0], prover=back.prover))
        said.verdict(restored)
    glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
    now = session.ports.clock.now()
    until = (now + timedelta(minutes=45)).isoformat(timespec="seconds")
    wanted = Opening(until=until, since=now.isoformat(timespec="seconds"), reason="INC-77", opener="dana")
    said.verdict(await glass.open(cluster("guarded"), wanted))
    await glass.hand_out(cluster("guarded"), PrivateFile.reserve(folder / "guarded.kubeconfig"))
    prover = Prover(object_id=(await session.ports.callers.prover()).object_id)
    closed = await glass.close(cluster("guarded"), prover)
    said.verdict(closed)
    return there.outcome is Outcome.VERIFIED and closed.because[0] == "local accounts are closed again"


async def grant(session: Session, said: Said, _: Path) -> bool:
    place, what = cluster("azure-rbac", "pay-weu"), (READER["appId"], Level.READER, "default", None)
    ask = await grants.ask_for(session.ports, place, what, timedelta(hours=1), "CHG-1")
    engine = granter(session)
    made = await engine.give(ask, Approval(digest=ask.digest, approver="erin"))
    facts = await access_survey.gather(session.ports, session.access, place, READER["appId"])
    said.extend(f"{one.message} {one.remedy}" for one in explain(facts).reasons)
    await engine.end(made.grant)
    return not facts.unread or {what for what, _ in facts.unread} <= {"policies", "eligible"}


WORK: dict[str, tuple[Callable[[Session, Said, Path], Awaitable[bool]], str]] = {
    "look": (look, "verify-fleet"),
    "migrate": (migrate, "migrate-fleet"),
    "access-granter": (grant, "grant-access"),
}


ONLY_WHERE: dict[str, str] = {
    "Microsoft.Resources/subscriptions/read": "a subscription is named by its name: Azure lists fewer without it",
    "Microsoft.Resources/subscriptions/resourceGroups/read": "a cluster is to be created",
    "Microsoft.Authorization/permissions/read": "Azure asks for it; the sandbox tells everybody their own permissions",
    "Microsoft.Authorization/policySetDefinitions/read": "a policy initiative reaches the cluster",
    "Microsoft.Authorization/policyExemptions/read": "a policy reaches the cluster; unread, none is taken to be exempt",
    "Microsoft.PolicyInsights/checkPolicyRestrictions/read": "a policy reaches the cluster; test_policy_restrictions",
    "Microsoft.ContainerService/managedClusters/agentPools/read": "pools changed while the cluster was written",
    "Microsoft.ContainerService/locations/operations/read": "an operation of somebody else is followed",
    "Microsoft.ContainerService/locations/operationresults/read": "as above",
    "Microsoft.ContainerService/fleets/members/read": "a fleet exists in a subscription that the identity sees",
    "Microsoft.Network/publicIPAddresses/read": "a service that this process depends on may run on the cluster",
    "Microsoft.Network/loadBalancers/read": "as above",
    "Microsoft.Network/virtualNetworks/subnets/read": "a pool has a subnet of its own",
    "Microsoft.Network/virtualNetworks/subnets/join/action": "as above; test_linked_rights proves it",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action": "the cluster has an identity of its own",
    **dict.fromkeys(
        (
            "Microsoft.OperationalInsights/workspaces/read",
            "Microsoft.OperationalInsights/workspaces/query/read",
            "Microsoft.OperationalInsights/workspaces/query/AKSAudit/read",
            "Microsoft.OperationalInsights/workspaces/query/AKSAuditAdmin/read",
            "Microsoft.OperationalInsights/workspaces/query/AzureDiagnostics/read",
        ),
        "the cluster sends its audit log to a Log Analytics workspace",
    ),
    "PrivilegedEligibilitySchedule.Read.AzureADGroup": "an admin group has no active member",
}
"""Actions of look.json and migrate.json that this world does not need, and when they are needed."""


BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "dana"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": DANA}],
}
"""A binding in the cluster `guarded` that names a user, whom the directory is asked about."""


def role(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((ROLES / f"{name}.json").read_text())
    return found


def world(name: str, *, without: str = "") -> dict[str, Any]:
    """Return a world whose operator has only this role and the Graph permissions of its runbook."""
    held = role(name)
    mine = {
        "name": held["Name"],
        "actions": [one for one in held["Actions"] if one != without],
        "dataActions": [one for one in held["DataActions"] if one != without],
    }
    listed = [one for one in LISTED[WORK[name][1]] if one != without]
    permissions = f"graphPermissions: [{', '.join(listed)}]"
    text = re.sub(r"graphPermissions: \[[^]]*\]", permissions, UNLOCKED, count=1)
    text = text.replace("localAccounts: false}", f"localAccounts: false, objects: [{json.dumps(BINDING)}]}}")
    if name == "access-granter":  # uses the role's data actions in the cluster, not membership of the admin group
        text = text.replace("members: [operator, dana, left]", "members: [dana, left]")
    text = text.replace("{principal: operator, role: Owner}", f"{{principal: operator, role: {held['Name']}}}")
    return {"world": text, "more": f"customRoles: [{json.dumps(mine)}]\n"}


RECORDED = ("look", "migrate")
"""Their runs record the actions that requests need. An action that no request needs cannot be missing."""

NEEDED_AND_NOT_MISSED = {
    ("migrate", "Microsoft.ContainerService/managedClusters/agentPools/read"),
}
"""Actions that a request needs, but without which the work succeeds."""


def never_needed(name: str, action: str) -> bool:
    """Return whether no request of a recorded run needs an action of its role. The recorded run proves it."""
    recorded = name in RECORDED and action in role(name)["Actions"]
    return recorded and action in ONLY_WHERE and (name, action) not in NEEDED_AND_NOT_MISSED


LESS = [
    pytest.param(world(name, without=taken), name, taken, id=f"{name} without {taken}")
    for name in WORK
    for taken in (
        *role(name)["Actions"],
        *role(name)["DataActions"],
        *(LISTED[WORK[name][1]] if name != "access-granter" else ()),  # test_least_privilege tests those of the granter
    )
    if not never_needed(name, taken)
]


class Recorded(RoleAssignments):
    """The sandbox's role assignments, which also record every action that a request needed."""

    def __init__(self, assignments: RoleAssignments) -> None:
        super().__init__()
        self.replace(assignments.all())
        self.actions: set[str] = set()

    def allows(self, principals: Iterable[str], action: str, scope: str) -> bool:
        self.actions.add(action.casefold())
        return super().allows(principals, action, scope)


@pytest.mark.parametrize(("box", "name"), [pytest.param(world(name), name, id=name) for name in WORK], indirect=["box"])
async def test_the_role_alone_is_enough(box: Sandbox, name: str, tmp_path: Path) -> None:
    said, recorded = Said(), Recorded(box.arm.state.access)
    if name in RECORDED:
        box.arm.state.access = recorded
    async with open_session(HURRIED) as session:
        done = await WORK[name][0](session, said, tmp_path)
    assert done, "\n".join(said)
    if name in RECORDED:
        assert recorded.actions == {one.casefold() for one in role(name)["Actions"] if not never_needed(name, one)}


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name", "taken"), LESS, indirect=["box"])
async def test_a_missing_action_is_named(name: str, taken: str, tmp_path: Path) -> None:
    said = Said()
    async with open_session(HURRIED) as session:
        try:
            done = await WORK[name][0](session, said, tmp_path)
        except AksEntraError as error:
            said.error(error)
            done = False
    if taken in ONLY_WHERE and (name != "access-granter" or taken.startswith("Microsoft.Resources/")):
        assert done, "\n".join(said)  # an unused action is not missed, and the work is complete
        return
    assert any(taken.casefold() in one.casefold() for one in said), "\n".join(said)
