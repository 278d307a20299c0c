"""Carries out approved steps: the one loop that a command, a Prefect batch and the tests of failures all run.

The executor decides nothing. The plan says what to do, and ARM shows how far it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

from aks_entra.core.cluster import ClusterId
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.evidence.lasting import lasting
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import Moved
from aks_entra.core.planning.plan import remaining as remaining_steps
from aks_entra.core.steps import AssignDenyPolicy, Guarded, Step, VerifyOutcome
from aks_entra.core.target import GroupTarget
from aks_entra.core.verdict.verdict import Verdict, judge, may_be_kept, unstarted
from aks_entra.errors import AksEntraError, Refused
from aks_entra.execution import write_guards
from aks_entra.execution.engine import Engine, closed
from aks_entra.execution.operations import Watch
from aks_entra.execution.provision import provision
from aks_entra.execution.steps.registry import Part, parts
from aks_entra.ports.migration import HeldCredential, Ports
from aks_entra.probes import checks
from aks_entra.probes.checks import Timeouts, failure
from aks_entra.retry import persist

_T = TypeVar("_T")
StillOurs = Callable[[], Awaitable[None]]
"""Raises Refused when another process may hold the cluster."""


class Runner(Protocol):
    """What the loop leaves to the process that runs it. `remaining` and `perform` wait out every TryLater."""

    def hold(self, cluster: ClusterId) -> AbstractAsyncContextManager[StillOurs]:
        """Hold the cluster against other runs. The loop calls the result before each write."""

    async def remaining(self, job: Job) -> tuple[Step, ...]:
        """Return what `Executor.remaining` returns."""

    async def perform(self, job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
        """Return what `Executor.perform` returns."""

    async def stopped(self, job: Job, evidence: tuple[Evidence, ...], at: Step | None) -> None:
        """Record how far a cancelled run came. `at` is the step that was under way, or None before the first."""


class Executor:
    """Carries out approved steps for any number of clusters side by side, and each cluster's steps in their order."""

    def __init__(self, ports: Ports, watch: Watch, timeouts: Timeouts) -> None:
        self._engine = Engine(ports, watch, timeouts)
        self._ports = ports
        self._watch = watch
        self._timeouts = timeouts

    async def migrate(self, job: Job, runner: Runner | None = None) -> Verdict:
        """Carry out what is left of the plan, and return the verdict. The journal keeps what each step did.

        An error becomes evidence, and only a cancellation is raised. Without a runner, the steps run in this process.
        """
        run, cluster, journal = (
            runner or InProcess(self, self._ports, self._timeouts),
            job.plan.cluster,
            self._ports.journal,
        )
        at: Step | None = None
        evidence: tuple[Evidence, ...] = ()
        records: tuple[Record, ...] = ()
        try:
            evidence = await self._persist(lambda: journal.evidence(job.digest, job.plan))
            async with run.hold(cluster) as still_ours:
                self._engine.fence(cluster, still_ours)
                if not job.plan.rotates:  # then only earlier reports prove that old credentials are dead
                    records = await self._persist(lambda: journal.records(cluster))
                for step in await run.remaining(job):
                    if isinstance(step, AssignDenyPolicy) and not may_be_kept(job.plan, evidence, records):
                        continue
                    at = step
                    seen: tuple[Evidence, ...] = ()
                    for part in parts(step):
                        seen += await run.perform(job, step, part)
                    if lasting(seen):
                        await self._persist(partial(journal.store_evidence, job.digest, cluster, step.kind, seen))
                    evidence += seen
        except asyncio.CancelledError:
            await run.stopped(job, evidence, at)
            raise
        except Exception as error:  # noqa: BLE001 - one cluster's trouble is a value in the fleet's report
            evidence += (failure(error, self._engine.stamp()),)
        finally:
            with contextlib.suppress(Exception):  # what is left in memory ends with the process
                self.forget(cluster)
        return judge(job.plan, evidence, records)

    async def remaining(self, job: Job) -> tuple[Step, ...]:
        """Wait until the cluster is at rest, and return what is left of the approved steps.

        A plan without steps leaves one look at the outcome.

        Raises:
            Refused: preflight holds the cluster back, or its state matches no point of the approved plan. The message
                names the differences.
        """
        plan = job.plan
        held = unstarted(plan)
        if held is not None:
            raise Refused("; ".join(held.because), remedy=held.next, cluster=str(plan.cluster))
        found, posture = await self._engine.found_and_at_rest(plan.cluster)
        posture = await self._engine.with_ca(posture)
        left = remaining_steps(plan, Guarded.of(posture), await checks.existing_groups(self._ports, plan))
        if isinstance(left, Moved):
            raise Refused(
                f"the cluster is not as it was when the plan was approved: {'; '.join(left.differences)}",
                remedy="plan again, and have that plan approved",
                cluster=str(plan.cluster),
            )
        write_guards.not_through_break_glass(plan, posture, left)
        if found.rotating and plan.rotates and plan.rotates not in left:
            self._engine.of(plan.cluster).attached = True
        return left or (VerifyOutcome(rotated=False, local_accounts_off=closed(job)),)

    async def apply(self, job: Job, step: Step) -> tuple[Evidence, ...]:
        """Perform all parts of one step. Errors as `perform`; after TryLater, call again."""
        seen: tuple[Evidence, ...] = ()
        for part in parts(step):
            seen += await self.perform(job, step, part)
        return seen

    async def perform(self, job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
        """Perform one part of a step, and return what was seen.

        Raises:
            AksEntraError: one of the four errors, with cluster and step. After TryLater, call again.
        """
        try:
            return await part.perform(self._engine, job, step)
        except AksEntraError as error:
            error.located(cluster=str(job.plan.cluster), step=step.kind)
            raise

    async def provision(self, spec: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
        """Create resource group, groups and a closed cluster, and prove it. Refused when another cluster exists."""
        return await provision(self._ports, self._watch, self._timeouts, spec, groups)

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> HeldCredential:
        """Hold the credential of an old admin kubeconfig (YAML text). Refused when it carries no credential."""
        held = self._ports.vault.hand_in(cluster, kubeconfig)
        self._engine.of(cluster).held = held
        return held

    def forget(self, cluster: ClusterId) -> None:
        """Drop the credential held of a cluster, and its memory. Call it when the work on the cluster ends."""
        self._engine.forget(cluster)

    async def _persist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await persist(self._ports.clock, self._timeouts.step, call)


class InProcess:
    """Runs the steps in this process. A person started it, and no other run is known to work on the cluster."""

    def __init__(self, executor: Executor, ports: Ports, timeouts: Timeouts) -> None:
        self._executor = executor
        self._ports = ports
        self._timeouts = timeouts

    @asynccontextmanager
    async def hold(self, _: ClusterId) -> AsyncIterator[StillOurs]:
        """Hold nothing."""
        yield write_guards.nobody_else

    async def remaining(self, job: Job) -> tuple[Step, ...]:
        """Ask until the cluster can be read, up to the limit of one step."""
        return await persist(self._ports.clock, self._timeouts.step, lambda: self._executor.remaining(job))

    async def perform(self, job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
        """Perform the part again after every TryLater, up to the limit of one step."""
        return await persist(self._ports.clock, self._timeouts.step, lambda: self._executor.perform(job, step, part))

    async def stopped(self, job: Job, evidence: tuple[Evidence, ...], at: Step | None) -> None:
        """Record nothing: a later run finds what Azure has begun."""
