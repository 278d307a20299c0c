"""A Conditional Access policy for the AKS server application, and the rules that a policy must meet.

Sources: AKS' page on Conditional Access, and Entra's page on planning it (exclude emergency accounts from every policy,
report-only first). This module must not know Graph's documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from aks_entra.core.cluster import same_id
from aks_entra.core.preflight import Finding, Severity

REPORT_ONLY = "enabledForReportingButNotEnforced"
ENFORCED = "enabled"


class Control(StrEnum):
    """What a policy may require, with Graph's values."""

    MFA = "mfa"
    COMPLIANT_DEVICE = "compliantDevice"
    DOMAIN_JOINED = "domainJoinedDevice"
    BLOCK = "block"


DEVICES = frozenset({Control.COMPLIANT_DEVICE, Control.DOMAIN_JOINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPolicy:
    """A requested policy. Ids are object ids. Sign-ins from `trusted_locations` (named locations) are exempt."""

    name: str
    groups: tuple[str, ...]
    controls: tuple[Control, ...]
    break_glass_users: tuple[str, ...] = ()
    break_glass_groups: tuple[str, ...] = ()
    operator: str = "AND"
    trusted_locations: tuple[str, ...] = ()

    @property
    def break_glass(self) -> tuple[str, ...]:
        """The users and groups that the policy always excludes."""
        return (*self.break_glass_users, *self.break_glass_groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingPolicy:
    """A policy that exists in the directory."""

    id: str
    name: str
    state: str
    groups: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    excluded_users: tuple[str, ...] = ()
    excluded_groups: tuple[str, ...] = ()
    operator: str = "AND"
    trusted_locations: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()

    def differences(self, wanted: WantedPolicy) -> tuple[str, ...]:
        """Return how it differs from the request, in words."""
        pairs = (
            ("groups", self.groups, wanted.groups),
            ("controls", self.controls, tuple(one.value for one in wanted.controls)),
            ("excluded users", self.excluded_users, wanted.break_glass_users),
            ("excluded groups", self.excluded_groups, wanted.break_glass_groups),
            ("trusted locations", self.trusted_locations, wanted.trusted_locations),
        )
        found = [f"{what}: {', '.join(sorted(a)) or 'none'}" for what, a, b in pairs if _set(a) != _set(b)]
        return tuple(found if self.operator == wanted.operator else [*found, f"operator: {self.operator}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """An identity that must not be locked out: the automation or the prover.

    `covered` says whether it is in the policy's groups, and `excluded` whether the policy excludes it. None: unknown.
    """

    id: str
    name: str
    user: bool
    covered: bool | None
    excluded: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSignIn:
    """A sign-in at the AKS server application, and the policy's result for it (`result` is Graph's value)."""

    at: str
    user: str
    result: str
    client: str = ""
    error: int = 0

    @property
    def applied(self) -> bool:
        """Whether the policy applied to it."""
        return self.result not in {"", "notApplied", "reportOnlyNotApplied", "notEnabled", "unknownFutureValue"}

    @property
    def would_fail(self) -> bool:
        """Whether the enforced policy blocks the user, or would have."""
        return self.result in {"failure", "reportOnlyFailure"}

    @property
    def would_interrupt(self) -> bool:
        """Whether the enforced policy would have asked the user for something first, such as a second factor."""
        return self.result == "reportOnlyInterrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """What was read for the rules. `break_glass_missing`: accounts that are disabled or absent; None if unreadable."""

    runners: tuple[Runner, ...]
    break_glass_missing: tuple[str, ...] | None
    existing: ExistingPolicy | None = None
    namesakes: int = 0
    sign_ins: tuple[SeenSignIn, ...] | None = None


def preflight(wanted: WantedPolicy, around: PolicyFacts, *, enforce: bool) -> tuple[Finding, ...]:
    """Return what forbids the policy, and what the person who decides should know."""
    return (*_break_glass(wanted, around), *_reach(wanted), *_runners(around), *_order(wanted, around, enforce=enforce))


def _break_glass(wanted: WantedPolicy, around: PolicyFacts) -> Iterator[Finding]:
    if not wanted.break_glass:
        remedy = "name at least one: --break-glass UPN|GROUP"
        yield _blocker(
            "C001", "no break-glass account is excluded: a mistake in the policy would lock everybody out", remedy
        )
    if around.break_glass_missing is None:
        message = "it is not known whether the break-glass accounts exist and are enabled"
        yield Finding(rule="C102", severity=Severity.UNKNOWN, message=message, remedy="grant User.Read.All")
    for missing in around.break_glass_missing or ():
        yield _blocker("C002", f"break-glass account {missing} does not exist or is disabled", "name one that works")


def _reach(wanted: WantedPolicy) -> Iterator[Finding]:
    if not wanted.groups:
        yield _blocker("C003", "the policy names no group", "--group NAME|ID: the cluster's admin group")
    if not wanted.controls:
        yield _blocker("C004", "the policy requires nothing", "--require mfa or --require compliantDevice")
    if Control.BLOCK in wanted.controls and not wanted.trusted_locations:
        message = "the policy blocks the whole group everywhere: none of its members could get into a cluster"
        yield _blocker("C005", message, "name a trusted location (--trusted-location), or require mfa instead")
    if DEVICES & set(wanted.controls):
        message = "a device code proves no device: once this is enforced, `--login devicecode` fails for the group"
        yield _warning("C103", message, "aks-entra kubeconfig --login interactive (or azurecli)")


def _runners(around: PolicyFacts) -> Iterator[Finding]:
    for runner in around.runners:
        if not runner.user:
            continue  # a policy for users does not reach service principals and managed identities
        if runner.covered and not runner.excluded:
            message = f"{runner.name or runner.id} runs the automation or proves sign-in, and the policy would block it"
            yield _blocker(
                "C006", message, "run as a service principal or managed identity, or exclude it: --break-glass"
            )
        elif runner.covered is None or (runner.covered and runner.excluded is None):
            message = (
                f"it is not known whether the policy applies to {runner.name or runner.id}, which runs the automation"
            )
            yield _blocker("C007", message, "grant GroupMember.Read.All, or run as a service principal")


def _order(wanted: WantedPolicy, around: PolicyFacts, *, enforce: bool) -> Iterator[Finding]:
    existing = around.existing
    if around.namesakes > 1:
        yield _blocker(
            "C008", f"{around.namesakes} policies are called {wanted.name!r}", "rename, or delete all but one"
        )
    if not enforce:
        if existing is not None and existing.state == ENFORCED:
            message = f"policy {wanted.name!r} is enforced already: report-only would open it"
            yield _blocker("C011", message, "add --enforce to keep it enforced")
        return
    if existing is None:
        yield _blocker(
            "C009", "the policy never ran report-only", "apply it without --enforce first, and check the sign-ins"
        )
        return
    if changed := existing.differences(wanted):
        message = f"the policy that ran report-only differs ({'; '.join(changed)})"
        yield _blocker("C010", message, "apply the new one without --enforce first")
    if existing.state == ENFORCED:
        return
    if around.sign_ins is None:
        yield _warning(
            "C104",
            "the sign-in log cannot be read: it is not known whom the policy would block",
            "grant AuditLog.Read.All",
        )
    elif not any(one.applied for one in around.sign_ins):
        message = "the policy applied to no sign-in while it ran report-only: its effect is not known"
        yield _warning("C105", message, "ask a member of the group to sign in (kubectl get nodes), then look again")
    yield from _kept_out(around.sign_ins or ())


def _kept_out(sign_ins: tuple[SeenSignIn, ...]) -> Iterator[Finding]:
    for user in sorted({one.user for one in sign_ins if one.would_fail}):
        yield _warning(
            "C106", f"the policy would have blocked {user}", "before you enforce it, make sure that they can meet it"
        )
    for user in sorted({one.user for one in sign_ins if one.would_interrupt}):
        message = f"the policy would have interrupted {user}: without a second factor they are blocked (AADSTS50079)"
        yield _warning("C107", message, "before you enforce it, make sure that they have enrolled one")


def _set(ids: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one.casefold() for one in ids)


def is_excluded(wanted: WantedPolicy, object_id: str, groups: frozenset[str]) -> bool:
    """Whether the policy excludes an identity."""
    return any(same_id(one, object_id) for one in wanted.break_glass_users) or bool(
        _set(wanted.break_glass_groups) & frozenset(one.casefold() for one in groups)
    )


def _blocker(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.BLOCKER, message=message, remedy=remedy)


def _warning(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.WARNING, message=message, remedy=remedy)
