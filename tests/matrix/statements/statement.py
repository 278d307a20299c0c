"""All statements of aks-entra about the credentials of one cluster, from the code that makes each statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aks_entra.access import review as access_review
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials, Record
from aks_entra.core.planning.fleet import Fleet
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.errors import AksEntraError
from aks_entra.execution.executor import Executor
from aks_entra.execution.operations import Watch
from aks_entra.planning import inventory, planner
from aks_entra.planning.selection import Selection
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Ports
from aks_entra.probes.checks import Timeouts, stamp
from aks_entra.report.inventory_view import Prospect, prospect
from aks_entra.verification.fleet import Known, complete_at, kept_evidence, verify_cluster
from tests.matrix.statements.archive import Archive

CLAIMS = frozenset({"dead", "verified", "as it should be", "no static credential among the ways in"})
"""Words that claim that no earlier credential works at the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement: who makes it, what it says, and its reason."""

    by: str
    said: str  # dead | alive | owed | unknown | verified | not verified | failed | refused | skipped | nothing
    because: str = ""

    @property
    def claims(self) -> bool:
        """Whether it claims that no earlier credential works at the cluster."""
        return self.said in CLAIMS

    def __str__(self) -> str:
        return f"{self.by} says {self.said!r}: {self.because}"


def of_debt(by: str, debt: Debt, because: str) -> Statement:
    """Return the statement of a rotation debt."""
    return Statement(by=by, said="dead" if debt is Debt.NONE else str(debt), because=because)


def of_verdict(by: str, verdict: Verdict) -> tuple[Statement, ...]:
    """Return the statements of a verdict: its outcome, its grade if it has one, and each reason that says "dead"."""
    because = "; ".join(verdict.because)
    statements = [Statement(by=by, said=str(verdict.outcome), because=because)]
    if verdict.grade is not None:
        statements.append(Statement(by=f"{by}, grade {verdict.grade}", said="dead", because=because))
    statements += [
        Statement(by=f"{by}, reason", said="dead", because=one)
        for one in verdict.because
        if one.startswith("old credentials dead")
    ]
    weighed: OldCredentials | None = getattr(verdict, "old_credentials", None)
    if weighed is not None:
        statements.append(of_debt(f"{by}, weighed", weighed.debt, weighed.because))
    return tuple(statements)


class Process(Protocol):
    """A process that works on the world in memory, or over HTTPS."""

    @property
    def ports(self) -> Ports:
        """Return the ports."""

    @property
    def timeouts(self) -> Timeouts:
        """Return the timeouts."""

    @property
    def watch(self) -> Watch:
        """Return the watch of operations."""

    @property
    def executor(self) -> Executor:
        """Return the executor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementCollector:
    """Collects the statements about one cluster. It writes nothing to Azure or to the archive."""

    process: Callable[[], Process]
    access: AccessPorts
    cluster: ClusterId
    fleet: Fleet

    async def records(self, archive: Archive) -> tuple[Record, ...]:
        """Return our records, as the commands read them."""
        return await archive.records()

    async def inventory(self, archive: Archive, *, read: bool) -> tuple[Statement, ...]:
        """Return the statements of `aks-entra inventory`, with or without `--read`."""
        by = "inventory --read" if read else "inventory"
        try:
            records = await self.records(archive)
            ports = self.process().ports
            wanted = Selection(selectors=self.fleet.selectors)
            rows = await inventory.inventory(ports, wanted, probe=read, read=read, records=records)
        except AksEntraError as error:
            return (Statement(by=by, said="nothing", because=error.message),)
        (row,) = rows
        statements = [of_debt(by, row.old_credentials.debt, row.old_credentials.because)]
        if prospect(row) is Prospect.AS_IT_SHOULD_BE:
            statements.append(Statement(by=by, said="as it should be", because=row.old_credentials.because))
        return tuple(statements)

    async def plan(self, archive: Archive) -> tuple[Statement, ...]:
        """Return the statements of `aks-entra plan`: the debt, and whether nothing is left to do."""
        try:
            plan = await planner.plan_fleet(self.process().ports, self.fleet, await self.records(archive))
        except AksEntraError as error:
            return (Statement(by="plan", said="nothing", because=error.message),)
        (one,) = plan.clusters
        statements = [of_debt("plan", one.debt, one.debt_because)]
        if one.disposition == "nothing to do" and one.debt is Debt.NONE:
            statements.append(Statement(by="plan, 0 steps", said="as it should be", because=one.debt_because))
        return tuple(statements)

    async def review(self, archive: Archive) -> tuple[Statement, ...]:
        """Return the statement of the access review: whether a static credential is among the ways in."""
        ports = self.process().ports
        try:
            posture = await ports.arm.cluster(self.cluster)
            ways = await access_review.review(ports, self.access, posture, await self.records(archive))
        except AksEntraError as error:
            return (Statement(by="access review", said="nothing", because=error.message),)
        static = [way.how for way in ways if way.how.startswith("static admin credential")]
        return (
            Statement(
                by="access review",
                said=static[0].partition(":")[0] if static else "no static credential among the ways in",
            ),
        )

    async def verify_fleet(self, archive: Archive, kubeconfig: str = "") -> FleetReport:
        """Return the report of `aks-entra verify FLEET.yaml`. Raises one of the four errors if it has no result."""
        process, records = self.process(), await self.records(archive)
        plan = await planner.plan_fleet(process.ports, self.fleet, records)
        return await self._report(process, plan, Known(records=records, anew=True), kubeconfig)

    async def verify_plan(
        self, archive: Archive, plan: FleetPlan, kubeconfig: str = "", *, waits: bool = False
    ) -> FleetReport:
        """Return the report of `aks-entra verify PLAN.json`, or of the nightly flow, which `waits` for the log."""
        verdict = await archive.verdict(plan.digest, self.cluster)
        known = Known(records=await self.records(archive), kept=kept_evidence((verdict,) if verdict else ()))
        return await self._report(self.process(), plan, known, kubeconfig, waits=waits)

    async def _report(
        self, process: Process, plan: FleetPlan, known: Known, kubeconfig: str, *, waits: bool = False
    ) -> FleetReport:
        began = stamp(process.ports.clock)
        (cluster,) = plan.clusters
        job = Job(digest=plan.digest, plan=cluster, prover=plan.prover)
        held = process.ports.vault.hand_in(cluster.cluster, kubeconfig) if kubeconfig else None
        verdict = await verify_cluster(process.ports, process.timeouts, job, known, held=held)
        complete = complete_at((verdict,)) if waits else None
        if complete is not None:
            clock = process.ports.clock
            await clock.sleep((complete - clock.now()).total_seconds())
            verdict = await verify_cluster(process.ports, process.timeouts, job, known, held=held)
        return FleetReport(
            name=plan.name,
            plan_digest=plan.digest,
            started_at=began,
            ended_at=stamp(process.ports.clock),
            verdicts=(verdict,),
        )
