"""Answers that are not Azure's: a proxy's sign-in page, half a document, a list instead of an object, numbers in lists.

Each read of a plan gets such an answer once. Then the plan is unchanged (the read is repeated), or it says "unknown",
or it is refused with an error that says where to look. An invalid answer never counts as an empty one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.preflight import Severity
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.planning import planner
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.http import Reply
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import WORLD

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARM, GRAPH, API = "management.azure.com", "graph.microsoft.com", "*.azmk8s.io"
READS = {
    "subscriptions": ("GET", ARM, "/subscriptions$"),
    "the subscription": ("GET", ARM, "/subscriptions/[^/]+$"),
    "clusters": ("GET", ARM, "/managedClusters$"),
    "the user kubeconfig": ("POST", ARM, "/listClusterUserCredential$"),
    "permissions": ("GET", ARM, "/permissions$"),
    "locks": ("GET", ARM, "/locks$"),
    "policies": ("GET", ARM, "/policyAssignments$"),
    "the activity log": ("GET", ARM, "/eventtypes/management/values$"),
    "versions": ("GET", ARM, "/kubernetesVersions$"),
    "windows": ("GET", ARM, "/maintenanceConfigurations$"),
    "groups of a name": ("GET", GRAPH, "/v1.0/groups$"),
    "the group": ("GET", GRAPH, "/v1.0/groups/[^/]+$"),
    "its members": ("GET", GRAPH, "/transitiveMembers$"),
    "its users": ("GET", GRAPH, "/transitiveMembers/graph.user$"),
    "who is eligible": ("GET", GRAPH, "/eligibilityScheduleInstances$"),
    "whether the prover is in": ("POST", GRAPH, "/checkMemberGroups$"),
    "the prover's groups": ("POST", GRAPH, "/getMemberGroups$"),
    "the prover": ("GET", GRAPH, "/directoryObjects/[^/]+$"),
    "pods": ("GET", API, "/api/v1/pods$"),
    "deployments": ("GET", API, "/deployments$"),
    "stateful sets": ("GET", API, "/statefulsets$"),
    "daemon sets": ("GET", API, "/daemonsets$"),
    "budgets": ("GET", API, "/poddisruptionbudgets$"),
    "volumes": ("GET", API, "/persistentvolumes$"),
    "webhooks": ("GET", API, "/validatingwebhookconfigurations$"),
    "secrets": ("GET", API, "/secrets$"),
    "bindings": ("GET", API, "/clusterrolebindings$"),
}
ANSWERS = {
    "a page": Reply(200, "<html>Please sign in</html>"),
    "a list": Reply(200, []),
    "a number": Reply(200, b"17", {"Content-Type": "application/json"}),
    "half a document": Reply(200, '{"value": [{"id": "/subscr'),
    "numbers in a list": Reply(200, {"value": [17], "items": [17]}),
    "text for a list": Reply(200, {"value": "none", "items": "none"}),
}
QUICK = Settings(poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0)
FLEET = Fleet(
    name="shop",
    selectors=(Selector(subscription="prod-eu", resource_group="shop-weu", name="guarded"),),
    target=WantedTarget(admin_groups=(WantedGroup(name="aks-admins"),)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSandbox:
    box: Sandbox
    seen: list[Exchange]
    known: FleetPlan


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenSandbox]:
    """Yield one sandbox for all tests, because a plan writes nothing."""
    world = tmp_path_factory.mktemp("world") / "world.yaml"
    world.write_text(WORLD)
    seen: list[Exchange] = []
    with pytest.MonkeyPatch.context() as patch:
        async with in_environment(patch, world, pace=100_000, replication=0, observe=seen.append) as box:
            yield OpenSandbox(box=box, seen=seen, known=await planned())


async def planned() -> FleetPlan:
    """Plan in a session of its own, because a session keeps what its plans share."""
    async with open_session(QUICK) as session:
        return await planner.plan_fleet(session.ports, FLEET, ())


def doubts(plan: FleetPlan) -> set[str]:
    """Return the findings with severity unknown or blocker."""
    grave = (Severity.UNKNOWN, Severity.BLOCKER)
    return {one.rule for one in plan.clusters[0].findings if one.severity in grave}


@pytest.mark.parametrize("read", READS)
async def test_an_invalid_answer_is_repeated_unknown_or_refused(opened: OpenSandbox, read: str) -> None:
    method, host, path = READS[read]
    for what, answer in ANSWERS.items():
        opened.box.faults.add(method, path, host=host, answer=answer)
        plan, error = None, None
        try:
            plan = await planned()
        except AksEntraError as said:
            error = said
        assert opened.box.faults.waiting == (), what
        if plan is not None and plan.digest == opened.known.digest:
            repeated = host == ARM and method == "GET"
            assert repeated or doubts(plan) > doubts(opened.known), what
        elif plan is not None:
            assert plan.clusters[0].disposition == "refused", what
        else:
            assert isinstance(error, Refused | Rejected | TryLater), what
            assert error.remedy, what
    written = [one for one in opened.seen if one.method in {"PUT", "PATCH", "DELETE"} or "rotate" in one.path.lower()]
    assert written == []
