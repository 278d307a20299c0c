"""Weigh the old credentials of one cluster: the answer of `rotation_debt`, and the grade of its proof."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from aks_entra.core.cluster import CertificateAuthority, Depth, Identity, Posture
from aks_entra.core.evidence.observations import (
    ActivityLogRead,
    CertificatesRotated,
    Credential,
    CredentialTried,
    Evidence,
    Moment,
    StateSeen,
)
from aks_entra.core.evidence.rotation_debt import ROTATE, Debt, OldCredentials, Record, Sighting, old_credentials
from aks_entra.core.evidence.sightings import accepted_after_rotation, answered, records_in
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.target import LocalAccounts
from aks_entra.core.verdict.assess import Grade, Weights, every, last

_OK: Final = 200
_UNAUTHORIZED: Final = 401


def answer_of(
    plan: ClusterPlan, evidence: tuple[Evidence, ...], records: tuple[Record, ...] = ()
) -> OldCredentials | None:
    """Return whether old credentials work, by the evidence of one cluster, its plan and all other records.

    If the final state was not read, the plan's answer counts. Returns None if that was "none".
    """
    state = last(evidence, StateSeen)
    if state is None:
        if plan.debt is Debt.NONE or last(evidence, CertificatesRotated) is not None:
            return None
        return OldCredentials(debt=plan.debt, because=plan.debt_because, next=ROTATE)
    seen = Posture(
        cluster=plan.cluster,
        depth=Depth.READ,
        identity=Identity.of(state.identity),
        local_accounts=state.local_accounts,
        uid=state.uid,
        etag=state.etag or None,
        ca=CertificateAuthority(fingerprint=state.ca, not_before=state.ca_not_before),
    )
    ours = (*records_in(plan.cluster.key, evidence), *_planned(plan), *records)
    log = last(evidence, ActivityLogRead)
    return _combined_with_plan(
        plan, state.ca, old_credentials(seen, ours, log, now=state.at), weighed=bool(log or records)
    )


def _combined_with_plan(plan: ClusterPlan, ca: str, answer: OldCredentials, *, weighed: bool) -> OldCredentials:
    """Combine the answer with the plan's: a rotation owed under this CA stays owed, even if a record was lost."""
    if answer.debt not in {Debt.UNKNOWN, Debt.NONE}:
        return answer
    same = plan.before.ca == ca or (plan.before.ca is None and answer.debt is Debt.UNKNOWN)
    if same and plan.debt is Debt.ALIVE:
        return OldCredentials(debt=Debt.OWED, because="accounts were on when the plan was made", ca=ca, next=ROTATE)
    reason = plan.debt is Debt.UNKNOWN and answer.debt is Debt.UNKNOWN and not weighed
    if same and plan.debt_because and (plan.debt is Debt.OWED or reason):
        return OldCredentials(debt=plan.debt, because=plan.debt_because, ca=ca, next=ROTATE)
    return answer


def weigh_old_credentials(plan: ClusterPlan, evidence: tuple[Evidence, ...], answer: OldCredentials | None) -> Weights:
    """Weigh whether the old credentials work, and the grade of the proof."""
    found = Weights()
    rotated = last(evidence, CertificatesRotated)
    if rotated is not None:
        found.proven.append(f"CA {rotated.ca_before[:4]}… → {rotated.ca_after[:4]}…")
    if rotated is None and plan.rotates is not None:
        found.missing.append("the end of the rotation was not seen: credentials from before may still work")
        found.next = "run the plan again: it does what is left"
    elif answer is not None and answer.debt is Debt.NONE:
        _dead(answer, rotated, found)
    else:
        _not_dead(plan, evidence, answer, rotated, found)
    _tried(evidence, found, rotated)
    if found.wrong:
        found.next = "assume that the old credential works: rotate again, and open a ticket with Azure"
    return found


def old_credential_was_accepted(evidence: tuple[Evidence, ...]) -> bool:
    """Whether a credential from before was accepted after the CA was replaced."""
    return any(accepted_after_rotation(one) for one in every(evidence, CredentialTried))


def _planned(plan: ClusterPlan) -> tuple[Record, ...]:
    """Return the plan's own answer as a record. A plan of an earlier version does not say until when it was proven."""
    if plan.debt is not Debt.NONE or not plan.debt_through or plan.before.ca is None:
        return ()
    return (
        Record(
            cluster=plan.cluster.key,
            sighting=Sighting.KNOWN_DEAD,
            at=plan.debt_through,
            ca=plan.before.ca,
            because=plan.debt_because,
        ),
    )


def _dead(answer: OldCredentials, rotated: CertificatesRotated | None, found: Weights) -> None:
    if rotated is not None and rotated.ca_after == answer.ca:
        found.grade = Grade.CA_REPLACED
    else:
        found.grade = Grade.BY_RECORD
        found.proven.append(f"old credentials dead: {answer.because}")


