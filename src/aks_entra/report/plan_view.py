"""A fleet's plan in the words of a change board: what the printers (text, Markdown) have in common. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final, assert_never

from aks_entra.core.cluster import Identity
from aks_entra.core.gates import Gate, Side
from aks_entra.core.plan import ClusterPlan, FleetPlan
from aks_entra.core.preflight import Finding, Severity
from aks_entra.core.rollout import Stage
from aks_entra.core.steps import (
    Consequence,
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
    consequence,
)

SEVERITY_MARKS: Final = {Severity.BLOCKER: "✗", Severity.WARNING: "⚠", Severity.INFO: "i", Severity.UNKNOWN: "?"}
NOTHING_WRITTEN: Final = "nothing has been written"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step: its mark, what it does, and what it means for people, each thing on its own."""

    mark: str
    title: str
    notes: tuple[str, ...]
    one_way: bool
    interrupts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """Clusters that have everything in common: steps, findings, duration. Or one that is held back."""

    names: tuple[str, ...]
    steps: tuple[StepView, ...]
    findings: tuple[Finding, ...]
    minutes: str
    because: str = ""  # why it is as it should be


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """One wave, with the rules that it runs by."""

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
    everywhere: tuple[Finding, ...]  # findings that all clusters at work have in common: said once
    gains: tuple[str, ...]
    loses: tuple[str, ...]
    summary: str
    replaces: str = ""  # the plan that this one was made from
    follows: str = ""  # the plan that left owed what this one does
    later: str = ""  # what it leaves for later, and when that is due
    moved: tuple[tuple[str, tuple[str, ...]], ...] = ()  # because of these changes, by cluster

    @property
    def changes(self) -> bool:
        """Whether carrying the plan out would do anything."""
        return bool(self.stages)


def view_of(plan: FleetPlan) -> PlanView:
    """The plan as it is shown; loses nothing that a person decides by."""
    at_work = [one for one in plan.clusters if one.disposition == "migrate"]
    everywhere = _shared(at_work)
    return PlanView(
        name=plan.name,
        digest=plan.digest,
        created_at=plan.created_at,
        prover=plan.prover.client_id or plan.prover.object_id,
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
        moved=tuple((change.cluster, change.differences) for change in plan.changes),
    )


def size(cluster: ClusterView) -> str:
    """`3 clusters, each 6 steps, 19 to 55 min`."""
    count = len(cluster.names)
    parts = [f"{_counted(count, 'cluster')}, each {_counted(len(cluster.steps), 'step')}" if count > 1 else ""]
    parts += [_counted(len(cluster.steps), "step")] if count == 1 else []
    return ", ".join(part for part in (*parts, cluster.minutes) if part)


def _shared(plans: list[ClusterPlan]) -> tuple[Finding, ...]:
    """The findings that each of several clusters has."""
    if len(plans) < 2:  # noqa: PLR2004 - one cluster shares nothing
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
    """The limits of a stage that are not always set."""
    per = stage.max_concurrency_per_subscription
    return [
        *([f"{per} of one subscription"] if per else []),
        *([f"batches of {stage.batch_size}"] if stage.batch_size else []),
    ]


def _gate(stage: Stage, side: Side) -> str:
    """`gate before`, and what it waits for where that is more than a decision."""
    gate = stage.gate(side)
    if gate is None:
        return ""
    return f"gate {side}" if gate == Gate() else f"gate {side}: {' + '.join(gate.conditions)}"


def _blocks(plans: list[ClusterPlan], everywhere: tuple[Finding, ...]) -> tuple[ClusterView, ...]:
    """The clusters of a stage, those with everything in common together, in the order of their first."""
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
    """A cluster that nothing is done to: only what holds it back, or why it is as it should be."""
    return ClusterView(
        names=(str(plan.cluster),), steps=(), findings=plan.blockers, minutes="", because=plan.debt_because
    )


