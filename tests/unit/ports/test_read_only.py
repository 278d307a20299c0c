"""A run that nobody approved holds ports that cannot write; every writing call of every port is among them."""

from __future__ import annotations

import inspect

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.errors import Refused
from aks_entra.execution.executor import Executor
from aks_entra.execution.operations import Watch
from aks_entra.ports import migration as described
from aks_entra.ports.approvals import Approvals
from aks_entra.ports.deny_policies import DenyPolicies
from aks_entra.ports.directory import Directory
from aks_entra.ports.doors import Doors
from aks_entra.ports.host import Host
from aks_entra.ports.hubs import Hubs
from aks_entra.ports.read_only import WRITES, nothing_to_write, only_looking
from aks_entra.ports.rights import RightsReads
from aks_entra.probes.checks import Timeouts
from tests.support.executor_jobs import job_for
from tests.support.memory_ports import World

READS = {
    "arm": {
        *("tenant_of", "subscription_id", "subscription_ids", "list_clusters", "cluster", "certificate_authority"),
        *("missing_permissions", "is_cluster_admin", "locks", "supported_versions", "policies", "maintenance_windows"),
        *("quotas", "subnet", "published_addresses", "writers", "handed_out", "operation", "hold_admin_credential"),
        *("deny_assignments", "clusters_in_resource_graph"),
        *("may", "policy_evaluations", "scale_set_additions", "node_disruption"),
        *("document", "child", "regions", "network", "has_resource_group"),
    },
    "directory": {
        *("group", "contents", "memberships", "groups_named", "group_with_unique_name", "user_id", "is_member"),
        *("principal", "principals", "users_named", "groups_of", "direct_groups_of", "members_of"),
    },
    "kubernetes": {"handshake", "sign_in", "nodes", "workloads", "inside", "namespace_owner", "try_credential"},
    "vault": {
        "holds",
        "forget",
        "authority",
        "certificate_authority",
        "issued",
        "signed",
        "hand_in",
    },  # this process's memory
    "clock": {"now", "sleep"},
    "journal": {
        "baseline",
        "store_baseline",
        "evidence",
        "store_evidence",
        "records",
    },  # our own record at Prefect's server
    "callers": {"runner", "prover"},
    "audit": {"callers", "log_of", "callers_in"},
    "conditional_access": {"in_the_way", "sign_ins"},
    "host": {"home", "tools", "addresses", "reach"},
    "doors": {"jwt_authenticators", "managed_namespaces"},
    "deny_policies": set(),
    "rights": {
        "bindings",
        "certificate_requests",
        "fleet_role_assignments",
        "role_assignments",
        "service_account_secrets",
    },
    "hubs": {"argocd_secrets", "flux_secret"},
    "approvals": {"sign_in", "read"},  # a person signs in; nothing is written
    "log": {"say"},  # the run's log at Prefect's server
}
PORTS = {
    "arm": described.ControlPlane,
    "directory": Directory,
    "kubernetes": described.Kubernetes,
    "vault": described.Vault,
    "clock": described.Clock,
    "journal": described.Journal,
    "callers": described.Callers,
    "audit": described.AuditTrail,
    "conditional_access": described.ConditionalAccess,
    "host": Host,
    "doors": Doors,
    "deny_policies": DenyPolicies,
    "rights": RightsReads,
    "approvals": Approvals,
    "hubs": Hubs,
    "log": described.RunLog,
}


def calls(port: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}


def test_every_call_of_every_port_is_known_to_read_or_to_write() -> None:
    assert set(PORTS) == set(described.Ports.__dataclass_fields__)
    for name, port in PORTS.items():
        writes = WRITES.get(name, frozenset())
        assert calls(port) == READS[name] | writes, f"say of each new call of `{name}` whether it writes"
        assert not READS[name] & writes


@pytest.mark.parametrize(("port", "call"), [(port, call) for port, many in WRITES.items() for call in sorted(many)])
async def test_no_writing_call_reaches_azure(port: str, call: str) -> None:
    world = World()
    ports = only_looking(world.process().ports)
    with pytest.raises(Refused, match="this run only looks") as refused:
        await getattr(getattr(ports, port), call)("whatever", it="is")
    assert refused.value.code == "LookOnly"
    assert world.writes == []


async def test_an_executor_with_such_ports_looks_and_writes_nothing() -> None:
    world = World()
    cluster = world.add("shop-01", identity=Identity.MANAGED)
    job = await job_for(world)
    process = world.process()
    ports = only_looking(process.ports)
    executor = Executor(ports, Watch(ports.arm, ports.clock, 1.0), Timeouts())
    left = await executor.remaining(job)
    with pytest.raises(Refused, match="disable-local-accounts is left to do"):
        nothing_to_write(left)
    verdict = await executor.migrate(job)
    assert "this run only looks" in verdict.because[0]
    assert cluster.local_accounts
    assert world.writes == []
    looking = tuple(step for step in left if step.kind in {"prove-sign-in", "verify-outcome"})
    assert nothing_to_write(looking) == looking


async def test_a_break_glass_opening_blocks_at_execution_as_well() -> None:
    world = World()
    cluster = world.add("shop-01", identity=Identity.MANAGED)
    job = await job_for(world)
    cluster.tags = (("aks-entra-break-glass-reason", "INC-1"), ("aks-entra-break-glass-until", "2026-11-24T11:00:00Z"))
    executor = world.process().executor
    with pytest.raises(Refused, match="open by break-glass until 2026-11-24T11:00:00Z: INC-1") as refused:
        await executor.remaining(job)
    assert refused.value.code == "BreakGlassOpen"
    assert (await executor.migrate(job)).because[0].endswith("INC-1")
    assert world.writes == []
    cluster.tags = ()
    assert await executor.remaining(job) == job.plan.steps


async def test_an_opening_that_is_closed_again_blocks_nothing() -> None:
    world = World()
    cluster = world.add("shop-01", identity=Identity.MANAGED, local_accounts=False)
    job = await job_for(world)
    cluster.tags = (("aks-entra-break-glass-until", "2026-11-24T11:00:00Z"),)
    assert await world.process().executor.remaining(job) == job.plan.steps
