"""Weighs each proof on its own: what speaks against a cluster, what is missing, and what is proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Final, TypeVar

from aks_entra.core.cluster import Identity
from aks_entra.core.debt import Debt
from aks_entra.core.evidence import (
    BY_ROLE,
    AdminCredentialRefused,
    CertificatesRotated,
    Credential,
    CredentialTried,
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
from aks_entra.core.plan import ClusterPlan
from aks_entra.core.steps import RecordBaseline
from aks_entra.core.target import LocalAccounts

_E = TypeVar("_E")
_OK: Final = 200
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


GROUPS: Final = "bring the group to what the fleet file declares (`az ad group`), or the fleet file to the group"


class Grade(StrEnum):
    """How strong the proof is that old credentials are dead."""

    CREDENTIAL_REFUSED = "credential refused"  # held from before, tried alone: 200 before, 401 after
    CA_REPLACED = "CA replaced, static token untested"
    BY_RECORD = "by our own record"  # closed earlier: created closed, or rotated under our eyes


@dataclass(slots=True, kw_only=True)
class Weights:
    """What speaks against, what is not known, what is proven; the grade, and what to do next."""

    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)
    grade: Grade | None = None
    next: str = ""


def weigh(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Weights:
    """Weigh everything that must hold at the end, except the old credentials."""
    seen = Weights()
    for rule in (_looks, _state, _groups, _refusal, _sign_in, _nodes, _workloads):
        rule(plan, evidence, seen)
    return seen


def _closed(plan: ClusterPlan) -> bool:
    return plan.target.local_accounts is LocalAccounts.OFF or not plan.before.local_accounts


def _looks(_: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """What could not be looked at."""
    for one in _all(evidence, Failure):
        seen.missing.append(one.message)
        seen.next = seen.next or one.remedy


def _state(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    state = _last(evidence, StateSeen)
    if state is None:
        seen.missing.append("the final state was not read")
        return
    ids = {one.unique_name: one.group_id for one in _all(evidence, GroupEnsured)}
    expected = plan.before
    for step in plan.steps:
        expected = expected.after(step)
    expected = expected.resolved({f"uniqueName:{name}": group_id for name, group_id in ids.items()})
    if state.identity != Identity.MANAGED:
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
    """Groups that the fleet file declares: one that drifted is not what somebody decided on."""
    for group in {one.group: one for one in _all(evidence, GroupSeen)}.values():
        for what in (*group.differs, *group.unknown):
            seen.missing.append(f"admin group {group.display_name}: {what}")
            seen.next = seen.next or GROUPS
        if not group.differs and not group.unknown:
            seen.proven.append(f"admin group {group.display_name} as declared")


def _refusal(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """Azure's own refusal: only the 400 of the disabled account counts, a 403 says something about us."""
    if not _closed(plan):
        return
    refused = _last(evidence, AdminCredentialRefused)
    if refused is None or refused.status != _BAD_REQUEST:
        seen.missing.append("Azure's refusal of admin credentials was not seen")
    else:
        seen.proven.append("admin credentials refused by Azure")


