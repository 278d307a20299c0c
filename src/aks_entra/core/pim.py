"""Privileged Identity Management for Groups: what a person or an administrator asks for, and what a policy lets them.

Sources: Graph's pages on PIM for Groups and unifiedRoleManagementPolicy; the error codes that clients have met. It must
not know Graph's documents: the adapter writes and reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from aks_entra.core.durations import iso, stamp
from aks_entra.core.preflight import Finding, Severity

LEAST: Final = timedelta(minutes=5)
MOST_ACTIVATION: Final = timedelta(hours=24)
TOKEN_LIFE: Final = timedelta(minutes=90)
"""How long an access token of a person may live on after its membership ended (60 to 90 minutes)."""
MACHINE_TOKEN_LIFE: Final = timedelta(hours=24)
"""The same for managed and workload identities."""


class Kind(StrEnum):
    """Eligible members activate their membership; active ones have it."""

    ELIGIBLE = "eligible"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPolicy:
    """What an activation of a group's membership takes. `approvers` are object ids of users and groups."""

    max_duration: timedelta = timedelta(hours=8)
    justification: bool = True
    ticket: bool = False
    mfa: bool = False
    approvers: tuple[str, ...] = ()
    approver_groups: tuple[str, ...] = ()

    @property
    def approval(self) -> bool:
        """Whether somebody has to approve."""
        return bool(self.approvers or self.approver_groups)

    @property
    def enabled_rules(self) -> tuple[str, ...]:
        """Graph's words of the enablement rule."""
        wanted = {"MultiFactorAuthentication": self.mfa, "Justification": self.justification, "Ticketing": self.ticket}
        return tuple(word for word, on in wanted.items() if on)

    def differences(self, there: ActivationPolicy) -> tuple[str, ...]:
        """What a policy that is there has otherwise, in words; empty when nothing is to be written."""
        found = []
        if self.max_duration != there.max_duration:
            found.append(f"maximum duration {iso(there.max_duration)} instead of {iso(self.max_duration)}")
        if set(self.enabled_rules) != set(there.enabled_rules):
            asked, has = ", ".join(self.enabled_rules) or "nothing", ", ".join(there.enabled_rules) or "nothing"
            found.append(f"asks for {has} instead of {asked}")
        if {*self.approvers, *self.approver_groups} != {*there.approvers, *there.approver_groups}:
            found.append("other approvers")
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One eligible or active membership as it stands: schedule id, times, and whether the person activated it."""

    id: str
    kind: Kind
    group_id: str
    principal_id: str
    start: datetime | None = None
    end: datetime | None = None
    activated: bool = False

    @property
    def begins(self) -> str:
        """Its beginning for people."""
        return stamp(self.start) if self.start else "always"

    @property
    def ends(self) -> str:
        """Its end for people."""
        return stamp(self.end) if self.end else "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipAsk:
    """A membership to be given by an administrator, or activated by the person (`activate`)."""

    kind: Kind
    group_id: str
    principal_id: str
    start: datetime
    duration: timedelta | None  # None: for good
    justification: str
    ticket: str = ""
    ticket_system: str = ""
    activate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipRequest:
    """What became of a request: Graph's id and status word (`Provisioned`, `PendingApproval`, …)."""

    id: str
    status: str
    group_id: str = ""
    principal_id: str = ""
    approval_id: str = ""
    schedule_id: str = ""
    justification: str = ""
    action: str = ""
    created: str = ""

    @property
    def waits(self) -> bool:
        """Whether somebody has to decide first."""
        return self.status in {"PendingApproval", "PendingAdminDecision"}

    @property
    def failed(self) -> bool:
        """Whether it led to nothing."""
        return self.status in {"Denied", "Failed", "Canceled", "Revoked", "TimedOut", "AdminDenied", "Invalid"}


def check_activation(ask: MembershipAsk, policy: ActivationPolicy | None, *, app_only: bool) -> tuple[Finding, ...]:
    """What PIM would refuse, said before anybody is asked. `app_only`: the caller is no person."""
    return tuple(_activation(ask, policy, app_only=app_only))


def _activation(ask: MembershipAsk, policy: ActivationPolicy | None, *, app_only: bool) -> Iterator[Finding]:
    if ask.activate and app_only:
        yield _blocker("P001", "only a person activates a membership, not an application", "az login as the person")
    if ask.duration is not None and ask.duration < LEAST:
        yield _blocker("P002", "less than 5 minutes (ActiveDurationTooShort)", "ask for 5m at least")
    if policy is None or not ask.activate:
        return
    if ask.duration is None or ask.duration > policy.max_duration:
        most = iso(policy.max_duration)
        yield _blocker(
            "P003", f"longer than the group's policy allows: {most} (ExpirationRule)", f"ask for {most} at most"
        )
    if policy.justification and not ask.justification.strip():
        yield _blocker("P004", "the group's policy wants a justification (JustificationRule)", "add --reason …")
    if policy.ticket and not ask.ticket:
        yield _blocker("P005", "the group's policy wants a ticket (TicketingRule)", "add --ticket …")
    if policy.mfa:
        remedy = "az login with it, if PIM refuses with MfaRule"
        yield Finding(
            rule="P101", severity=Severity.INFO, message="the group's policy wants a second factor", remedy=remedy
        )
    if policy.approval:
        yield Finding(rule="P102", severity=Severity.INFO, message="somebody has to approve before it is active")


def check_policy(policy: ActivationPolicy, owners: tuple[str, ...]) -> tuple[Finding, ...]:
    """What speaks against a policy of a group."""
    found = []
    if not LEAST <= policy.max_duration <= MOST_ACTIVATION:
        found.append(
            _blocker("P010", "an activation lasts 5 minutes at least and 24 hours at most", "--max-duration 8h")
        )
    if not owners:
        found.append(_blocker("P011", "a group without an owner cannot be changed by anybody later", "add --owner …"))
    if policy.max_duration < timedelta(hours=1):
        message = "tokens live 60 to 75 minutes: an activation of less than an hour lasts as long as its token"
        found.append(Finding(rule="P110", severity=Severity.WARNING, message=message))
    return tuple(found)


def tokens_until(end: datetime, *, machine: bool) -> datetime:
    """Until when a token that was handed out just before the end may still be accepted."""
    return end + (MACHINE_TOKEN_LIFE if machine else TOKEN_LIFE)


def _blocker(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.BLOCKER, message=message, remedy=remedy)
