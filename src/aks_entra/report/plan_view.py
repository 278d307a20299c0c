"""A plan in words, for the text and Markdown printers. It does no I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from aks_entra.core.cluster import Identity
from aks_entra.core.durations import when
from aks_entra.core.estimate.durations import PUBLISHED, Durations
from aks_entra.core.estimate.expected import expected_time
from aks_entra.core.hooks.model import words_of
from aks_entra.core.planning.gates import Gate, Side
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.core.preflight import Finding, Severity
from aks_entra.core.steps import (
    KINDS,
    Consequence,
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    ProveSignIn,
    RecordBaseline,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
    consequence,
)
from aks_entra.report.expected_time import TimeView, time_view

SEVERITY_MARKS: Final = {Severity.BLOCKER: "✗", Severity.WARNING: "⚠", Severity.INFO: "i", Severity.UNKNOWN: "?"}
NOTHING_WRITTEN: Final = "nothing has been written"
ONE_WAY: Final = "ONE WAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step: its mark, its title, and notes on what it means for people."""

    mark: str
    title: str
    notes: tuple[str, ...]
    interruption: str  # the note on what is down meanwhile, if anything is


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """Clusters with the same steps, findings and duration, or one cluster that is not migrated."""

    names: tuple[str, ...]
    steps: tuple[StepView, ...]
    findings: tuple[Finding, ...]
    minutes: str
    because: str = ""  # why nothing needs to be done


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """One stage, with its gates and limits."""

    name: str
    rules: str
    clusters: tuple[ClusterView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """A whole plan."""

    name: str
    digest: str
    created_at: str
    prover: str
    stages: tuple[StageView, ...]
    refused: tuple[ClusterView, ...]
    skipped: tuple[ClusterView, ...]
    done: tuple[ClusterView, ...]
    everywhere: tuple[Finding, ...]  # findings that all clusters share
    gains: tuple[str, ...]
    loses: tuple[str, ...]
    summary: str
    replaces: str = ""  # the plan that this one was made from
    follows: str = ""  # the plan whose rotation this plan carries out
    later: str = ""  # the rotation that it leaves for later, and when that is due
    after: tuple[tuple[str, str], ...] = ()  # hooks, each with when it runs: after which rotations
    moved: tuple[tuple[str, tuple[str, ...]], ...] = ()  # what changed since the plan that it replaces, by cluster
    time: TimeView | None = None  # None: no cluster has a step, or the plan does not say when it was made

    @property
    def changes(self) -> bool:
        """Whether the plan has any steps."""
        return bool(self.stages)


def view_of(plan: FleetPlan, *, durations: Durations = PUBLISHED, request_rate: float = 1.0) -> PlanView:
    """Return the plan as it is shown, with everything that a person needs to decide.

    Its expected time counts from the moment at which it was made. `request_rate`: the setting of that name.
    """
    made = when(plan.created_at)
    expected = expected_time(plan, made, durations=durations, request_rate=request_rate) if made else None
    at_work = [one for one in plan.clusters if one.disposition == "migrate"]
    everywhere = _shared(at_work)
    return PlanView(
        name=plan.name,
        digest=plan.digest,
        created_at=plan.created_at,
        prover=_provers(plan),
        stages=tuple(stage for stage in (_stage(plan, one, everywhere) for one in plan.stages) if stage.clusters),
        refused=tuple(_held(one) for one in plan.clusters if one.disposition == "refused"),
        skipped=tuple(_held(one) for one in plan.clusters if one.disposition == "skipped"),
        done=tuple(_held(one) for one in plan.clusters if one.disposition == "nothing to do"),
        everywhere=everywhere,
        gains=_gains(at_work),
        loses=_loses(at_work),
        summary=f"{_counted(len(at_work), 'cluster')} · {_counted(plan.step_count, 'step')}",
        replaces=plan.replaces,
        follows=plan.follows,
        later=plan.rotation.words if plan.rotation else "",
        after=_hooks(plan),
        moved=tuple((change.cluster, change.differences) for change in plan.changes),
        time=time_view(expected) if expected and expected.stages else None,
    )


def _hooks(plan: FleetPlan) -> tuple[tuple[str, str], ...]:
    """Return the hooks of the plan and of its stages, each with when it runs."""
    lists = (("", plan.after), *((f" in stage {stage.name}", stage.after) for stage in plan.stages))
    return tuple((f"After each rotation{where}", words_of(hook)) for where, hooks in lists for hook in hooks)


def size(cluster: ClusterView) -> str:
    """Return the size of a block, such as `3 clusters, each 6 steps, 19 to 55 min`."""
    count = len(cluster.names)
    parts = [f"{_counted(count, 'cluster')}, each {_counted(len(cluster.steps), 'step')}" if count > 1 else ""]
    parts += [_counted(len(cluster.steps), "step")] if count == 1 else []
    return ", ".join(part for part in (*parts, cluster.minutes) if part)


def _provers(plan: FleetPlan) -> str:
    """Return who proves sign-in: the plan's prover, and those of groups."""
    groups = [group.prover for stage in plan.stages for group in stage.groups if group.prover]
    return ", ".join(dict.fromkeys(one.client_id or one.object_id for one in (plan.prover, *groups)))


def _shared(plans: list[ClusterPlan]) -> tuple[Finding, ...]:
    """Return the findings that all of several clusters have."""
    if len(plans) <= 1:
        return ()
    others = [set(plan.findings) for plan in plans[1:]]
    return tuple(finding for finding in plans[0].findings if all(finding in found for found in others))


def _stage(plan: FleetPlan, stage: Stage, everywhere: tuple[Finding, ...]) -> StageView:
    members = [plan.plan_for(member) for member in stage.members]
    going = [one for one in members if one.disposition == "migrate"]
    rules = [_counted(len(going), "cluster")]
    rules += [words for side in ("before", "after") if (words := _gate(stage, side))]
    if len(going) > 1:
        rules.append(f"{min(stage.max_concurrency, len(going))} at a time")
        rules += limits(stage)
    if len(going) > stage.max_allowed_failures:
        allowed = stage.max_allowed_failures
        rules.append(f"stop after {_counted(allowed + 1, 'failure')}")
    return StageView(name=stage.name, rules=", ".join(rules), clusters=_blocks(going, everywhere))


def limits(stage: Stage) -> list[str]:
    """Return the optional limits of a stage, and whose workers carry it out."""
    per = stage.max_concurrency_per_subscription
    queues = sorted({group.work_queue for group in stage.groups} - {""})
    return [
        *([f"{per} of one subscription"] if per else []),
        *([f"batches of {stage.batch_size}"] if stage.batch_size else []),
        *([f"on work queue {' and '.join(queues)}"] if queues else []),
    ]


def _gate(stage: Stage, side: Side) -> str:
    """Return `gate before` or `gate after`, with its conditions if it waits for more than an approval."""
    gate = stage.gate(side)
    if gate is None:
        return ""
    return f"gate {side}" if gate == Gate() else f"gate {side}: {' + '.join(gate.conditions)}"


def _blocks(plans: list[ClusterPlan], everywhere: tuple[Finding, ...]) -> tuple[ClusterView, ...]:
    """Group the clusters of a stage that have everything in common, in the order of the first of each group."""
    views = [_cluster(plan, everywhere) for plan in plans]
    together: dict[ClusterView, list[str]] = {}
    for view in views:
        together.setdefault(replace(view, names=()), []).extend(view.names)
    return tuple(replace(view, names=tuple(names)) for view, names in together.items())


def _cluster(plan: ClusterPlan, everywhere: tuple[Finding, ...]) -> ClusterView:
    prices = [consequence(step, tier=plan.tier) for step in plan.steps]
    shortest, longest = sum(one.minutes[0] for one in prices), sum(one.minutes[1] for one in prices)
    return ClusterView(
        names=(str(plan.cluster),),
        steps=tuple(_step(plan, step, price) for step, price in zip(plan.steps, prices, strict=True)),
        findings=tuple(finding for finding in plan.findings if finding not in everywhere),
        minutes=f"{shortest} to {longest} min" if longest else "",
    )


def _held(plan: ClusterPlan) -> ClusterView:
    """Return a cluster that is not migrated: its blockers, or why nothing needs to be done."""
    return ClusterView(
        names=(str(plan.cluster),), steps=(), findings=plan.blockers, minutes="", because=plan.debt_because
    )


def _step(plan: ClusterPlan, step: Step, price: Consequence) -> StepView:
    mark, title, detail = _words(plan, step)
    notes = [
        ONE_WAY if price.one_way else "reversible" if price.reversible else "",
        detail,
        price.interruption,
        *price.notes,
        f"{price.minutes[0]} to {price.minutes[1]} min" if price.minutes[1] else "",
    ]
    return StepView(
        mark=mark,
        title=title,
        notes=tuple(note for note in notes if note),
        interruption=price.interruption,
    )


def _words(plan: ClusterPlan, step: Step) -> tuple[str, str, str]:  # noqa: PLR0911 - a table: one line for each step
    """Return mark, title and details of a step."""
    match step:
        case EnsureAdminGroup():
            people = len(step.group.members)
            first = (
                f" with {_counted(people, 'first member')} and the prover" if people else " with the prover as member"
            )
            return (
                "+",
                f"create group {step.group.display_name}",
                f"only if uniqueName {step.group.unique_name} does not exist;{first}",
            )
        case EnableEntra():
            verb = (
                "upgrade legacy to Microsoft Entra ID" if step.was is Identity.LEGACY else "enable Microsoft Entra ID"
            )
            rbac = {None: "", True: "; Azure RBAC on", False: "; Azure RBAC off"}[step.azure_rbac]
            return "+", verb, f"admin groups: {_groups(plan, step.admin_groups)}{rbac}"
        case UpdateEntra():
            return "+", _update_title(plan, step), _update(plan, step)
        case ProveSignIn():
            return "✓", "prove sign-in", "the prover must sign in before anything is closed"
        case RecordBaseline():
            held = (
                "; holds an admin credential in memory, to prove later that it is refused"
                if step.hold_credential
                else ""
            )
            return "✓", "record baseline", f"records nodes and workloads{held}"
        case VerifyRestored():
            looks = "an admin credential from Azure works" if step.local_accounts else "a member can sign in"
            return "✓", "verify what was restored", looks
        case VerifyOutcome():
            tried = ", old credentials refused" if step.rotated else ""
            return "✓", "verify from outside", f"members can sign in, nodes Ready, workloads as before{tried}"
        case _:
            kind = KINDS[type(step)]
            return kind.mark, kind.words(step), ""


def _update_title(plan: ClusterPlan, step: UpdateEntra) -> str:
    groups = len(step.admin_groups) != len(plan.before.admin_groups)
    rbac = step.azure_rbac is not plan.before.azure_rbac
    return "update " + " and ".join([*(["admin groups"] if groups else []), *(["Azure RBAC"] if rbac else [])])


def _update(plan: ClusterPlan, step: UpdateEntra) -> str:
    added = tuple(name for name in step.admin_groups if name.lower() not in _lower(plan.before.admin_groups))
    kept = _lower(step.admin_groups)
    removed = tuple(name for name in plan.before.admin_groups if name.lower() not in kept)
    parts = []
    if added:
        parts.append(f"adds {_groups(plan, added)} and keeps the others")
    if removed:
        parts.append(f"removes {_groups(plan, removed)}, which the migration added")
    if step.azure_rbac is not plan.before.azure_rbac:
        parts.append(f"Azure RBAC {'on' if step.azure_rbac else 'off'}")
    return "; ".join(parts)


def _groups(plan: ClusterPlan, references: tuple[str, ...]) -> str:
    return ", ".join(_group(plan, reference) for reference in references) or "none"


def _group(plan: ClusterPlan, reference: str) -> str:
    """Return the display name of a group of the target. Other groups keep their reference."""
    named = {group.reference.lower(): group.display_name for group in plan.target.admin_groups}
    return named.get(reference.lower()) or reference


def _gains(plans: list[ClusterPlan]) -> tuple[str, ...]:
    """Return who gains access."""
    groups: Counter[str] = Counter()
    roles = 0
    for plan in plans:
        for step in plan.steps:
            if isinstance(step, EnableEntra | UpdateEntra):
                had = _lower(plan.before.admin_groups) if plan.before.identity is Identity.MANAGED else ()
                groups.update(_group(plan, name) for name in step.admin_groups if name.lower() not in had)
                roles += bool(step.azure_rbac) and not plan.before.azure_rbac
    found = [f"{name} (on {_counted(count, 'cluster')})" for name, count in groups.most_common()]
    opened = sum(any(isinstance(step, EnableLocalAccounts) for step in plan.steps) for plan in plans)
    if opened:
        found.append(f"everyone who can fetch admin credentials from Azure (on {_counted(opened, 'cluster')})")
    if roles:
        found.append(f"holders of Azure Kubernetes Service RBAC roles (on {_counted(roles, 'cluster')})")
    return tuple(found)


def _loses(plans: list[ClusterPlan]) -> tuple[str, ...]:
    """Return who loses access."""
    closes = sum(any(isinstance(step, DisableLocalAccounts) for step in plan.steps) for plan in plans)
    rotates = sum(plan.rotates is not None for plan in plans)
    legacy = sum(
        any(isinstance(step, EnableEntra) and step.was is Identity.LEGACY for step in plan.steps) for plan in plans
    )
    unbound = sum(
        any(isinstance(step, UpdateEntra | EnableEntra) and step.azure_rbac is False for step in plan.steps)
        and plan.before.azure_rbac
        for plan in plans
    )
    found = []
    if closes:
        found.append(f"everyone who fetches admin credentials from Azure (on {_counted(closes, 'cluster')})")
    if dropped := _dropped(plans):
        found.append(dropped)
    if rotates:
        found.append(
            "every holder of an admin kubeconfig, a client certificate or a static token, including service-account "
            f"tokens outside the cluster (on {_counted(rotates, 'cluster')})"
        )
    if legacy:
        found.append(f"kubeconfigs of the legacy integration (on {_counted(legacy, 'cluster')})")
    if unbound:
        found.append(f"holders of Azure Kubernetes Service RBAC roles (on {_counted(unbound, 'cluster')})")
    return tuple(found)


def _dropped(plans: list[ClusterPlan]) -> str:
    """Return the admin groups that a rollback removes."""
    groups = Counter(
        _group(plan, name)
        for plan in plans
        for step in plan.steps
        if isinstance(step, UpdateEntra)
        for name in plan.before.admin_groups
        if name.lower() not in _lower(step.admin_groups)
    )
    return ", ".join(f"{name} (on {_counted(count, 'cluster')})" for name, count in groups.most_common())


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
