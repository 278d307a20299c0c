"""The history of one cluster: our runs, actions of others in the portal, and damage to records and logs.

The runs call the functions of the program itself, on the world in memory.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.evidence.break_glass import Opening, opening_on
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.break_glass import report_of
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge, unstarted
from aks_entra.errors import AksEntraError, Refused
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.planning import planner, rollback
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Clock
from aks_entra.probes import checks
from aks_entra.probes.checks import stamp
from aks_entra.retry import persist
from tests.matrix.statements.archive import Archive
from tests.matrix.statements.empty_ports import EMPTY_PORTS, KubeconfigSink
from tests.matrix.statements.portal import Portal
from tests.matrix.statements.statement import Process, Statement, StatementCollector, of_debt, of_verdict
from tests.support.executor_jobs import STARTS
from tests.support.memory_credentials import Static
from tests.support.memory_model import ADMINS, OTHERS, PROVER, SUBSCRIPTION, Cluster, Group, Happening, Killed
from tests.support.memory_ports import World
from tests.support.record_places import BlobsInMemory, ChangeableFolder, HarmedPlace

BACKDATED = timedelta(minutes=10)  # as AKS does
LATE = timedelta(minutes=19)
PATIENCE = 7200.0
WHO = Prover(object_id=PROVER)

Log = Literal["readable", "late", "unreadable"]
Place = Literal["server", "folder"]
Kubeconfig = Literal["old", "present", "another cluster's", "expired", "signed by another CA"]
KUBECONFIGS: tuple[Kubeconfig, ...] = ("old", "present", "another cluster's", "expired", "signed by another CA")


class FalseStatementError(AssertionError):
    """A statement claims that no earlier credential works at the cluster, and one works."""


@dataclass(slots=True)
class ClusterHistory:
    """One cluster, and everything that outlives the processes of aks-entra."""

    world: World
    key: str
    portal: Portal
    archive: Archive = field(default_factory=Archive)
    folder: Archive = field(default_factory=Archive)
    events: list[str] = field(default_factory=list)
    counted: Counter[tuple[str, str, bool]] = field(default_factory=Counter)  # who, what, whether a credential worked
    plan: FleetPlan | None = None  # the migration that was carried out last
    ahead: tuple[tuple[int, str], ...] = ()  # what somebody will do during our next run
    kept: int = 0  # how many verifications were stored

    @classmethod
    def begin(cls, start: str, records: Path | None = None) -> ClusterHistory:
        """Return a history with a cluster in a start state, an old admin kubeconfig of it, and another cluster.

        `records`: the folder of the store of records. None: it is in memory.
        """
        world = World()
        place = HarmedPlace(ChangeableFolder(records) if records else BlobsInMemory(), world.passes)
        world.backdated = BACKDATED
        world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
        how: dict[str, Any] = STARTS[start]
        cluster = world.add("shop-01", **how, uid="uid-0")
        other = world.add("shop-02", identity=Identity.MANAGED, uid="uid-other", fqdn="other.example")
        for one in (cluster, other):
            world.ledger.hand_out(one, one.ca_since + timedelta(days=1), "somebody long ago")
        key = cluster.id.key
        return cls(world=world, key=key, portal=Portal(world, key), archive=Archive(place), events=[start])

    @property
    def cluster(self) -> Cluster:
        """Return the cluster that has the name now."""
        return self.world.clusters[self.key]

    @property
    def id(self) -> ClusterId:
        """Return the cluster's id."""
        return self.cluster.id

    @property
    def clock(self) -> Clock:
        """Return the clock that aks-entra reads."""
        return self.world.clock

    def process(self) -> Process:
        """Return a new process of aks-entra."""
        return self.world.process()

    @property
    def access(self) -> AccessPorts:
        """Return empty ports for the access review."""
        return EMPTY_PORTS

    @property
    def live(self) -> tuple[str, ...]:
        """Return descriptions of the credentials that work at the cluster now."""
        found = self.world.ledger.live(self.cluster, self.world.now())
        return tuple(f"handed out to {one.to} at {one.at.isoformat()}" for one in found)

    def fleet(self, rotation: RotationPolicy = RotationPolicy.AT_ONCE) -> Fleet:
        """Return a fleet file with only this cluster."""
        return Fleet(
            name="prod",
            selectors=(Selector(subscription=SUBSCRIPTION, name="shop-01"),),
            target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), rotation=rotation),
        )

    @property
    def statements(self) -> StatementCollector:
        """Return the collector of statements."""
        return StatementCollector(process=self.process, access=self.access, cluster=self.id, fleet=self.fleet())

    def check(self, *statements: Statement) -> None:
        """Compare statements with the truth. Raises FalseStatementError."""
        live = self.live
        for statement in statements:
            self.counted[statement.by, statement.said, bool(live)] += 1
            if statement.claims and live:
                history = "\n  ".join(self.events)
                raise FalseStatementError(f"{statement}\nwhile it is open: {live[0]} ({len(live)} in all)\n  {history}")

    async def check_everything(self) -> None:
        """Check every statement that needs no change of the cluster."""
        await self.cluster_at_rest()
        for archive in (self.archive, self.folder) if self.folder.plans else (self.archive,):
            self.check(*await self.statements.inventory(archive, read=True))
            self.check(*await self.statements.inventory(archive, read=False))
            self.check(*await self.statements.plan(archive))
            self.check(*await self.statements.review(archive))
            await self._checked(self.statements.verify_fleet(archive), "verify FLEET.yaml")
            for plan in tuple(archive.plans.values())[-2:]:
                await self._checked(self.statements.verify_plan(archive, plan), "verify PLAN.json")

    async def _checked(self, report: Any, by: str) -> FleetReport | None:
        try:
            found: FleetReport = await report
        except AksEntraError as error:
            self.check(Statement(by=by, said="nothing", because=error.message))
            return None
        self.check(*(statement for verdict in found.verdicts for statement in of_verdict(by, verdict)))
        return found

    async def cluster_at_rest(self) -> None:
        """Wait until Azure's operations on the cluster have ended."""
        work = self.cluster.work
        if work is not None:
            await self.pass_time((work.until - self.world.now()).total_seconds() + 1)
            with self.world.call("time"):
                pass

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, in seconds."""
        await self.world.clock.sleep(max(0.0, seconds))

    # What aks-entra does

    async def migrate(
        self, rotation: RotationPolicy, *, kill: int = 0, place: Place = "server", bare: bool = False
    ) -> None:
        """Plan, carry out and store a report, or kill the process at some moment."""
        self.events.append(f"migrate, rotation {rotation}{f', killed at moment {kill}' if kill else ''} ({place})")
        archive = self._place(place)
        try:
            plan = await planner.plan_fleet(
                self.process().ports, self.fleet(rotation), await self.statements.records(archive)
            )
        except AksEntraError as error:
            self.check(Statement(by="plan", said="nothing", because=error.message))
            return
        (cluster,) = plan.clusters
        self.check(of_debt("plan", cluster.debt, cluster.debt_because))
        archive.plans[plan.digest] = plan
        self.plan = plan
        await self._carry_out(archive, plan, kill=kill, bare=bare)

    async def resume(self, *, place: Place = "server") -> None:
        """Carry out what is left of the last plan."""
        if self.plan is None:
            return
        self.events.append("migrate --resume")
        await self._carry_out(self._place(place), self.plan)

    async def roll_back(self) -> None:
        """Roll back the plan that was carried out last."""
        if self.plan is None or self.plan.clusters[0].restores:
            return
        self.events.append("rollback")
        try:
            records = await self.statements.records(self.archive)
            plan = await rollback.plan_way_back(self.process().ports, self.plan, (self.id,), records)
        except AksEntraError as error:
            self.check(Statement(by="rollback", said="nothing", because=error.message))
            return
        (cluster,) = plan.clusters
        self.check(of_debt("rollback", cluster.debt, cluster.debt_because))
        await self._carry_out(self.archive, plan)

    async def open_glass(self, *, hand_out: bool, minutes: int = 45) -> None:
        """Open the cluster by break-glass for some minutes, with or without the admin kubeconfig."""
        self.events.append(f"break-glass for {minutes} minutes{', handed out' if hand_out else ''}")
        glass = self._glass()
        now = self.clock.now()
        opening = Opening(
            until=_iso(now + timedelta(minutes=minutes)), since=_iso(now), reason="INC-77", opener="dana@contoso.com"
        )
        verdict = await glass.open(self.id, opening)
        self.check(*of_verdict("break-glass", verdict))
        if verdict.outcome is Outcome.REFUSED:
            return
        await self._keep(self.archive, report_of(self.id, opening, verdict, ended_at=stamp(self.clock)))
        if hand_out:
            await glass.hand_out(self.id, KubeconfigSink())

    async def close_glass(self) -> None:
        """Close the cluster as `aks-entra break-glass --close` and the sweep do."""
        self.events.append("break-glass --close")
        opening = opening_on((await self.process().ports.arm.cluster(self.id)).tags)
        verdict = await self._glass().close(self.id, WHO)
        self.check(*of_verdict("break-glass", verdict))
        if opening is not None:
            await self._keep(self.archive, report_of(self.id, opening, verdict, ended_at=stamp(self.clock)))

    async def verify(self, what: Literal["plan", "first plan", "fleet"], place: Place, kept: Kubeconfig | None) -> None:
        """Run `aks-entra verify` with or without an old kubeconfig, and store its report."""
        self.events.append(f"verify {what} ({place}{f', with a kubeconfig: {kept}' if kept else ''})")
        archive = self._place(place)
        plans = tuple(archive.plans.values())
        kubeconfig = self.kubeconfig(kept) if kept else ""
        if what == "fleet" or not plans:
            report = await self._checked(self.statements.verify_fleet(archive, kubeconfig), "verify FLEET.yaml")
        else:
            plan = plans[-1] if what == "plan" else plans[0]
            report = await self._checked(self.statements.verify_plan(archive, plan, kubeconfig), "verify PLAN.json")
        if report is not None:
            self.kept += 1
            await self._keep(
                archive, report, purpose=f"verification {self.kept}" if place == "folder" else "verification"
            )

    async def verify_nightly(self) -> None:
        """Run the nightly verification of the last plan of every fleet, and store its report."""
        self.events.append("nightly verify-fleet")
        try:
            plans = await self.archive.last_plans()
        except AksEntraError as error:
            self.check(Statement(by="nightly", said="nothing", because=error.message))
            return
        for plan in plans:
            report = await self._checked(
                self.statements.verify_plan(self.archive, plan, waits=True), "nightly verify-fleet"
            )
            if report is not None:
                await self._keep(self.archive, report, purpose="verification")

    def log(self, state: Log) -> None:
        """Set whether the activity log can be read, and how late it is."""
        self.events.append(f"the activity log is {state}")
        self.world.log_readable = state != "unreadable"
        self.world.log_late = LATE if state == "late" else timedelta(0)

    def kubeconfig(self, kept: Kubeconfig) -> str:
        """Return a kubeconfig of this origin, which a person gives to `verify`."""
        cluster, now = self.cluster, self.world.now()
        old = Static.of(cluster, max(0, cluster.generation - 1))
        match kept:
            case "old":
                return old.text
            case "present":
                return Static.of(cluster, cluster.generation).text
            case "another cluster's":
                other = next(one for key, one in self.world.clusters.items() if key != self.key)
                return Static.of(other, other.generation).text
            case "expired":
                return replace(old, until=now - timedelta(days=1)).text
            case "signed by another CA":
                return replace(old, genuine=False).text

    async def in_portal(self, *deeds: str) -> None:
        """Do things in the portal, each after Azure finished the one before."""
        for deed in deeds:
            await self.cluster_at_rest()
            done = self.portal.do(deed)
            self.events.append(f"somebody in the portal {deed}{'' if done else ': refused'}")
        await self.cluster_at_rest()
        await self.pass_time((self.cluster.settled_at - self.world.now()).total_seconds())

    def at_calls(self, *deeds: tuple[int, str]) -> None:
        """Let somebody do things in the portal during our next run, each a number of calls after the one before."""
        self.ahead = deeds

    def _interfere(self) -> None:
        """Do the things in the portal that are due at this call."""
        at = len(self.world.calls)
        by_call: dict[int, list[str]] = {}
        for after, deed in self.ahead:
            at += after
            by_call.setdefault(at, []).append(deed)
        for call, deeds in by_call.items():
            self.events.append(f"in the portal, at call {call - len(self.world.calls)} of it: {', '.join(deeds)}")
            self.world.happenings[call] = Happening(event=partial(self.portal.do_all, tuple(deeds)))
        self.ahead = ()

    def _undisturbed(self) -> bool:
        """Whether everything that happened during a run came before its final check of the cluster.

        A run cannot know of later events, and the next run has to find them.
        """
        met = max((number for number, one in self.world.happenings.items() if one.met), default=0)
        self.world.happenings.clear()
        return met == 0 or "arm.cluster" in self.world.calls[met:]

    async def _carry_out(self, archive: Archive, plan: FleetPlan, *, kill: int = 0, bare: bool = False) -> None:
        began = stamp(self.clock)
        job = Job(digest=plan.digest, plan=plan.clusters[0], prover=plan.prover)
        self._interfere()
        self.world.journal = archive
        self.world.kill_at = self.world.moments + kill if kill else None
        try:
            verdict = await self._migrated(archive, job, bare=bare)
        except Killed:
            self.world.happenings.clear()
            return
        finally:
            self.world.kill_at = None
        if self._undisturbed():
            self.check(*of_verdict("migrate", verdict))
        with suppress(Refused):
            await archive.keep_verdict(plan.digest, verdict)
        report = FleetReport(
            name=plan.name,
            plan_digest=plan.digest,
            started_at=began,
            ended_at=stamp(self.clock),
            verdicts=(verdict,),
        )
        await self._keep(archive, report)

    async def _keep(self, archive: Archive, report: FleetReport, *, purpose: str = "report") -> None:
        """Store a report, or note that the store refuses it: then its command or run ends with an error."""
        try:
            await archive.keep(report, purpose=purpose)
        except Refused as refused:
            self.events.append(f"the {purpose} is not stored: {refused.message}")

    async def _migrated(self, archive: Archive, job: Job, *, bare: bool) -> Verdict:
        """Migrate with the executor's loop (`bare`), or as the flow does, which stores the evidence of each step."""
        process = self.process()
        executor, clock = process.executor, self.clock
        held = unstarted(job.plan)
        if bare or held is not None:
            return await executor.migrate(job)
        evidence: tuple[Evidence, ...] = ()
        try:
            evidence = await archive.evidence(job.digest, job.plan)
            for step in await persist(clock, PATIENCE, lambda: executor.remaining(job)):
                seen = await persist(clock, PATIENCE, partial(executor.apply, job, step))
                await archive.store_evidence(job.digest, job.plan.cluster, step.kind, seen)
                evidence += seen
        except Exception as error:  # noqa: BLE001 - as the flow does
            evidence += (checks.failure(error, stamp(clock)),)
        return judge(job.plan, evidence)

    def _glass(self) -> BreakGlass:
        process = self.process()
        return BreakGlass(process.ports, process.watch, process.executor, process.timeouts)

    def _place(self, place: Place) -> Archive:
        return self.archive if place == "server" else self.folder


def _iso(moment: Any) -> str:
    return str(moment.isoformat(timespec="seconds").replace("+00:00", "Z"))