def _step(plan: ClusterPlan, step: Step, price: Consequence) -> StepView:
    mark, title, detail = _words(plan, step)
    notes = [
        "ONE WAY" if price.one_way else "reversible" if price.reversible else "",
        detail,
        price.interruption,
        *price.notes,
        f"{price.minutes[0]} to {price.minutes[1]} min" if price.minutes[1] else "",
    ]
    return StepView(
        mark=mark,
        title=title,
        notes=tuple(note for note in notes if note),
        one_way=price.one_way,
        interrupts=bool(price.interruption),
    )


def _words(plan: ClusterPlan, step: Step) -> tuple[str, str, str]:  # noqa: C901, PLR0911 - a table: one line for each step
    """Mark, title and what is particular about this step."""
    match step:
        case EnsureAdminGroup():
            people = len(step.group.members)
            first = f" with {_counted(people, 'first member')} and the prover" if people else " with the prover in it"
            return (
                "+",
                f"create group {step.group.display_name}",
                f"unless uniqueName {step.group.unique_name} exists;{first}",
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
            return "?", "prove sign-in", "a token of the prover must get in before anything is closed"
        case RecordBaseline():
            held = "; an admin credential is held in memory as the witness" if step.hold_credential else ""
            return "?", "record baseline", f"nodes and workloads as they are{held}"
        case DisableLocalAccounts():
            return "−", "disable local accounts", ""  # noqa: RUF001 - the minus sign of the plan's legend
        case EnableLocalAccounts():
            return "+", "enable local accounts", ""
        case VerifyRestored():
            looks = "an admin credential from Azure works" if step.local_accounts else "a member gets in"
            return "?", "verify what was restored", looks
        case RotateCertificates():
            return "↻", "rotate certificates", ""
        case VerifyOutcome():
            tried = ", old credentials tried" if step.rotated else ""
            return "?", "verify from outside", f"member in, nodes Ready, workloads as before{tried}"
        case _:
            assert_never(step)


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
        parts.append(f"adds {_groups(plan, added)} to those there are")
    if removed:
        parts.append(f"takes away {_groups(plan, removed)}, which the migration added")
    if step.azure_rbac is not plan.before.azure_rbac:
        parts.append(f"Azure RBAC {'on' if step.azure_rbac else 'off'}")
    return "; ".join(parts)


def _groups(plan: ClusterPlan, references: tuple[str, ...]) -> str:
    return ", ".join(_group(plan, reference) for reference in references) or "none"


def _group(plan: ClusterPlan, reference: str) -> str:
    """A group's display name where the target has one; else its reference."""
    named = {group.reference.lower(): group.display_name for group in plan.target.admin_groups}
    return named.get(reference.lower()) or reference


def _gains(plans: list[ClusterPlan]) -> tuple[str, ...]:
    """Who gets in afterwards and did not before."""
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
        found.append(f"whoever may fetch admin credentials from Azure (on {_counted(opened, 'cluster')})")
    if roles:
        found.append(f"holders of Azure Kubernetes Service RBAC roles (on {_counted(roles, 'cluster')})")
    return tuple(found)


def _loses(plans: list[ClusterPlan]) -> tuple[str, ...]:
    """Who got in before and does not afterwards."""
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
        found.append(f"whoever would fetch admin credentials from Azure (on {_counted(closes, 'cluster')})")
    if dropped := _dropped(plans):
        found.append(dropped)
    if rotates:
        found.append(
            "every holder of an admin kubeconfig, a client certificate or a static token, service-account tokens "
            f"outside the cluster among them (on {_counted(rotates, 'cluster')})"
        )
    if legacy:
        found.append(f"kubeconfigs of the legacy integration (on {_counted(legacy, 'cluster')})")
    if unbound:
        found.append(f"holders of Azure Kubernetes Service RBAC roles (on {_counted(unbound, 'cluster')})")
    return tuple(found)


def _dropped(plans: list[ClusterPlan]) -> str:
    """Admin groups that a rollback takes away."""
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
