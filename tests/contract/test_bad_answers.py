"""What answers is not Azure: a proxy's sign-in page, half a document, a list where an object belongs, numbers in lists.

Each read of a plan is answered that way once. The plan is the same (a read is repeated), or it says "unknown", or it
is refused with one error that says where to look. "There is none" is never read out of an answer that is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from aks_entra import survey
from aks_entra.core.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.plan import FleetPlan
from aks_entra.core.preflight import Severity
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.http import Reply
from azure_sandbox.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.contract.conftest import WORLD

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
FLEET = Fleet(
    name="shop",
    selectors=(Selector(subscription="prod-eu", resource_group="shop-weu", name="guarded"),),
    target=WantedTarget(admin_groups=(WantedGroup(name="aks-admins"),)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    box: Sandbox
    session: Session
    seen: list[Exchange]
    known: FleetPlan


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One sandbox and one session for all: a plan changes nothing in either."""
    world = tmp_path_factory.mktemp("world") / "world.yaml"
    world.write_text(WORLD)
    seen: list[Exchange] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if re.match(r"(?i)^(azure_|(https?|all|no)_proxy$)", name):
                patch.delenv(name)
        async with Sandbox(world, pace=100_000, replication=0, observe=seen.append) as box:
            for name, value in box.environment.items():
                patch.setenv(name, value)
            quick = Settings(poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0)
            async with open_session(quick) as session:
                known = await survey.plan_fleet(session.ports, FLEET, ())
                yield Desk(box=box, session=session, seen=seen, known=known)


def doubts(plan: FleetPlan) -> set[str]:
    """The findings that say "unknown", or that forbid."""
    grave = (Severity.UNKNOWN, Severity.BLOCKER)
    return {one.rule for one in plan.clusters[0].findings if one.severity in grave}


@pytest.mark.parametrize("read", READS)
async def test_nothing_is_made_of_an_answer_that_is_none(desk: Desk, read: str) -> None:
    method, host, path = READS[read]
    for what, answer in ANSWERS.items():
        desk.box.faults.add(method, path, host=host, answer=answer)
        plan, error = None, None
        try:
            plan = await survey.plan_fleet(desk.session.ports, FLEET, ())
        except AksEntraError as said:
            error = said
        assert desk.box.faults.waiting == (), what
        if plan is not None and plan.digest == desk.known.digest:
            repeated = host == ARM and method == "GET"
            assert repeated or doubts(plan) > doubts(desk.known), what
        elif plan is not None:
            assert plan.clusters[0].disposition == "refused", what
        else:
            assert isinstance(error, Refused | Rejected | TryLater), what
            assert error.remedy, what
    written = [one for one in desk.seen if one.method in {"PUT", "PATCH", "DELETE"} or "rotate" in one.path.lower()]
    assert written == []