def _sign_in(_: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    """A sign-in at the end, by way of an admin group that ARM shows, or by role where Azure RBAC is on."""
    state = _last(evidence, StateSeen)
    sign_in = next((one for one in reversed(_all(evidence, SignInProven)) if one.moment is Moment.AFTER), None)
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
    nodes = _last(evidence, NodesSeen)
    if nodes is None:
        seen.missing.append("nodes were not seen")
        return
    ready = f"{nodes.ready} {'node' if nodes.ready == 1 else 'nodes'} Ready"
    if nodes.missing:
        bounds = f"{nodes.fewest}" if nodes.fewest == nodes.most else f"{nodes.fewest} to {nodes.most}"
        seen.wrong.append(f"{ready}, {bounds} expected: {', '.join(nodes.missing)}")
    else:
        seen.proven.append(ready)


def _workloads(plan: ClusterPlan, evidence: tuple[Evidence, ...], seen: Weights) -> None:
    workloads = _last(evidence, WorkloadsSeen)
    if workloads is None:
        if any(isinstance(step, RecordBaseline) for step in plan.steps):
            seen.missing.append("workloads were not compared with a baseline")
    elif workloads.worse:
        seen.wrong.append(f"less available than before: {', '.join(workloads.worse)}")
    else:
        seen.proven.append("workloads as before")


def weigh_old_credentials(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Weights:
    """Whether the old credentials are dead, and by which grade of proof."""
    found = Weights()
    rotated = _last(evidence, CertificatesRotated)
    if rotated is None:
        _dead_by_record(plan, found)
    else:
        found.grade = Grade.CA_REPLACED
        found.proven.append(f"CA {rotated.ca_before[:4]}… → {rotated.ca_after[:4]}…")
        state = _last(evidence, StateSeen)
        if state is not None and state.ca != rotated.ca_after:
            found.missing.append(f"the CA was replaced once more: {state.ca[:4]}… serves now")
    _tried(evidence, found, rotated)
    if found.wrong:
        found.next = "treat the old credential as live: rotate again, and open a ticket with Azure"
    return found


def _dead_by_record(plan: ClusterPlan, found: Weights) -> None:
    if plan.rotates is not None:
        found.missing.append("the rotation was not seen to its end: credentials from before may still work")
        found.next = "run the plan again: what is left of it is done"
    elif plan.debt is Debt.NONE:
        found.grade = Grade.BY_RECORD
        found.proven.append(f"old credentials dead: {plan.debt_because}")
    elif plan.target.local_accounts is LocalAccounts.KEEP and plan.before.local_accounts:
        found.missing.append("local accounts are kept on: old credentials live")
        found.next = "set `local_accounts: off` in the fleet file"
    elif plan.rotation_planned:
        found.missing.append(f"rotation owed: credentials from before may still work; planned: {plan.rotation_planned}")
        found.next = "wait for its gate: `aks-entra gates`"
    elif plan.debt is Debt.UNKNOWN:
        found.missing.append(f"rotation owed, as far as is known: {plan.debt_because}")
        found.next = "set `rotation: at-once` and plan again"
    else:
        found.missing.append("rotation owed: credentials from before still work")
        found.next = "set `rotation: at-once` and plan again"


def _tried(evidence: tuple[Evidence, ...], found: Weights, rotated: CertificatesRotated | None) -> None:
    """Each credential alone. 401 counts as dead only of one that worked before, or that the CA before had signed."""
    tried = _all(evidence, CredentialTried)
    fates = {
        credential: _fate(credential, mine, rotated=rotated, found=found)
        for credential in Credential
        if (mine := [one for one in tried if one.credential is credential])
    }
    if not fates:
        if rotated is not None:
            found.proven.append("grade 2: no old credential was at hand to try")
        return
    killed = [str(credential) for credential, fate in fates.items() if fate is _Fate.KILLED]
    if not found.wrong and not found.missing and killed and _Fate.UNTRIED not in fates.values():
        found.grade = Grade.CREDENTIAL_REFUSED
        found.proven.append(f"{' and '.join(killed)} from before: 401{' each' if len(killed) > 1 else ''}")


class _Fate(Enum):
    """What became of one credential from before."""

    KILLED = auto()  # it worked, or the CA before had signed it; now it is refused
    DEAD_ALREADY = auto()  # it was refused before the rotation too, as an expired certificate is
    UNTRIED = auto()  # nothing can be said


def _fate(
    credential: Credential, mine: list[CredentialTried], *, rotated: CertificatesRotated | None, found: Weights
) -> _Fate:
    """What became of one credential; what it shows beside that goes into `found`."""
    before = next((one for one in reversed(mine) if one.moment is Moment.BEFORE), None)
    after = next((one for one in reversed(mine) if one.moment is Moment.AFTER), None)
    worked = before is not None and before.status == _OK
    if after is None and worked and rotated:
        found.proven.append(f"grade 2: the {credential} was not at hand any more after rotation")
        return _Fate.UNTRIED
    if after is None or not _answered(after.status):
        if worked and rotated:
            found.missing.append(f"the {credential} from before got no answer after rotation")
        elif worked:
            found.missing.append(f"the {credential} from before still works")
        else:
            found.proven.append(f"grade 2: the {credential} could not be tried")
        return _Fate.UNTRIED
    if after.status != _UNAUTHORIZED:
        found.wrong.append(f"the {credential} from before still gets {after.status} after rotation")
        return _Fate.UNTRIED
    if worked or (before is None and rotated is not None and after.issued_under == rotated.ca_before):
        return _Fate.KILLED
    if before is not None and before.status == _UNAUTHORIZED:
        found.proven.append(f"{credential}: refused before the rotation already (expired?), and after it")
        return _Fate.DEAD_ALREADY
    found.proven.append(f"grade 2: the {credential} is refused, but was not seen to work before")
    return _Fate.UNTRIED


def _answered(status: int | None) -> bool:
    """Whether the API server said who it thinks the caller is; an overloaded or broken one did not."""
    return status is not None and status < _SERVER_ERROR and status != _TOO_MANY


def _all(evidence: tuple[Evidence, ...], kind: type[_E]) -> list[_E]:
    return [one for one in evidence if isinstance(one, kind)]


def _last(evidence: tuple[Evidence, ...], kind: type[_E]) -> _E | None:
    return next((one for one in reversed(evidence) if isinstance(one, kind)), None)


def outlived(evidence: tuple[Evidence, ...]) -> bool:
    """Whether a credential from before was let in after the CA had been replaced."""
    return any(
        one.moment is Moment.AFTER and _answered(one.status) and one.status != _UNAUTHORIZED
        for one in _all(evidence, CredentialTried)
    )
