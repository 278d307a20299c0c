"""Weigh each proof: what contradicts the plan, what is missing, and what is proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from aks_entra.core.cluster import Identity
from aks_entra.core.deny_policy import ENFORCED_WITHIN
from aks_entra.core.doors.model import DoorState
from aks_entra.core.doors.registry import title_of, unproven, words_of
from aks_entra.core.evidence.observations import (
    BY_ROLE,
    AdminCredentialRefused,
    DenyPolicySeen,
    DoorsSeen,
    Evidence,
    Failure,
    GroupEnsured,
    GroupSeen,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    WorkloadsSeen,
    by_group,
)
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.steps import AssignDenyPolicy, RecordBaseline
from aks_entra.core.target import Keep, LocalAccounts

_E = TypeVar("_E")
_OK: Final = 200
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


GROUPS: Final = "change the group (`az ad group`) or the fleet file so that they match"


class Grade(StrEnum):
    """How strong the proof is that old credentials do not work."""

    CREDENTIAL_REFUSED = "credential refused"  # held from before, tried alone: 200 before, 401 after
    CA_REPLACED = "CA replaced, static token untested"
    BY_RECORD = "by our own record"  # closed earlier: created closed, or rotated under our eyes


@dataclass(slots=True, kw_only=True)
class Weights:
    """The result: what is wrong, missing and proven, the grade, and what to do next."""

    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)
    grade: Grade | None = None
    next: str = ""


def weigh(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Weights:
    """Weigh everything that must hold at the end, except the old credentials."""
    seen = Weights()
    for rule in (_looks, _state, _groups, _refusal, _sign_in, _nodes, _workloads, _doors, _kept):
        rule(plan, evidence, seen)
    return seen


def _closed(plan: ClusterPlan) -> bool:
    return plan.target.local_accounts is LocalAccounts.OFF or not plan.before.local_accounts


def _looks(_: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Note what could not be read."""
    for one in every(evidence, Failure):
        seen.missing.append(one.message)
        seen.next = seen.next or one.remedy


