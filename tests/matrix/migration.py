"""The migration that every matrix runs: a start state, a plan, a process, and the checks at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import Step
from aks_entra.core.verdict.verdict import Grade, Outcome, Verdict
from aks_entra.execution.executor import InProcess
from aks_entra.execution.steps.registry import Part
from tests.matrix.access_observer import AccessObserver, signs_in
from tests.matrix.statements.archive import Archive
from tests.support.executor_jobs import CREATED, STARTS, job_for
from tests.support.memory_model import ADMINS, OTHERS, PROVER, Cluster, Group
from tests.support.memory_ports import World
from tests.support.record_places import BlobsInMemory, ChangeableFolder, HarmedPlace

TARGETS = {"existing group": WantedGroup(id=ADMINS), "created group": CREATED}
STARTING = [f"{start} · {group}" for start in STARTS for group in TARGETS]


@dataclass(slots=True, kw_only=True)
class Migration:
    """One cluster in a world, with its plan and its observer."""

    world: World
    cluster: Cluster
    job: Job
    observer: AccessObserver
    archive: Archive | None = None

    @classmethod
    async def begin(cls, starting: str, place: BlobsInMemory | ChangeableFolder | None = None) -> Migration:
        """Return a migration before its first run. `place`: of its store of records. None: the world keeps them."""
        start, _, group = starting.partition(" · ")
        world = World()
        world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
        how: dict[str, Any] = STARTS[start]
        cluster = world.add(**how, tags=(("env", "prod"),))
        observer = AccessObserver(world)
        archive = Archive(HarmedPlace(place, world.passes)) if place is not None else None
        world.journal = archive
        job = await job_for(world, WantedTarget(admin_groups=(TARGETS[group],)))
        world.calls.clear()
        return cls(world=world, cluster=cluster, job=job, observer=observer, archive=archive)

    async def migrate(self) -> Verdict:
        return await self.world.process().executor.migrate(self.job)

    @property
    def is_verified(self) -> bool:
        """Whether all claims of "verified" are true in the world."""
        world, cluster = self.world, self.cluster
        provers = {group.id for group in world.groups.values() if PROVER in group.members}
        return (
            cluster.id.key in world.clusters
            and cluster.identity is Identity.MANAGED
            and not cluster.local_accounts
            and world.now() >= cluster.refuses_at
            and signs_in(world, cluster)
            and bool(provers & {one.lower() for one in cluster.groups})
            and cluster.generation > 0
            and not cluster.never_settles
            and world.now() >= cluster.settled_at
            and cluster.state == "Succeeded"
            and cluster.reachable
            and world.now() >= cluster.down_until
            and not cluster.limited
        )

    def claims_nothing_false(self, verdict: Verdict) -> bool:
        """Whether a verdict claims nothing false. Grade 2 claims nothing about a static token."""
        if verdict.outcome is not Outcome.VERIFIED:
            return True
        return self.is_verified and not (verdict.grade is Grade.CREDENTIAL_REFUSED and self.cluster.token_outlives)

    def check(self, verdict: Verdict) -> None:
        """Check for a false "verified", a lockout, a second rotation and changed tags."""
        assert self.claims_nothing_false(verdict), verdict.because
        assert self.observer.checks > 0
        assert self.observer.lockouts == []
        assert dict(self.cluster.tags) == {"env": "prod"}


class Counting(InProcess):
    """Records the number of the first port call of each step."""

    def __init__(self, migration: Migration) -> None:
        process = migration.world.process()
        super().__init__(process.executor, process.ports, process.timeouts)
        self.executor = process.executor
        self.first: dict[str, int] = {}
        self._calls = migration.world.calls

    async def perform(self, job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
        self.first.setdefault(step.kind, len(self._calls) + 1)
        return await super().perform(job, step, part)


async def calls_of(starting: str) -> tuple[list[str], int]:
    """Return the port calls of an undisturbed job, and the number of the first call of its final check."""
    migration = await Migration.begin(starting)
    counting = Counting(migration)
    verdict = await counting.executor.migrate(migration.job, counting)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    return list(migration.world.calls), counting.first["verify-outcome"]
