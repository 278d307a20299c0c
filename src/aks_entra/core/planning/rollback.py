"""Plan the rollback of a migration from its plan and the cluster's present state.

A rollback undoes only what the migration changed. It can restore local accounts, admin groups and Azure RBAC. Findings
name what stays: Microsoft Entra ID, the rotation, and groups that were created.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.evidence.rotation_debt import OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.core.preflight import Finding, Lock, Severity
from aks_entra.core.steps import (
    AssignDenyPolicy,
    EnableLocalAccounts,
    Guarded,
    ProveSignIn,
    RemoveDenyPolicy,
    Step,
    UpdateEntra,
    VerifyRestored,
)
from aks_entra.core.target import Keep, LocalAccounts, RotationPolicy, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What was read about a cluster for its rollback. None means unknown.

    `groups` holds the object ids of groups that the plan names by `uniqueName:…`, if they exist by now.
    """

    groups: dict[str, str]
    old_credentials: OldCredentials
    missing_permissions: tuple[str, ...] | None = ()
    locks: tuple[Lock, ...] | None = ()
    kept: bool | None = False  # the deny policy that `keep: deny` makes is assigned to the cluster


def plan_rollback(done: ClusterPlan, now: Posture, facts: WayBack) -> ClusterPlan:
    """Decide the steps from a cluster's present state back to the state before the migration."""
    before = Guarded.of(now)
    steps = _steps(done, before, facts)
    return ClusterPlan(
        cluster=done.cluster,
        target=Target(
            tenant_id=done.target.tenant_id, local_accounts=LocalAccounts.KEEP, rotation=RotationPolicy.LATER
        ),
        before=before,
        steps=steps,
        findings=tuple(_findings(done, before, steps, facts)),
        tier=now.tier,
        debt=facts.old_credentials.debt,
        debt_through=facts.old_credentials.through,
        debt_because=facts.old_credentials.because if steps else "a rollback can restore nothing here",
        stopped=now.stopped,
    )


def rollback_fleet(done: FleetPlan, plans: tuple[ClusterPlan, ...], *, created_at: str) -> FleetPlan:
    """Return the rollback plan of a fleet: one stage behind one gate. No failure stops the other clusters."""
    members = tuple(plan.cluster for plan in plans if plan.disposition != "nothing to do")
    stage = Stage(
        name="rollback",
        groups=tuple(replace(group, name=group.work_queue or "all") for group in done.groups_of(members)),
        max_concurrency=max((one.max_concurrency for one in done.stages), default=1),
        max_allowed_failures=len(members),
    )
    return FleetPlan(
        name=f"rollback of {done.name}",
        created_at=created_at,
        prover=done.prover,
        clusters=plans,
        stages=(stage,) if members else (),
    )


def added_groups(done: ClusterPlan, groups: dict[str, str]) -> frozenset[str]:
    """Return the object ids of the admin groups that the migration added, in lower case."""
    return frozenset(done.after.resolved(groups).admin_groups) - frozenset(done.before.admin_groups)


def _steps(done: ClusterPlan, now: Guarded, facts: WayBack) -> tuple[Step, ...]:
    if now.identity is not Identity.MANAGED:
        return ()  # the migration did not close anything
    opens = done.before.local_accounts and not now.local_accounts
    kept_off = done.target.keep is Keep.DENY if facts.kept is None else facts.kept
    removes = kept_off and (opens or any(isinstance(step, AssignDenyPolicy) for step in done.steps))
    steps: list[Step] = [RemoveDenyPolicy()] if removes else []
    steps += [EnableLocalAccounts()] if opens else []
    kept, rbac = _entra(done, now, facts.groups)
    if (kept, rbac) != (now.admin_groups, now.azure_rbac):
        if not (opens or now.local_accounts):
            steps.append(ProveSignIn(admin_groups=kept))
        steps.append(UpdateEntra(admin_groups=kept, azure_rbac=rbac))
    if steps:
        steps.append(VerifyRestored(local_accounts=opens or now.local_accounts))
    return tuple(steps)


