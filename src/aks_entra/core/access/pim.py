"""Privileged Identity Management (PIM) for Groups: memberships, requests and activation policies.

Sources: Graph's pages on PIM for Groups and unifiedRoleManagementPolicy, and the error codes that clients have met.
This module must not know Graph's documents: the adapter writes and reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from aks_entra.core.durations import NEVER, iso, stamp
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
    """What an activation of a membership requires. `approvers` are object ids of users."""

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
        """The values of Graph's enablement rule."""
        wanted = {"MultiFactorAuthentication": self.mfa, "Justification": self.justification, "Ticketing": self.ticket}
        return tuple(word for word, on in wanted.items() if on)

    def differences(self, there: ActivationPolicy) -> tuple[str, ...]:
        """Return how an existing policy differs from this one, in words. Returns nothing if no write is needed."""
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
    """One eligible or active membership: schedule id, times, and whether the person activated it."""

    id: str
    kind: Kind
    group_id: str
    principal_id: str
    start: datetime | None = None
    end: datetime | None = None
    activated: bool = False

    @property
    def begins(self) -> str:
        """When it begins, in words."""
        return stamp(self.start) if self.start else "always"

    @property
    def ends(self) -> str:
        """When it ends, in words."""
        return stamp(self.end) if self.end else NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipAsk:
    """A request: an administrator assigns a membership, or the person activates one (`activate`)."""

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
    """A request as PIM shows it: Graph's id and status (`Provisioned`, `PendingApproval`, …)."""

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
        """Whether a person has to decide first."""
        return self.status in {"PendingApproval", "PendingAdminDecision"}

    @property
    def failed(self) -> bool:
        """Whether it ended without a membership."""
        return self.status in {"Denied", "Failed", "Canceled", "Revoked", "TimedOut", "AdminDenied", "Invalid"}


def check_activation(ask: MembershipAsk, policy: ActivationPolicy | None, *, app_only: bool) -> tuple[Finding, ...]:
    """Return what PIM would refuse, before the request is sent. `app_only`: the caller is not a person."""
    return tuple(_activation(ask, policy, app_only=app_only))


def _activation(ask: MembershipAsk, policy: ActivationPolicy | None, *, app_only: bool) -> Iterator[Finding]:
    if ask.activate and app_only:
        yield _blocker("P001", "only a person can activate a membership, not an application", "az login as the person")
    if ask.duration is not None and ask.duration < LEAST:
        yield _blocker(
            "P002", "the membership would last less than 5 minutes (ActiveDurationTooShort)", "ask for at least 5m"
        )
    if policy is None or not ask.activate:
        return
    if ask.duration is None or ask.duration > policy.max_duration:
        most = iso(policy.max_duration)
        yield _blocker("P003", f"the group's policy allows at most {most} (ExpirationRule)", f"ask for {most} or less")
    if policy.justification and not ask.justification.strip():
        yield _blocker("P004", "the group's policy requires a justification (JustificationRule)", "add --reason …")
    if policy.ticket and not ask.ticket:
        yield _blocker("P005", "the group's policy requires a ticket (TicketingRule)", "add --ticket …")
    if policy.mfa:
        remedy = "if PIM refuses with MfaRule, run az login with a second factor"
        yield Finding(
            rule="P101", severity=Severity.INFO, message="the group's policy requires a second factor", remedy=remedy
        )
    if policy.approval:
        yield Finding(
            rule="P102", severity=Severity.INFO, message="another person has to approve it before it is active"
        )


def check_policy(policy: ActivationPolicy, owners: tuple[str, ...]) -> tuple[Finding, ...]:
    """Return what is wrong with the policy of a group."""
    found = []
    if not LEAST <= policy.max_duration <= MOST_ACTIVATION:
        found.append(_blocker("P010", "an activation must last between 5 minutes and 24 hours", "--max-duration 8h"))
    if not owners:
        found.append(_blocker("P011", "the group has no owner: nobody could change it later", "add --owner …"))
    if policy.max_duration < timedelta(hours=1):
        message = "tokens live 60 to 75 minutes: an activation of less than an hour lasts as long as its token"
        found.append(Finding(rule="P110", severity=Severity.WARNING, message=message))
    return tuple(found)


def tokens_until(end: datetime, *, machine: bool) -> datetime:
    """Return until when a token that was issued just before the end may still be accepted."""
    return end + (MACHINE_TOKEN_LIFE if machine else TOKEN_LIFE)


def _blocker(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.BLOCKER, message=message, remedy=remedy)
