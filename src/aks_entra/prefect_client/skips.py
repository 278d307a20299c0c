"""What a person decides during a rollout: skip a cluster, try it again, stop everything."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.states import Cancelling

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.verdict import Outcome, Reason, Verdict
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, migration_records, names, progress, runs
from aks_entra.prefect_client.names import hexadecimal, key, slug
from aks_entra.typed_text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """That a person skipped a cluster: who (unproven), why, and when (ISO 8601)."""

    by: str
    reason: str
    at: str

    @property
    def words(self) -> str:
        """What its verdict says."""
        return f"skipped by {self.by} on {self.at}: {self.reason}"


def member_of(plan: FleetPlan, name: str) -> ClusterId:
    """Find a cluster by its name, `resource-group/name` or ARM id. Raises Refused unless exactly one matches."""
    wanted = name.casefold().rstrip("/")
    found = [
        one.cluster
        for one in plan.clusters
        if wanted in {one.cluster.name.casefold(), str(one.cluster).casefold(), one.cluster.key}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"{len(found)} clusters of the plan are called {name}", remedy="write resource-group/name")
    raise Refused(
        f"plan {names.short(plan.digest)} has no cluster {name}",
        remedy="write resource-group/name as the plan shows it",
    )


async def skip(plan: FleetPlan, cluster: ClusterId, *, by: str, reason: str) -> LeftOut:
    """Skip a cluster from its next turn on. A step that runs already continues; the verdict keeps its state."""
    left_out = LeftOut(by=one_line("by", by), reason=one_line("reason", reason), at=stamp(progress.now()))
    known = (await migration_records.verdicts(plan.digest, (cluster,))).get(cluster.key)
    if known is not None and known.outcome is Outcome.VERIFIED:
        raise Refused(f"{cluster} is verified: nothing of it is left to skip", remedy="leave it")
    await artifacts.put(_key(plan.digest, cluster), json.dumps(asdict(left_out)), kind="skip")
    await migration_records.store_verdict(plan.digest, skipped(cluster, left_out, known))
    return left_out


async def retry(plan: FleetPlan, cluster: ClusterId, *, by: str) -> None:
    """Let the next resume try a cluster again under the same plan, even if it was refused or skipped."""
    known = (await migration_records.verdicts(plan.digest, (cluster,))).get(cluster.key)
    if known is not None and known.outcome is Outcome.VERIFIED:
        raise Refused(f"{cluster} is verified: there is nothing to try again", remedy="leave it")
    if await left_out(plan.digest, cluster) is not None:
        await artifacts.put(_key(plan.digest, cluster), "", kind="skip")
    if known is not None:
        because = f"to be tried again, as {by} asked on {stamp(progress.now())}"
        await migration_records.store_verdict(
            plan.digest,
            replace(known, outcome=Outcome.NOT_VERIFIED, because=(because,), grade=None, reason_code=Reason.NONE),
        )


async def left_out(digest: str, cluster: ClusterId) -> LeftOut | None:
    """Return who skipped a cluster and why, or None if nobody did."""
    found = await artifacts.get(_key(digest, cluster))
    return _left_out(found) if found else None


async def all_left_out(digest: str) -> frozenset[str]:
    """Return the clusters that somebody skipped, as `names.slug` spells them."""
    prefix = key("skip", hexadecimal(digest))
    return frozenset(one.key.removeprefix(f"{prefix}-") for one in await artifacts.newest(prefix) if _left_out(one))


def _left_out(stored: artifacts.Stored) -> LeftOut | None:
    """Return what a note says. If it cannot be read, the cluster stays skipped: nobody can tell that it was revoked."""
    try:
        return LeftOut(**json.loads(stored.text)) if stored.text else None
    except (Refused, ValueError, TypeError):
        return LeftOut(by="somebody", reason=f"the note {stored.key} cannot be read", at="an unknown day")


def skipped(cluster: ClusterId, left: LeftOut, known: Verdict | None) -> Verdict:
    """Return the verdict of a skipped cluster: why it is skipped, and its state before."""
    before = known.because if known is not None and known.outcome is not Outcome.SKIPPED else ()
    return Verdict(
        cluster=cluster,
        outcome=Outcome.SKIPPED,
        because=(left.words, *before),
        evidence=known.evidence if known else (),
        reason_code=Reason.LEFT_OUT,
        next=f"aks-entra migrate --resume RUN --retry {cluster}",
    )


async def stop(run: UUID) -> tuple[str, ...]:
    """Cancel a coordinator and its living batches. Returns the names of the cancelled runs.

    What Azure has begun continues there, and each cluster's verdict says how far it is. Raises Refused if the run has
    ended already.
    """
    async with get_client() as client:
        coordinator = await client.read_flow_run(run)
        if coordinator.state is not None and coordinator.state.is_final():
            raise Refused(
                f"run {coordinator.name} ended already ({coordinator.state.name})",
                remedy=f"its report: {names.run_page(run)}",
            )
        await client.set_flow_run_state(run, Cancelling())
        stopped = [coordinator.name, *await _stop_batches(client, run)]
    return tuple(stopped)


async def is_cancelled() -> bool:
    """Whether the present flow run is being cancelled, or was."""
    async with get_client() as client:
        state = (await client.read_flow_run(artifacts.own_flow_run())).state
    return state is not None and (state.is_cancelling() or state.is_cancelled())


async def stop_batches(run: UUID) -> tuple[str, ...]:
    """Cancel the living batches of a coordinator that is cancelled itself. Returns their names."""
    async with get_client() as client:
        coordinator = await client.read_flow_run(run)
        if coordinator.state is None or not (coordinator.state.is_cancelling() or coordinator.state.is_cancelled()):
            return ()
        return await _stop_batches(client, run)


async def _stop_batches(client: PrefectClient, run: UUID) -> tuple[str, ...]:
    digest, own = await migration_records.noted_plan(run), names.coordinator_tag(run)
    batches = await runs.runs_of(client, digest, live=True) if digest else []
    mine = [batch for batch in batches if own in batch.tags]
    for batch in mine:
        await client.set_flow_run_state(batch.id, Cancelling())
    return tuple(batch.name for batch in mine)


def _key(digest: str, cluster: ClusterId) -> str:
    return key("skip", hexadecimal(digest), slug(cluster))
