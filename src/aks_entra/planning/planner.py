"""Plans a fleet: reads what a plan needs and decides. Never writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.doors.facts import shown_by
from aks_entra.core.doors.model import Door
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.estimate.requests import WINDOWS_UP_TO
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.hooks.model import Hook
from aks_entra.core.planning.fleet import AUDIT_DAYS, Fleet, ReadAs, arrange
from aks_entra.core.planning.parts import parts_of, with_provers
from aks_entra.core.planning.plan import Change, ClusterPlan, FleetPlan, plan_cluster
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import Stage, hooks_of
from aks_entra.core.preflight import Facts, Skip, skip_refused
from aks_entra.core.preflight.audit_callers import AuditedCallers
from aks_entra.core.rollout.own_calls import OwnCall
from aks_entra.core.steps import RotateCertificates
from aks_entra.core.target import RotationPolicy, Target
from aks_entra.errors import Refused
from aks_entra.planning.admin_groups import resolve_groups
from aks_entra.planning.audit_logs import OwnCalls
from aks_entra.planning.fleet_reader import FleetReader, Progress
from aks_entra.planning.group_drift import drifts
from aks_entra.planning.hubs import hubs_seen
from aks_entra.planning.parts import Elsewhere, plan_parts, provers_of
from aks_entra.planning.preflight_facts import around, denials_of, with_linked_rights, without_own_calls
from aks_entra.planning.reader import needed_actions
from aks_entra.planning.selection import OnNote, Selection, select
from aks_entra.planning.unreadable_cluster import PlanOfUnreadable
from aks_entra.ports.migration import Caller, Ports
from aks_entra.probes import checks
from aks_entra.probes.doors import look

_SIDE_BY_SIDE: Final = 20


async def plan_fleet(
    ports: Ports,
    fleet: Fleet,
    records: tuple[Record, ...],
    *,
    on_progress: Progress | None = None,
    callers: Mapping[str, AuditedCallers] | None = None,
    on_note: OnNote | None = None,
    elsewhere: Elsewhere | None = None,
    own_calls: OwnCalls | None = None,
) -> FleetPlan:
    """Read everything that a plan depends on, and decide.

    `elsewhere` plans the groups with another work queue or prover. Without it, all clusters are planned here, as the
    prover of this session. What it could not plan is refused, with the reason.

    `callers` holds what exported audit logs say, under the cluster's key or `resource-group/name`. The key "" is for a
    log that names no cluster, in a fleet of one. Log Analytics is asked for the other clusters. `own_calls` says which
    calls in these logs this program made itself; without it, nobody recorded any.

    Raises:
        Refused: The fleet cannot be planned. The error names the field of the fleet file.
    """
    for skip in fleet.skip_rules:
        if why := skip_refused(skip):
            raise Refused(why, field="skip_rules", remedy="see docs/reference/preflight.md")
    reader = FleetReader(ports, records, _SIDE_BY_SIDE, on_progress)
    runner = await ports.callers.runner()
    wanted = Selection(selectors=fleet.selectors, excluded=fleet.excluded, on_note=on_note)
    postures = await select(ports.arm, reader, wanted)
    if not postures:
        out = ", or `exclude` leaves out all of them" if fleet.excluded else ""
        raise Refused(
            f"there is no cluster that this identity may read{out}",
            field="clusters",
            remedy="name a subscription with clusters, and check the right "
            "Microsoft.ContainerService/managedClusters/read: without it Azure lists no cluster",
        )
    audited = _audited(callers or {}, postures)
    try:
        stages = arrange(fleet.stages, postures)
    except ValueError as error:
        raise Refused(str(error), field="rollout", remedy="see `rollout` in the fleet file") from error
    parts = parts_of(fleet, stages) if elsewhere else ()
    if parts and callers:
        raise Refused(
            f"`--audit-log`: {parts[0].clusters[0]} is planned by another process, which does not have this file",
            remedy="leave the option out: Log Analytics is asked there",
        )
    answers = await plan_parts(parts, elsewhere) if elsewhere else {}
    here = tuple(one for one in postures if one.cluster.key not in answers)
    provers = provers_of(answers)
    if here or not provers:
        caller = await ports.callers.prover()
        prover = Prover.of(caller.object_id, fleet.prover)
    else:  # only the others have the credential
        prover = next(iter(provers.values()))
        caller = Caller(object_id=prover.object_id, tenant_id=runner.tenant_id)
    groups = await reader.patiently(
        lambda: resolve_groups(ports.directory, fleet.target.admin_groups, caller.object_id)
    )
    reader.drifts = {one.reference: one for one in await drifts(ports, reader, groups)}
    target = Target(
        tenant_id="",
        admin_groups=groups,
        azure_rbac=fleet.target.azure_rbac,
        local_accounts=fleet.target.local_accounts,
        rotation=fleet.target.rotation,
        doors=fleet.target.doors,
        keep=fleet.target.keep,
    )
    now = checks.stamp(ports.clock)
    asked = _Asked(
        tenant_id=fleet.target.tenant_id,
        prover=caller,
        runner=runner,
        now=now,
        skips=fleet.skip_rules,
        callers=audited,
        audit_days=fleet.audit_days,
        read=fleet.read,
        windows_unasked=_windows_unasked(stages, len(here)),
        after=hooks_of(stages, fleet.after),
        own_calls=_once(reader, own_calls, (one.cluster for one in here)),
    )
    plans = await reader.each(
        here,
        lambda posture: _plan(ports, reader, posture, target, asked),
        PlanOfUnreadable(target),
        raise_if_all_fail=True,
    )
    plans = _all_plans(postures, plans, answers, PlanOfUnreadable(target))
    if fleet.rotation:
        plans = tuple(replace(plan, rotation_planned=fleet.rotation.words) for plan in plans)
    return FleetPlan(
        name=fleet.name,
        created_at=now,
        prover=prover,
        clusters=plans,
        stages=with_provers(stages, provers, prover),
        skip_rules=fleet.skip_rules,
        ticket_required=fleet.ticket_required,
        rotation=fleet.rotation,
        after=fleet.after,
    )


def _all_plans(
    postures: tuple[Posture, ...],
    plans: tuple[ClusterPlan, ...],
    answers: dict[str, FleetPlan | Exception],
    instead: PlanOfUnreadable,
) -> tuple[ClusterPlan, ...]:
    """Return the plans of all clusters in their order. `plans` were made here, `answers` came from elsewhere."""
    found = {plan.cluster.key: plan for plan in plans}
    for posture in postures:
        answer = answers.get(posture.cluster.key)
        if isinstance(answer, FleetPlan):
            found[posture.cluster.key] = answer.plan_for(posture.cluster)
        elif answer is not None:
            found[posture.cluster.key] = instead(posture, answer)
    return tuple(found[posture.cluster.key] for posture in postures)


async def plan_again(
    ports: Ports,
    plan: FleetPlan,
    changes: Mapping[ClusterId, tuple[str, ...]],
    records: tuple[Record, ...],
    *,
    own_calls: OwnCalls | None = None,
) -> FleetPlan:
    """Plan the clusters that changed again, towards the same target. The other clusters keep their plans.

    Exported audit logs are not available any more, so callers come from Log Analytics. Raises the four errors.
    """
    plans = await _plans_anew(ports, plan, tuple(changes), records, own_calls)
    found = tuple(Change(cluster=str(cluster), differences=differences) for cluster, differences in changes.items())
    return plan.planned_again(plans, found, at=checks.stamp(ports.clock))


async def plan_rotations(
    ports: Ports,
    plan: FleetPlan,
    owing: tuple[ClusterId, ...],
    records: tuple[Record, ...],
    *,
    own_calls: OwnCalls | None = None,
) -> FleetPlan:
    """Plan the second part of a plan: the rotations that the first part left owed. Raises the four errors."""
    plans = await _plans_anew(ports, plan, owing, records, own_calls, rotation=RotationPolicy.AT_ONCE)
    return plan.rotations(plans, at=checks.stamp(ports.clock))


async def _plans_anew(
    ports: Ports,
    plan: FleetPlan,
    clusters: tuple[ClusterId, ...],
    records: tuple[Record, ...],
    own_calls: OwnCalls | None,
    rotation: RotationPolicy | None = None,
) -> tuple[ClusterPlan, ...]:
    """Plan clusters from their present state towards their targets. Groups that now exist are named by their ids."""
    reader = FleetReader(ports, records, _SIDE_BY_SIDE, None)
    runner, prover = await ports.callers.runner(), await ports.callers.prover()
    own_calls = _once(reader, own_calls, clusters)

    async def of(before: ClusterPlan) -> ClusterPlan:
        posture = await reader.patiently(lambda: ports.arm.cluster(before.cluster))
        exists = await reader.patiently(lambda: checks.existing_groups(ports, before))
        groups = tuple(replace(one, id=exists.get(one.reference, one.id)) for one in before.target.admin_groups)
        reader.drifts |= {one.reference: one for one in await drifts(ports, reader, groups)}
        asked = _Asked(
            tenant_id=before.target.tenant_id,
            prover=prover,
            runner=runner,
            now=checks.stamp(ports.clock),
            skips=plan.skip_rules,
            callers={},
            audit_days=AUDIT_DAYS,
            read=_read_as(before),
            windows_unasked=_windows_unasked(plan.stages, len(clusters)),
            after=hooks_of(plan.stages, plan.after),
            own_calls=own_calls,
        )
        wanted = replace(before.target, admin_groups=groups, rotation=rotation or before.target.rotation)
        planned = before.rotation_planned if rotation is None else ""
        return replace(await _plan(ports, reader, posture, wanted, asked), rotation_planned=planned)

    return await reader.again(tuple(plan.plan_for(one) for one in clusters), of)


def _audited(callers: Mapping[str, AuditedCallers], postures: tuple[Posture, ...]) -> Mapping[str, AuditedCallers]:
    """Return the audit logs by cluster. A log that names no cluster is taken for the only cluster's.

    Raises:
        Refused: A log names a cluster outside of the fleet, or it is unclear which cluster a log is about.
    """
    names = {name for posture in postures for name in (posture.cluster.key, str(posture.cluster).casefold())}
    unknown = sorted(name for name in callers if name and "/" in name and name not in names and name.count("/") == 1)
    if unknown:
        raise Refused(
            f"`--audit-log`: the fleet has no cluster {unknown[0]}", remedy="name it as `resource-group/name=FILE`"
        )
    if callers and not names & callers.keys() and "" not in callers:
        raise Refused(
            f"`--audit-log`: it is about {min(callers)}, and about no cluster of the fleet",
            remedy="give the log of a cluster of the fleet",
        )
    if "" not in callers:
        return callers
    if len(postures) > 1:
        raise Refused(
            f"`--audit-log`: the log does not say which of the {len(postures)} clusters it is about",
            remedy="name the cluster: `--audit-log resource-group/name=FILE`",
        )
    if len(callers) > 1:
        raise Refused(
            "`--audit-log`: some entries name their cluster, and others do not",
            remedy="name the cluster of each file: `--audit-log resource-group/name=FILE`",
        )
    return {postures[0].cluster.key: callers[""]}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The inputs that are the same for every cluster of a plan."""

    tenant_id: str | None
    prover: Caller
    runner: Caller
    now: str
    skips: tuple[Skip, ...]
    callers: Mapping[str, AuditedCallers]
    audit_days: int
    read: ReadAs
    windows_unasked: Mapping[str, str]  # why the maintenance windows of a cluster (by key) are not read
    after: Mapping[str, tuple[Hook, ...]]  # the hooks of a cluster (by key)
    own_calls: OwnCalls | None


