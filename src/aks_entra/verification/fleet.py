"""Verify clusters of a fleet: look at each from outside, and judge it by everything that is known. Writes nothing.

`aks-entra verify` and the nightly flow `verify-fleet` call this, so that they cannot judge differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import Evidence, Failure, StateSeen
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import Moved, remaining
from aks_entra.core.steps import Guarded, Step, writes
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge, unstarted
from aks_entra.errors import AksEntraError
from aks_entra.ports.migration import HeldCredential, Ports
from aks_entra.probes import checks
from aks_entra.probes.checks import Timeouts
from aks_entra.verification import verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known before the clusters are read.

    `kept` is the evidence of the plan's own run, by `ClusterId.key`. `records` come from all reports: break-glass
    openings, rollbacks, other plans, earlier verifications. `anew` means that the plan was made just
    now, so all its steps are left to do.
    """

    records: tuple[Record, ...] = ()
    kept: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    anew: bool = False

    def of(self, cluster: ClusterId) -> Known:
        """Return the part about one cluster, including records that name no cluster."""
        kept = self.kept.get(cluster.key)
        return replace(
            self,
            records=tuple(one for one in self.records if one.cluster in {"", cluster.key}),
            kept={cluster.key: kept} if kept else {},
        )


async def verify_cluster(
    ports: Ports,
    timeouts: Timeouts,
    job: Job,
    known: Known,
    *,
    held: HeldCredential | None = None,
    groups: tuple[Evidence, ...] = (),
) -> Verdict:
    """Return one cluster's verdict by all records and the activity log. `groups` is what was seen of declared groups.

    A cluster at which the plan was not carried out is "not verified", with what is left to do; it has not failed.
    """
    cluster = job.plan
    if (answer := unstarted(cluster)) is not None:
        return answer
    mine = known.of(cluster.cluster)
    if mine.anew and cluster.before.identity is not Identity.MANAGED:
        return judge_current_state(cluster, (), mine.records)  # no token gets in there yet
    seen, posture = await verifier.look(ports, timeouts, job, held=held)
    evidence = (*seen, *groups)
    if mine.anew:
        return judge_current_state(cluster, evidence, mine.records)
    kept = mine.kept.get(cluster.cluster.key, ())
    left = () if any(isinstance(one, StateSeen) for one in kept) else await _left(ports, job, posture)
    if left:
        return judge_current_state(replace(cluster, steps=left), (*kept, *evidence), mine.records)
    return judge(cluster, (*kept, *evidence), mine.records)


def kept_evidence(verdicts: Iterable[Verdict]) -> dict[str, tuple[Evidence, ...]]:
    """Return the evidence of stored verdicts by cluster, without failures. It is judged again with what is seen now."""
    return {
        verdict.cluster.key: tuple(one for one in verdict.evidence if not isinstance(one, Failure))
        for verdict in verdicts
    }


def complete_at(verdicts: Iterable[Verdict]) -> datetime | None:
    """Return when the activity log will be complete for the verdicts that wait for it. None if no verdict waits."""
    moments = [when(one.old_credentials.again) for one in verdicts if waits_for_log(one) and one.old_credentials]
    return max((one for one in moments if one), default=None)


def waits_for_log(verdict: Verdict) -> bool:
    """Whether the verdict may be better once the activity log is complete."""
    old = verdict.old_credentials
    return verdict.outcome is Outcome.NOT_VERIFIED and old is not None and bool(old.again)


async def _left(ports: Ports, job: Job, posture: Posture | None) -> tuple[Step, ...]:
    """Return the steps left of a plan without a finished run, or nothing if the cluster matches no point of it."""
    if posture is None:
        return ()
    try:
        groups = await checks.existing_groups(ports, job.plan)
    except AksEntraError:
        groups = {}
    left = remaining(job.plan, Guarded.of(posture), groups)
    return () if isinstance(left, Moved) or not any(writes(step) for step in left) else left
