"""Each piece of evidence as one line: when, what, details, and the service's correlation id. Never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from aks_entra.core.deny_policy import ENFORCED_WITHIN
from aks_entra.core.evidence.hook_runs import HookRan
from aks_entra.core.evidence.observations import (
    ActivityLogRead,
    AdminCredentialRefused,
    AuthoritySeen,
    CertificatesRotated,
    ClusterCreated,
    CredentialTried,
    DenyPolicySeen,
    DoorsSeen,
    EntraSet,
    Evidence,
    Failure,
    GroupEnsured,
    GroupSeen,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    NodesSeen,
    SignInProven,
    StateSeen,
    TokenHeld,
    WorkloadsSeen,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One piece of evidence for people. `at` is ISO 8601 in UTC."""

    at: str
    what: str
    detail: str
    correlation_id: str = ""

    @property
    def text(self) -> str:
        """Everything but the time."""
        trace = f" [correlation id {self.correlation_id}]" if self.correlation_id else ""
        return f"{self.what}: {self.detail}{trace}"


def line_of(one: Evidence) -> Line:  # noqa: C901, PLR0911, PLR0912 - a table: one line for each kind of evidence
    """Return a piece of evidence in words. Fingerprints of CAs are not shortened."""
    match one:
        case GroupEnsured():
            name = f"{one.display_name} ({one.group_id}), uniqueName {one.unique_name}"
            return _line(one, "admin group created" if one.created else "admin group exists", name)
        case GroupSeen():
            drifted = "; ".join((*one.differs, *one.unknown)) or "as declared"
            return Line(at=one.at, what="admin group", detail=f"{one.display_name} ({one.group}): {drifted}")
        case EntraSet():
            rbac = "on" if one.azure_rbac else "off"
            detail = f"admin groups {_list(one.admin_group_ids)}; tenant {one.tenant_id}; Azure RBAC {rbac}"
            return _line(one, f"Microsoft Entra ID set {_how(changed=one.changed)}", detail)
        case SignInProven():
            token = f"; token issued at {one.issued_at}" if one.issued_at else ""
            allowed = "everything allowed" if one.everything else "NOT everything allowed"
            right = one.by or "a right that does not count"
            detail = f"{one.username} by {right}; {allowed}; {one.moment}; CA {one.ca}{token}"
            return Line(at=one.at, what="signed in at the API server", detail=detail)
        case AdminCredentialRefused():
            return _line(one, "Azure refused admin credentials", f"HTTP {one.status} {one.code}: {one.message}")
        case CredentialTried():
            answer = f"HTTP {one.status}" if one.status else "no answer"
            issued = f"; issued under CA {one.issued_under}" if one.issued_under else ""
            extra = f"; {one.detail}" if one.detail else ""
            tries = f" on {one.connections} new connections" if one.connections > 1 else ""
            tries += f" ({one.mixed})" if one.mixed else ""
            detail = f"{answer}{tries}; {one.moment}; trusting CA {one.ca}{issued}{extra}"
            return Line(at=one.at, what=f"{one.credential} tried alone", detail=detail)
        case AuthoritySeen():
            return Line(at=one.at, what="CA certificate kept", detail=f"CA {one.ca}")
        case TokenHeld():
            return Line(at=one.at, what="salted hash of the static token kept", detail=f"came with CA {one.ca}")
        case LocalAccountsDisabled():
            return _line(one, f"local accounts disabled {_how(changed=one.changed)}", "disableLocalAccounts: true")
        case LocalAccountsEnabled():
            said = (
                f"; until {one.until}" if one.until else "",
                f"; {one.reason}" if one.reason else "",
                f"; ticket {one.ticket}" if one.ticket else "",
                f"; by {one.opener}" if one.opener else "",
            )
            return _line(
                one, f"local accounts opened {_how(changed=one.changed)}", f"disableLocalAccounts: false{''.join(said)}"
            )
        case CertificatesRotated():
            attached = "; a rotation that was already running was followed" if one.attached else ""
            detail = f"CA {one.ca_before} → {one.ca_after} (valid from {one.ca_not_before}){attached}"
            return _line(one, f"certificates rotated {_how(changed=one.changed)}", detail)
        case NodesSeen():
            missing = f"; missing: {_list(one.missing)}" if one.missing else ""
            return Line(
                at=one.at, what="nodes", detail=f"{one.ready} Ready, {one.fewest} to {one.most} wanted{missing}"
            )
        case WorkloadsSeen():
            worse = f"; less available: {_list(one.worse)}" if one.worse else "; none less available"
            since = f" with the baseline of {one.baseline_at}" if one.baseline_at else ""
            return Line(at=one.at, what="workloads", detail=f"{one.compared} compared{since}{worse}")
        case StateSeen():
            accounts = "on" if one.local_accounts else "off"
            detail = (
                f"identity {one.identity}; local accounts {accounts}; admin groups {_list(one.admin_group_ids)}; "
                f"Azure RBAC {'on' if one.azure_rbac else 'off'}; {one.provisioning_state}; "
                f"CA {one.ca} (valid from {one.ca_not_before})"
            )
            return Line(at=one.at, what="state", detail=detail)
        case ActivityLogRead():
            return Line(at=one.at, what="activity log", detail=_log(one))
        case ClusterCreated():
            return _line(one, f"cluster created {_how(changed=one.changed)}", "local accounts off from its first day")
        case DoorsSeen():
            doors = (f"{door.kind} {door.state} ({'; '.join(door.because)})" for door in one.doors)
            return Line(at=one.at, what="ways in", detail="; ".join(doors))
        case DenyPolicySeen():
            return _policy(one)
        case HookRan():
            detail = f": {one.detail}" if one.detail else ""
            return Line(at=one.at, what=f"after the rotation, {one.hook}", detail=f"{one.status}{detail}; CA {one.ca}")
        case Failure():
            where = f"at {one.step}: " if one.step else ""
            code = f" ({one.code})" if one.code else ""
            return _line(one, one.error, f"{where}{one.message}{code}")
        case _:
            assert_never(one)


def _line(
    one: GroupEnsured
    | EntraSet
    | AdminCredentialRefused
    | LocalAccountsDisabled
    | LocalAccountsEnabled
    | CertificatesRotated
    | ClusterCreated
    | DenyPolicySeen
    | Failure,
    what: str,
    detail: str,
) -> Line:
    return Line(at=one.at, what=what.strip(), detail=detail, correlation_id=one.correlation_id)


def _policy(one: DenyPolicySeen) -> Line:
    if not one.assignment:
        return _line(one, "deny policy", one.problem)
    how = "Azure refuses to turn local accounts on" if one.enforced else ENFORCED_WITHIN
    made = "assigned" if one.changed else "there already" if one.ours else "of others"
    return _line(one, f"deny policy {made}", f"{one.assignment}; {how}")


def _log(one: ActivityLogRead) -> str:
    if not one.until:
        return f"not read: {one.problem}"
    handed_out = "; ".join(
        f"{it.at} {'handed out to' if it.ended else 'asked for by'} {it.to}" for it in one.handed_out
    )
    return f"{one.since} to {one.until}; admin credentials: {handed_out or 'none handed out'}"


def _how(*, changed: bool) -> str:
    return "" if changed else "(already done)"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