def _once(reader: FleetReader, own_calls: OwnCalls | None, clusters: Iterable[ClusterId]) -> OwnCalls | None:
    """Return what reads the records of all these clusters once, when the first of them needs its own."""
    if own_calls is None:
        return None
    all_of_them = tuple(clusters)

    async def read(_: Collection[ClusterId]) -> Mapping[str, tuple[OwnCall, ...]]:
        return await reader.once("own calls", "", lambda: own_calls(all_of_them))

    return read


def _windows_unasked(stages: tuple[Stage, ...], count: int) -> dict[str, str]:
    """Return why the maintenance windows of clusters (by key) are not read, in a plan of `count` clusters."""
    waits, large = (
        "the gate before the stage reads them, and waits for them",
        f"the plan has more than {WINDOWS_UP_TO} clusters; a gate with `maintenance_window` reads them and waits",
    )
    return {
        member.key: waits if stage.waits_for_maintenance else large
        for stage in stages
        for member in stage.members
        if stage.waits_for_maintenance or count > WINDOWS_UP_TO
    }


def _read_as(before: ClusterPlan) -> ReadAs:
    """Return with whose credential the earlier plan of a cluster read its workloads: `W140` says so."""
    by_admin = any(finding.rule == "W140" for finding in before.findings)
    return ReadAs.ADMIN_CREDENTIAL if by_admin else ReadAs.PROVER