def _entra(done: ClusterPlan, now: Guarded, groups: dict[str, str]) -> tuple[tuple[str, ...], bool]:
    """Return the groups and the Azure RBAC flag to restore. Changes that others made since are kept.

    If the migration enabled Entra ID, there are no earlier groups, and the present ones stay.
    """
    if done.before.identity is not Identity.MANAGED:
        return now.admin_groups, now.azure_rbac
    added = added_groups(done, groups)
    kept = tuple(group for group in now.admin_groups if group not in added)
    changed = done.after.azure_rbac is not done.before.azure_rbac
    return kept, done.before.azure_rbac if changed else now.azure_rbac


def _findings(done: ClusterPlan, now: Guarded, steps: tuple[Step, ...], facts: WayBack) -> Iterator[Finding]:
    if not steps:
        return
    yield from _blockers(steps, facts)
    opens = any(isinstance(step, EnableLocalAccounts) for step in steps)
    if opens:
        yield _info(
            "R001",
            "local accounts open again: anybody with the right gets admin credentials from Azure; once accounts are "
            "closed again, a rotation is owed",
            severity=Severity.WARNING,
        )
    if done.before.identity is not Identity.MANAGED:
        yield _info("R002", "Microsoft Entra ID stays as the migration set it: it can never be switched off again")
    if done.before.ca is not None and now.ca != done.before.ca:
        yield _info("R003", "the rotation stays: credentials from before it do not work again")
    elif opens:
        yield _info(
            "R004",
            "certificates were not rotated: credentials from before the migration still work",
            severity=Severity.WARNING,
        )
    if not done.before.local_accounts and not now.local_accounts:
        yield _info("R005", "local accounts were off before the migration, and stay off")
    for group in done.target.admin_groups:
        if group.id is None and group.reference in facts.groups:
            yield _info("R006", f"group {group.display_name} stays in the directory, with its members")
    expected = frozenset(done.after.resolved(facts.groups).admin_groups)
    if others := [group for group in now.admin_groups if group not in expected]:
        yield _info("R007", f"admin groups that others added since stay: {', '.join(others)}")


def _blockers(steps: tuple[Step, ...], facts: WayBack) -> Iterator[Finding]:
    if facts.missing_permissions is None:
        yield _info("R010", "the rights of this identity could not be read", severity=Severity.UNKNOWN)
    elif facts.missing_permissions:
        yield _info(
            "R010",
            f"this identity lacks {', '.join(facts.missing_permissions)}",
            severity=Severity.BLOCKER,
            remedy="assign a role with these rights, or ask somebody who has them to roll back",
        )
    if facts.locks is None:
        yield _info("R011", "locks could not be read", severity=Severity.UNKNOWN)
    for lock in facts.locks or ():
        if lock.level == "ReadOnly":
            yield _info(
                "R011",
                f"lock {lock.name} on {lock.scope} forbids every change",
                severity=Severity.BLOCKER,
                remedy="remove the lock during the rollback",
            )
    for step in steps:
        if isinstance(step, ProveSignIn) and not step.admin_groups and not _role_stays(steps):
            yield _info(
                "R012",
                "without the groups that the migration added, nobody could sign in, and local accounts stay off",
                severity=Severity.BLOCKER,
                remedy="add another admin group first, or open local accounts with `aks-entra break-glass`",
            )


def _role_stays(steps: tuple[Step, ...]) -> bool:
    return any(isinstance(step, UpdateEntra) and step.azure_rbac for step in steps)


def _info(rule: str, message: str, *, severity: Severity = Severity.INFO, remedy: str = "") -> Finding:
    return Finding(rule=rule, severity=severity, message=message, remedy=remedy)


def gone(done: ClusterPlan, because: str) -> ClusterPlan:
    """Return the rollback of a cluster that cannot be read any more: refused, with the reason."""
    finding = Finding(rule="R013", severity=Severity.BLOCKER, message=because, remedy="look at it in Azure")
    target = replace(done.target, local_accounts=LocalAccounts.KEEP, rotation=RotationPolicy.LATER)
    return replace(done, target=target, steps=(VerifyRestored(local_accounts=True),), findings=(finding,))
