"""Wait for nodes and workloads to come back after a rotation."""

from __future__ import annotations

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.job import Job
from aks_entra.errors import TryLater
from aks_entra.execution import write_guards
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.probes.checks import Timeouts
from aks_entra.probes.deadlines import Deadlines


async def settled(
    ports: Ports, deadlines: Deadlines, timeouts: Timeouts, job: Job, posture: Posture
) -> tuple[Evidence, ...]:
    """Look at nodes, and compare workloads with the baseline. TryLater until the limit; then return what is seen."""
    cluster = job.plan.cluster
    seen: list[Evidence] = []
    try:
        nodes = await checks.nodes(ports, posture)
        seen.append(nodes)
        trouble = nodes.missing
        baseline = await ports.journal.baseline(job.digest, posture.cluster)
        if baseline is not None:
            workloads = await checks.workloads(ports, posture, baseline)
            seen.append(workloads)
            trouble += workloads.worse
    except TryLater as error:
        deadlines.later(
            cluster, "settling", timeouts.nodes_settle, error.message, remedy=write_guards.AGAIN, cause=error
        )
    if trouble and deadlines.patient(cluster, "settling", timeouts.nodes_settle):
        raise TryLater(f"still settling: {', '.join(trouble)}", after=timeouts.poll_interval)
    deadlines.arrived(cluster, "settling")
    return tuple(seen)
