"""Parts of a fleet that are planned elsewhere: by workers of another work queue, or as another prover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.hooks.model import Hook
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.fleet import ONE_STAGE, Fleet, Selector, StageSpec
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover, ProverSpec
from aks_entra.core.planning.rollout import MemberGroup, Stage, approvers_of

LARGEST: Final = 1000
"""Clusters of a part. Prefect's server takes no larger parameters than 512 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPart:
    """Clusters of a fleet as a fleet of their own, and whose workers plan it. `work_queue` empty: this process."""

    fleet: Fleet
    work_queue: str
    clusters: tuple[ClusterId, ...]


def parts_of(fleet: Fleet, stages: tuple[Stage, ...], *, largest: int = LARGEST) -> tuple[FleetPart, ...]:
    """Return the parts of a fleet, in the order of its arranged stages. Clusters of this session are in none.

    `largest`: how many clusters a part has at most.
    """
    specs = {(stage.name, group.name): group for stage in fleet.stages for group in stage.groups}
    found: dict[tuple[str, ProverSpec | None, tuple[Hook, ...], tuple[Approvers, ...]], list[ClusterId]] = {}
    for stage in stages:
        for group in stage.groups:
            prover = specs[stage.name, group.name].prover or fleet.prover
            if group.work_queue or prover != fleet.prover:
                key = (group.work_queue, prover, stage.after, approvers_of((stage,)))
                found.setdefault(key, []).extend(group.members)
    return tuple(
        FleetPart(
            fleet=_only(
                replace(fleet, after=(*fleet.after, *after), stages=_signed_by(signers)),
                clusters[start : start + largest],
                prover,
            ),
            work_queue=work_queue,
            clusters=tuple(clusters[start : start + largest]),
        )
        for (work_queue, prover, after, signers), clusters in found.items()
        for start in range(0, len(clusters), largest)
    )


def _only(fleet: Fleet, clusters: list[ClusterId], prover: ProverSpec | None) -> Fleet:
    selectors = (
        Selector(subscription=one.subscription_id, resource_group=one.resource_group, name=one.name) for one in clusters
    )
    return replace(fleet, selectors=tuple(selectors), excluded=(), prover=prover)


def _signed_by(approvers: tuple[Approvers, ...]) -> tuple[StageSpec, ...]:
    """Return the one stage of a part. Its gates have the approvers of the clusters' own stage (two at most)."""
    gates = [Gate(approvers=one) for one in approvers]
    return tuple(
        replace(one, gate_before=gates[0] if gates else True, gate_after=gates[1] if len(gates) > 1 else False)
        for one in ONE_STAGE
    )


def with_provers(stages: tuple[Stage, ...], provers: Mapping[str, Prover], own: Prover) -> tuple[Stage, ...]:
    """Return the stages with the provers that planned their groups (by `ClusterId.key`), where it is not `own`."""

    def of(group: MemberGroup) -> MemberGroup:
        prover = next((provers[one.key] for one in group.members if one.key in provers), own)
        return group if prover == own else replace(group, prover=prover)

    return tuple(replace(stage, groups=tuple(of(group) for group in stage.groups)) for stage in stages)


def put_together(plan: FleetPlan, parts: tuple[FleetPlan, ...]) -> FleetPlan:
    """Return a plan with what its parts planned again, each for some of its clusters. At least one part changed."""
    plans = tuple(new for part in parts for new in part.clusters if new != plan.plan_for(new.cluster))
    changes = tuple(change for part in parts for change in part.changes)
    return plan.planned_again(plans, changes, at=max(part.created_at for part in parts))
