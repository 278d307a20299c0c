"""How many requests a migration makes for each cluster. A subscription's request limits bound the size of a fleet."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.planning import planner
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.proxy import Exchange
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import ADMINS, SUBSCRIPTION, fleet_world

CLUSTERS = 10
FLEET = Fleet(
    name="shop",
    selectors=(Selector(subscription=SUBSCRIPTION),),
    target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
)
SCARCE = ("POST /", "GET /agentPools", "GET /jwt", "GET /managedNamespaces", "GET /maintenanceConfigurations")
"""Requests of which Azure allows 60 at once, and one each second, for all clusters of a subscription."""

MOST_SCARCE = 6
MOST_GRAPH = 8
MOST_OF_ALL = 92
MOST = {
    "POST /listClusterUserCredential": 2,  # before the first step, and after the rotation
    "POST /listClusterAdminCredential": 3,  # one to hold, and two that are refused: once closed, and at the end
    "POST /rotateClusterCertificates": 1,
    "GET cluster": 11,  # 8, and more if steps take longer than five seconds
    "PUT cluster": 2,
    "GET Microsoft.ContainerService/locations/westeurope/operations/ID": 4.5,
    "API server POST selfsubjectreviews 201": 4,
    "login POST /ID/oauth2/v2.0/token": 2,
}
"""How many requests of a kind a migration may make for each cluster. A busy machine makes some lists more."""

CLUSTER = re.compile(r"(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/managedClusters/[^/]+")


def kind_of(exchange: Exchange) -> str:
    """Return the method and the last part of the path, with the host where it is not ARM."""
    path = exchange.path.partition("?")[0]
    if exchange.host.endswith(".azmk8s.io"):
        return f"API server {exchange.method} {path.rpartition('/')[2]} {exchange.status}"
    if exchange.host != "management.azure.com":
        return f"{exchange.host.partition('.')[0]} {exchange.method} {re.sub(r'[0-9a-f-]{36}', 'ID', path)}"
    rest = CLUSTER.sub("", path)
    if rest == "":
        return f"{exchange.method} cluster"
    return f"{exchange.method} {re.sub(r'[0-9a-f-]{36}', 'ID', rest).rpartition('/providers/')[2]}"


async def counted(folder: Path) -> Counter[str]:
    """Migrate ten clusters side by side, and return the requests by kind."""
    clusters = [f"name: c-{one}, nodes: 1, identity: none" for one in range(CLUSTERS)]
    (folder / "world.yaml").write_text(fleet_world({"shop-weu": clusters}))
    seen: list[Exchange] = []
    with pytest.MonkeyPatch.context() as patch:
        async with in_environment(patch, folder / "world.yaml", pace=1000, replication=0, observe=seen.append):
            quick = Settings(poll_interval=0.1, look_interval=0.05, group_reads=2, group_read_gap=0, request_rate=1000)
            async with open_session(quick) as session:
                plan = await planner.plan_fleet(session.ports, FLEET, ())
            seen.clear()
            async with open_session(quick) as session:
                jobs = [Job(digest=plan.digest, plan=one, prover=plan.prover) for one in plan.clusters]
                verdicts = await asyncio.gather(*map(session.executor.migrate, jobs))
    assert {(one.outcome, one.grade) for one in verdicts} == {(Outcome.VERIFIED, Grade.CREDENTIAL_REFUSED)}
    return Counter(map(kind_of, seen))


async def test_a_migration_stays_within_its_requests(tmp_path: Path) -> None:
    found = await counted(tmp_path)
    each = {kind: number / CLUSTERS for kind, number in found.items()}
    said = "\n".join(f"{number:8.2f} {kind}" for kind, number in sorted(each.items(), key=lambda one: -one[1]))
    for kind, most in MOST.items():
        assert each.get(kind, 0) <= most, f"{kind}\n{said}"
    scarce = {kind: number for kind, number in each.items() if kind.startswith(SCARCE)}
    assert sum(scarce.values()) <= MOST_SCARCE, said
    assert sum(number for kind, number in each.items() if kind.startswith("graph ")) <= MOST_GRAPH, said
    assert sum(each.values()) <= MOST_OF_ALL, said