def _not_dead(
    plan: ClusterPlan,
    evidence: tuple[Evidence, ...],
    answer: OldCredentials | None,
    rotated: CertificatesRotated | None,
    found: Weights,
) -> None:
    """Note why the old credentials may work, and what to do."""
    state = last(evidence, StateSeen)
    if rotated is not None and state is not None and state.ca != rotated.ca_after:
        found.missing.append(f"the CA was replaced once more: {state.ca[:4]}… serves now")
    if plan.target.local_accounts is LocalAccounts.KEEP and plan.before.local_accounts:
        found.missing.append("local accounts are kept on: old credentials work")
        found.next = "set `local_accounts: off` in the fleet file"
    elif plan.rotation_planned:
        found.missing.append(f"rotation owed: credentials from before may still work; planned: {plan.rotation_planned}")
        found.next = "wait for its gate: `aks-entra gates`"
    elif answer is None:
        found.missing.append("it is not known whether credentials from before work: the cluster was not read")
    elif answer.debt is Debt.UNKNOWN:
        found.missing.append(f"rotation owed, as far as is known: {answer.because}")
        found.next = answer.next
    else:
        found.missing += ["rotation owed: credentials from before still work", *filter(None, (answer.because,))]
        found.next = ROTATE


def _tried(evidence: tuple[Evidence, ...], found: Weights, rotated: CertificatesRotated | None) -> None:
    """Weigh each credential alone. 401 is a proof only if it worked before, or if the CA before had signed it.

    A static token has no signature. One that was not seen to work before gives no grade.
    """
    tried = every(evidence, CredentialTried)
    trials = {
        credential: _trial_of(credential, mine, rotated=rotated, found=found)
        for credential in Credential
        if (mine := [one for one in tried if one.credential is credential])
    }
    if not trials:
        if rotated is not None:
            found.proven.append("grade 2: no old credential was at hand to try")
        return
    for credential, trial in trials.items():
        if trial is _Trial.REFUSED:
            grade = "" if _Trial.KILLED in trials.values() else "grade 2: "
            found.proven.append(f"{grade}the {credential} is refused, but was not seen to work before")
    killed = [str(credential) for credential, trial in trials.items() if trial is _Trial.KILLED]
    if not found.wrong and not found.missing and killed and _Trial.UNTRIED not in trials.values():
        found.grade = Grade.CREDENTIAL_REFUSED
        tries = min((one.connections for one in tried if one.moment is Moment.AFTER), default=1)
        said = f", on {tries} connections{' each' if len(killed) > 1 else ''}" if tries > 1 else ""
        found.proven.append(f"{' and '.join(killed)} from before: 401{' each' if len(killed) > 1 else ''}{said}")


class _Trial(Enum):
    """The result for one credential from before."""

    KILLED = auto()  # it worked, or the CA before had signed it; now it is refused
    DEAD_ALREADY = auto()  # it was refused before the rotation too, as an expired certificate is
    REFUSED = auto()  # it is refused, and it is not known whether it ever worked
    UNTRIED = auto()  # nothing is known


def _trial_of(
    credential: Credential, mine: list[CredentialTried], *, rotated: CertificatesRotated | None, found: Weights
) -> _Trial:
    """Return the result for one credential. Add details to `found`."""
    before = next((one for one in reversed(mine) if one.moment is Moment.BEFORE), None)
    after = next((one for one in reversed(mine) if one.moment is Moment.AFTER), None)
    worked = before is not None and before.status == _OK
    if after is None and worked and rotated:
        found.proven.append(f"grade 2: the {credential} was not at hand any more after rotation")
        return _Trial.UNTRIED
    if after is None or not answered(after.status):
        if worked and rotated:
            found.missing.append(f"the {credential} from before got no answer after rotation")
        elif worked:
            found.missing.append(f"the {credential} from before still works")
        else:
            found.proven.append(f"grade 2: the {credential} could not be tried")
        return _Trial.UNTRIED
    if after.status != _UNAUTHORIZED:
        mixed = f" (by new connection: {after.mixed})" if after.mixed else ""
        found.wrong.append(f"the {credential} from before still gets {after.status} after rotation{mixed}")
        return _Trial.UNTRIED
    signed = credential is Credential.CERTIFICATE and rotated is not None and after.issued_under == rotated.ca_before
    if worked or (before is None and signed):
        return _Trial.KILLED
    if before is not None and before.status == _UNAUTHORIZED:
        found.proven.append(f"{credential}: refused before the rotation already (expired?), and after it")
        return _Trial.DEAD_ALREADY
    return _Trial.REFUSED
