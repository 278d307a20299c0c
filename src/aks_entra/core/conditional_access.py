"""A Conditional Access policy for the AKS server application: what it asks of whom, and what forbids it.

Sources: AKS' page on Conditional Access, Entra's page on planning it (exclude emergency accounts from every policy,
report-only first). It must not know Graph's documents.
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
    """What a policy may ask for, in Graph's words."""

    MFA = "mfa"
    COMPLIANT_DEVICE = "compliantDevice"
    DOMAIN_JOINED = "domainJoinedDevice"
    BLOCK = "block"


DEVICES = frozenset({Control.COMPLIANT_DEVICE, Control.DOMAIN_JOINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPolicy:
    """A policy as it is asked for. Ids are object ids; `trusted_locations` are named locations that it leaves alone."""

    name: str
    groups: tuple[str, ...]
    controls: tuple[Control, ...]
    break_glass_users: tuple[str, ...] = ()
    break_glass_groups: tuple[str, ...] = ()
    operator: str = "AND"
    trusted_locations: tuple[str, ...] = ()

    @property
    def break_glass(self) -> tuple[str, ...]:
        """Who is excluded always."""
        return (*self.break_glass_users, *self.break_glass_groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingPolicy:
    """A policy as it stands in the directory. `plain`: it holds nothing that this project does not write."""

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
        """What it has otherwise than asked, in words."""
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
    """An identity that must not be locked out: the automation, the prover. `covered`: is it in the policy's groups."""

    id: str
    name: str
    user: bool
    covered: bool | None
    excluded: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSignIn:
    """A sign-in at the AKS server application, and what the policy said to it. `result` is Graph's word."""

    at: str
    user: str
    result: str
    client: str = ""
    error: int = 0

    @property
    def applied(self) -> bool:
        """Whether the policy met it at all."""
        return self.result not in {"", "notApplied", "reportOnlyNotApplied", "notEnabled", "unknownFutureValue"}

    @property
    def would_fail(self) -> bool:
        """Whether enforcing keeps, or would have kept, them out."""
        return self.result in {"failure", "reportOnlyFailure"}

    @property
    def would_interrupt(self) -> bool:
        """Whether enforcing would have asked them to do something first: to enrol a second factor, or to show it."""
        return self.result == "reportOnlyInterrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was read around a policy. `break_glass_missing`: those that are not there or disabled; None: unreadable."""

    runners: tuple[Runner, ...]
    break_glass_missing: tuple[str, ...] | None
    standing: StandingPolicy | None = None
    namesakes: int = 0
    sign_ins: tuple[SeenSignIn, ...] | None = None


def preflight(wanted: WantedPolicy, around: Surroundings, *, enforce: bool) -> tuple[Finding, ...]:
    """What forbids the policy, and what whoever decides should know."""
    return (*_break_glass(wanted, around), *_reach(wanted), *_runners(around), *_order(wanted, around, enforce=enforce))


def _break_glass(wanted: WantedPolicy, around: Surroundings) -> Iterator[Finding]:
    if not wanted.break_glass:
        remedy = "name at least one: --break-glass UPN|GROUP"
        yield _blocker(
            "C001", "no break-glass account is excluded: a mistake in the policy would lock everybody out", remedy
        )
    if around.break_glass_missing is None:
        message = "whether the break-glass accounts exist and are enabled is not known"
        yield Finding(rule="C102", severity=Severity.UNKNOWN, message=message, remedy="grant User.Read.All")
    for missing in around.break_glass_missing or ():
        yield _blocker("C002", f"break-glass account {missing} does not exist or is disabled", "name one that works")


def _reach(wanted: WantedPolicy) -> Iterator[Finding]:
    if not wanted.groups:
        yield _blocker("C003", "the policy names no group", "--group NAME|ID: the cluster's admin group")
    if not wanted.controls:
        yield _blocker("C004", "the policy asks for nothing", "--require mfa or --require compliantDevice")
    if Control.BLOCK in wanted.controls and not wanted.trusted_locations:
        message = "the policy blocks the whole group everywhere: nobody of it gets into a cluster any more"
        yield _blocker("C005", message, "--trusted-location: block only elsewhere, or ask for mfa instead")
    if DEVICES & set(wanted.controls):
        message = "a device code carries no device: `--login devicecode` fails for the group once it is enforced"
        yield _warning("C103", message, "aks-entra kubeconfig --mode interactive (or azurecli)")


def _runners(around: Surroundings) -> Iterator[Finding]:
    for runner in around.runners:
        if not runner.user:
            continue  # a policy for users does not reach service principals and managed identities
        if runner.covered and not runner.excluded:
            message = f"{runner.name or runner.id} runs, or proves, the automation, and the policy would keep it out"
            yield _blocker(
                "C006", message, "run as a service principal or managed identity, or exclude it: --break-glass"
            )
        elif runner.covered is None or (runner.covered and runner.excluded is None):
            message = f"whether the policy reaches {runner.name or runner.id}, who runs the automation, is not known"
            yield _blocker("C007", message, "grant GroupMember.Read.All, or run as a service principal")


def _order(wanted: WantedPolicy, around: Surroundings, *, enforce: bool) -> Iterator[Finding]:
    standing = around.standing
    if around.namesakes > 1:
        yield _blocker(
            "C008", f"{around.namesakes} policies are called {wanted.name!r}", "rename, or delete all but one"
        )
    if not enforce:
        if standing is not None and standing.state == ENFORCED:
            message = f"policy {wanted.name!r} is enforced already; reporting only would open it"
            yield _blocker("C011", message, "add --enforce to keep it enforced")
        return
    if standing is None:
        yield _blocker(
            "C009", "the policy never ran report-only", "apply it without --enforce first, and read its sign-ins"
        )
        return
    if changed := standing.differences(wanted):
        message = f"the policy that ran report-only is another one ({'; '.join(changed)})"
        yield _blocker("C010", message, "apply the new one without --enforce first")
    if standing.state == ENFORCED:
        return
    if around.sign_ins is None:
        yield _warning(
            "C104", "the sign-in log cannot be read: nobody knows whom it would have kept out", "AuditLog.Read.All"
        )
    elif not any(one.applied for one in around.sign_ins):
        message = "no sign-in met the policy while it ran report-only: nothing is known of its effect"
        yield _warning("C105", message, "have somebody of the group sign in (kubectl get nodes), and look again")
    yield from _kept_out(around.sign_ins or ())


def _kept_out(sign_ins: tuple[SeenSignIn, ...]) -> Iterator[Finding]:
    for user in sorted({one.user for one in sign_ins if one.would_fail}):
        yield _warning("C106", f"{user} would have been kept out", "see that they can meet it, before it is enforced")
    for user in sorted({one.user for one in sign_ins if one.would_interrupt}):
        message = f"{user} would have had to do something first: whoever has no second factor is kept out (AADSTS50079)"
        yield _warning("C107", message, "see that they have enrolled, before it is enforced")


def _set(ids: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one.casefold() for one in ids)


def is_excluded(wanted: WantedPolicy, object_id: str, groups: frozenset[str]) -> bool:
    """Whether an identity is left alone by the policy."""
    return any(same_id(one, object_id) for one in wanted.break_glass_users) or bool(
        _set(wanted.break_glass_groups) & frozenset(one.casefold() for one in groups)
    )


def _blocker(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.BLOCKER, message=message, remedy=remedy)


def _warning(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.WARNING, message=message, remedy=remedy)