def _state(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    state = last(evidence, StateSeen)
    if state is None:
        seen.missing.append("the final state was not read")
        return
    ids = {one.unique_name: one.group_id for one in every(evidence, GroupEnsured)}
    expected = plan.before
    for step in plan.steps:
        expected = expected.after(step)
    expected = expected.resolved({f"uniqueName:{name}": group_id for name, group_id in ids.items()})
    if Identity.of(state.identity) is Identity.UNKNOWN:
        seen.missing.append("ARM shows a sign-in integration that this version does not know (`aadProfile`)")
    elif state.identity != Identity.MANAGED:
        seen.wrong.append(f"Microsoft Entra ID is {state.identity}")
    if _closed(plan) and state.local_accounts:
        seen.wrong.append("local accounts are on")
    if state.azure_rbac is not expected.azure_rbac:
        seen.wrong.append(f"Azure RBAC for Kubernetes is {'on' if state.azure_rbac else 'off'}")
    present = {group.lower() for group in state.admin_group_ids}
    seen.wrong += [
        f"admin group {group} is not set"
        for group in expected.admin_groups
        if ":" not in group and group not in present
    ]
    if state.provisioning_state.casefold() in {"failed", "canceled"}:
        seen.wrong.append(f"the cluster's last operation ended {state.provisioning_state}")
        seen.next = "`az aks update` without a change reconciles the cluster; look at its activity log first"
    elif state.provisioning_state.casefold() != "succeeded":
        seen.missing.append(f"another operation is running ({state.provisioning_state})")


def _groups(_: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Weigh the groups that the fleet file declares. Drift means that nobody decided on the present members."""
    for group in {one.group: one for one in every(evidence, GroupSeen)}.values():
        for what in (*group.differs, *group.unknown):
            seen.missing.append(f"admin group {group.display_name}: {what}")
            seen.next = seen.next or GROUPS
        if not group.differs and not group.unknown:
            seen.proven.append(f"admin group {group.display_name} as declared")


def _refusal(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Weigh Azure's refusal. Only the 400 for disabled accounts counts: a 403 shows only that we lack a right."""
    if not _closed(plan):
        return
    refused = last(evidence, AdminCredentialRefused)
    if refused is None or refused.status != _BAD_REQUEST:
        seen.missing.append("Azure's refusal of admin credentials was not seen")
    else:
        seen.proven.append("admin credentials refused by Azure")


def _sign_in(_: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Weigh the sign-in at the end: by an admin group that ARM shows, or by role if Azure RBAC is on."""
    state = last(evidence, StateSeen)
    sign_in = next((one for one in reversed(every(evidence, SignInProven)) if one.moment is Moment.AFTER), None)
    if sign_in is None:
        seen.missing.append("no member signed in")
    elif not sign_in.everything:
        seen.wrong.append(f"{sign_in.username} signed in, but is not allowed everything")
    elif state is not None and sign_in.ca != state.ca:
        seen.missing.append("no member signed in under the CA that serves now")
    elif state is not None and sign_in.by not in _ways_in(state):
        seen.missing.append(f"{sign_in.username} signed in, but not as a member of an admin group")
        seen.next = "add the prover to an admin group: another binding let it in"
    else:
        seen.proven.append(f"member signed in by {sign_in.by}")


def _ways_in(state: StateSeen) -> set[str]:
    ways = {by_group(group.lower()) for group in state.admin_group_ids}
    return ways | {BY_ROLE} if state.azure_rbac else ways


def _nodes(_: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    nodes = last(evidence, NodesSeen)
    if nodes is None:
        seen.missing.append("nodes were not seen")
        return
    ready = f"{nodes.ready} {'node' if nodes.ready == 1 else 'nodes'} Ready"
    fixed = nodes.fewest == nodes.most
    bounds = f"{nodes.fewest}" if fixed else f"{nodes.fewest} to {nodes.most}"
    if nodes.missing:
        seen.wrong.append(f"{ready}, {bounds} expected: {', '.join(nodes.missing)}")
    else:
        seen.proven.append(ready if fixed else f"{ready} (the autoscaler keeps {bounds})")


def _workloads(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    workloads = last(evidence, WorkloadsSeen)
    if workloads is None:
        if any(isinstance(step, RecordBaseline) for step in plan.steps):
            seen.missing.append("workloads were not compared with a baseline")
    elif workloads.worse:
        seen.wrong.append(f"less available than before: {', '.join(workloads.worse)}")
    else:
        seen.proven.append("workloads as before")


def _doors(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Weigh the doors. An open door contradicts a target that says it must be closed; any other is only named."""
    found = last(evidence, DoorsSeen)
    doors = found.doors if found else ()
    for door in unproven(doors, plan.target.doors):
        kept = seen.wrong if door.state is DoorState.OPEN else seen.missing
        kept.append(
            f"{title_of(door.kind)} ({door.kind}) must be closed, and is {door.state}: {'; '.join(door.because)}"
        )
        seen.next = seen.next or door.remedy
    if found:
        seen.proven.append(f"other ways in: {words_of(doors)}")


def _kept(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Weigh the policy of `keep: deny`. An assignment that is gone is missing. One that was never made is only named.

    It says nothing about the proofs: they look at what is, and the assignment at what others can do tomorrow.
    """
    if plan.target.keep is not Keep.DENY:
        return
    looks = every(evidence, DenyPolicySeen)
    if not looks:
        if any(isinstance(step, AssignDenyPolicy) for step in plan.steps):
            seen.missing.append("no policy keeps local accounts off: it is assigned once the cluster is verified")
        return
    now = looks[-1]
    if now.assignment:
        when = "" if now.enforced else f" ({ENFORCED_WITHIN})"
        seen.proven.append(f"local accounts are kept off by policy assignment {now.assignment}{when}")
    elif any(one.assignment for one in looks):
        seen.missing.append(f"the policy that kept local accounts off does not any more: {now.problem}")
        seen.next = seen.next or now.remedy
    else:
        # the first that people read, although it holds no verdict back
        seen.proven.insert(0, f"NO policy keeps local accounts off: {now.problem}; to assign it: {now.remedy}")


def every(evidence: tuple[Evidence, ...], kind: type[_E]) -> list[_E]:
    """Return the evidence of one kind, oldest first."""
    return [one for one in evidence if isinstance(one, kind)]


def last(evidence: tuple[Evidence, ...], kind: type[_E]) -> _E | None:
    """Return the newest evidence of one kind, or None."""
    return next((one for one in reversed(evidence) if isinstance(one, kind)), None)