async def _plan(ports: Ports, reader: FleetReader, posture: Posture, target: Target, asked: _Asked) -> ClusterPlan:
    """Plan one cluster. It is decided twice: the first plan shows which rights the steps need."""
    cluster, caller = posture.cluster, asked.prover
    subscription = cluster.subscription_id
    tenant = await reader.once("tenant", subscription, lambda: ports.arm.tenant_of(subscription))
    target = replace(target, tenant_id=asked.tenant_id or tenant)
    unreachable = ""
    if not posture.stopped:
        posture, unreachable = await reader.probed(posture)
        posture, _ = await reader.read(posture)
    own = posture.admin_group_ids if posture.identity is Identity.MANAGED else ()
    wanted = tuple(group.id for group in target.admin_groups if group.id)
    facts = Facts(
        tenant_id=tenant,
        old_credentials=await reader.debt(posture),
        groups=await reader.groups((*own, *wanted), caller.object_id),
        drifts=tuple(reader.drifts[one.reference] for one in target.admin_groups if one.reference in reader.drifts),
        prover=caller.name or caller.object_id,
        prover_address=caller.address,
        prover_is_cluster_admin=await reader.by_role(posture, target, caller.object_id),
        unreachable=unreachable,
        now=asked.now,
        directory_tenant=asked.runner.tenant_id,
        memberships=await reader.known(lambda: reader.memberships(caller.object_id)),
        callers=asked.callers.get(cluster.key) or asked.callers.get(str(cluster).casefold()),
    )
    steps = plan_cluster(posture, target, facts).steps
    if steps and not posture.stopped:
        actions = needed_actions(steps)
        missing = await reader.known(lambda: ports.arm.missing_permissions(cluster, actions))
        denials = await reader.known(lambda: denials_of(ports, reader, cluster, actions))
        facts = replace(facts, missing_permissions=missing, denials=denials)
        facts = await with_linked_rights(ports, reader, posture, facts)
        draft = plan_cluster(posture, target, facts, asked.skips)
        # what is not read yet is a U; a cluster that is refused for certain needs no credential
        refused = any(finding.rule.startswith("B") for finding in draft.blockers)
        read = ReadAs.PROVER if refused else asked.read
        unasked = asked.windows_unasked.get(cluster.key, "")
        facts = await around(
            ports,
            reader,
            posture,
            steps,
            facts,
            audit_days=asked.audit_days,
            read=read,
            windows_unasked=unasked,
        )
        facts = await without_own_calls(reader, cluster, facts, asked.own_calls)
    if any(isinstance(step, RotateCertificates) for step in steps) and not posture.stopped:
        facts = replace(facts, hubs=await hubs_seen(ports, reader, posture, asked.after[cluster.key]))
    if (steps or target.doors) and not posture.stopped:
        facts = replace(facts, doors=await _doors(ports, posture, target, unreachable))
    return plan_cluster(posture, target, facts, asked.skips)


async def _doors(ports: Ports, posture: Posture, target: Target, unreachable: str) -> tuple[Door, ...] | None:
    """Return the doors, of which Azure and the cluster are asked only if the fleet file names one. None: no port."""
    if not target.doors:
        return doors_of(shown_by(posture)) if ports.doors else None
    seen = await look(ports, posture, unreachable=unreachable)
    return seen[0].doors if seen else None
