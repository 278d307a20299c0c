"""What a person decides about one member of a rollout: to leave it out, to try it again, to stop everything."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.states import Cancelling

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.plan import FleetPlan
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.errors import Refused
from aks_entra.prefect_client import archive, names, notes, runs, store
from aks_entra.prefect_client.names import hexadecimal, key, slug


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """That a member is skipped: by whom (a claim), why, when (ISO 8601)."""

    by: str
    reason: str
    at: str

    @property
    def words(self) -> str:
        """What its verdict says."""
        return f"skipped by {self.by} on {self.at}: {self.reason}"


def member_of(plan: FleetPlan, name: str) -> ClusterId:
    """The cluster that is called so: its name, `resource-group/name`, or ARM id. Refused when none is, or several."""
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
    """Leave a member out from its next turn on. What was begun on it goes on; where it stands stays in its verdict."""
    left_out = LeftOut(by=by, reason=reason, at=stamp(notes.now()))
    known = (await archive.verdicts(plan.digest)).get(cluster.key)
    if known is not None and known.outcome is Outcome.VERIFIED:
        raise Refused(f"{cluster} is verified: nothing of it is left to skip", remedy="leave it")
    await store.put(_key(plan.digest, cluster), json.dumps(asdict(left_out)), kind="skip")
    await archive.store_verdict(plan.digest, skipped(cluster, left_out, known))
    return left_out


async def retry(plan: FleetPlan, cluster: ClusterId, *, by: str) -> None:
    """Have a member tried again under the same plan at the next resume, also one that was refused or skipped."""
    known = (await archive.verdicts(plan.digest)).get(cluster.key)
    if known is not None and known.outcome is Outcome.VERIFIED:
        raise Refused(f"{cluster} is verified: there is nothing to try again", remedy="leave it")
    if await left_out(plan.digest, cluster) is not None:
        await store.put(_key(plan.digest, cluster), "", kind="skip")
    if known is not None:
        because = f"to be tried again, as {by} asked on {stamp(notes.now())}"
        await archive.store_verdict(
            plan.digest, replace(known, outcome=Outcome.NOT_VERIFIED, because=(because,), grade=None)
        )


async def left_out(digest: str, cluster: ClusterId) -> LeftOut | None:
    """Whether somebody skipped a member."""
    found = await store.get(_key(digest, cluster))
    return LeftOut(**json.loads(found.text)) if found and found.text else None


async def all_left_out(digest: str) -> frozenset[str]:
    """The members that somebody skipped, as `names.slug` has them."""
    prefix = key("skip", hexadecimal(digest))
    return frozenset(one.key.removeprefix(f"{prefix}-") for one in await store.newest(prefix) if one.text)


def skipped(cluster: ClusterId, left: LeftOut, known: Verdict | None) -> Verdict:
    """The verdict of a member that is left out: why, and where it stood before."""
    before = known.because if known is not None and known.outcome is not Outcome.SKIPPED else ()
    return Verdict(
        cluster=cluster,
        outcome=Outcome.SKIPPED,
        because=(left.words, *before),
        evidence=known.evidence if known else (),
        next=f"aks-entra migrate --resume RUN --retry {cluster}",
    )


async def stop(run: UUID) -> tuple[str, ...]:
    """Cancel a coordinator and its living batches; returns the names of what was cancelled.

    What Azure has begun goes on there; each member's verdict says where it stands. Refused when it ended already.
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


async def stop_batches(run: UUID) -> tuple[str, ...]:
    """Cancel the living batches of a coordinator, if it is cancelled itself; returns their names."""
    async with get_client() as client:
        coordinator = await client.read_flow_run(run)
        if coordinator.state is None or not (coordinator.state.is_cancelling() or coordinator.state.is_cancelled()):
            return ()
        return await _stop_batches(client, run)


async def _stop_batches(client: PrefectClient, run: UUID) -> tuple[str, ...]:
    digest, own = await archive.noted_plan(run), names.coordinator_tag(run)
    batches = await runs.runs_of(client, digest, live=True) if digest else []
    mine = [batch for batch in batches if own in batch.tags]
    for batch in mine:
        await client.set_flow_run_state(batch.id, Cancelling())
    return tuple(batch.name for batch in mine)


def _key(digest: str, cluster: ClusterId) -> str:
    return key("skip", hexadecimal(digest), slug(cluster))
