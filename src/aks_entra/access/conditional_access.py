"""Check a Conditional Access policy, write it report-only, enforce it, and read its sign-ins, through the ports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aks_entra.access.grants import Patience, until
from aks_entra.core.access.conditional_access import (
    ENFORCED,
    REPORT_ONLY,
    Control,
    ExistingPolicy,
    PolicyFacts,
    Runner,
    SeenSignIn,
    WantedPolicy,
    is_excluded,
    preflight,
)
from aks_entra.core.access.principals import Principal
from aks_entra.core.preflight import Finding, Severity
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Caller, Ports
from aks_entra.settings import Settings

LOOK_BACK: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """A policy that a person asks for. Groups and break-glass accounts are names or ids."""

    name: str
    groups: tuple[str, ...]
    controls: tuple[Control, ...]
    break_glass: tuple[str, ...] = ()
    operator: str = "AND"
    trusted_locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The result: id, state, whether the policy was written now, and its sign-ins (None: unreadable)."""

    id: str
    state: str
    changed: bool
    findings: tuple[Finding, ...]
    sign_ins: tuple[SeenSignIn, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWriter:
    """Writes and enforces Conditional Access policies."""

    ports: Ports
    access: AccessPorts
    patience: Patience

    async def prepared(self, request: PolicyRequest, *, enforce: bool) -> tuple[WantedPolicy, PolicyFacts]:
        """Resolve names and read what the rules need. Raises Refused with every blocker."""
        groups = tuple([await self.ports.directory.principal(one) for one in request.groups])
        glass: list[Principal] = []
        missing: list[str] = []
        for one in request.break_glass:
            try:
                found = await self.ports.directory.principal(one)
            except Refused as refused:
                if refused.status != 404:  # noqa: PLR2004 - HTTP
                    raise
                missing.append(one)
                continue
            if found.enabled:
                glass.append(found)
            else:
                missing.append(one)
        wanted = WantedPolicy(
            name=request.name,
            groups=tuple(one.id for one in groups),
            controls=request.controls,
            break_glass_users=tuple(one.id for one in glass if one.kind != "Group"),
            break_glass_groups=tuple(one.id for one in glass if one.kind == "Group"),
            operator=request.operator,
            trusted_locations=request.trusted_locations,
        )
        named = await self.access.policies.named(request.name)
        existing = named[0] if len(named) == 1 else None
        around = PolicyFacts(
            runners=await self._runners(wanted),
            break_glass_missing=tuple(missing),
            existing=existing,
            namesakes=len(named),
            sign_ins=await self.sign_ins(existing) if existing else None,
        )
        findings = preflight(wanted, around, enforce=enforce)
        blockers = [one for one in findings if one.severity is Severity.BLOCKER]
        if blockers:
            remedy = "; ".join(dict.fromkeys(one.remedy for one in blockers if one.remedy))
            raise Refused("; ".join(f"{one.rule} {one.message}" for one in blockers), remedy=remedy)
        return wanted, around

    async def apply(self, request: PolicyRequest, *, enforce: bool) -> Applied:
        """Create the policy report-only, or enforce the one that ran report-only. Write only a difference."""
        wanted, around = await self.prepared(request, enforce=enforce)
        findings = preflight(wanted, around, enforce=enforce)
        state = ENFORCED if enforce else REPORT_ONLY
        existing, changed = around.existing, True
        if existing is None:
            await self.access.policies.ensure_server_application()
            existing = await until(
                self.ports.clock,
                self.patience,
                lambda: self.access.policies.create(wanted),
                "the policy could not be created",
            )
        elif existing.state == state and not existing.differences(wanted):
            changed = False
        else:
            await self.access.policies.update(existing.id, wanted, state=state)

        async def written() -> ExistingPolicy:
            named = await self.access.policies.named(wanted.name)
            if len(named) != 1 or named[0].state != state or named[0].differences(wanted):
                raise TryLater(
                    "the policy does not show the change yet", after=self.patience.poll_interval, code="NotReplicated"
                )
            return named[0]

        seen = await until(self.ports.clock, self.patience, written, "the policy was not visible")
        return Applied(
            id=seen.id, state=seen.state, changed=changed, findings=findings, sign_ins=await self.sign_ins(seen)
        )

    async def seen_applied(self, policy: ExistingPolicy, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """Wait for a sign-in to which the policy applied. Raises Diverged if the log shows none in time."""

        async def applied() -> tuple[SeenSignIn, ...]:
            found = await self.sign_ins(policy, user_id)
            if found is None:
                raise Refused("the sign-in log cannot be read", remedy="grant AuditLog.Read.All and Directory.Read.All")
            if not any(one.applied for one in found):
                raise TryLater(
                    f"the policy {policy.name!r} applied to no sign-in yet", after=self.patience.poll_interval
                )
            return found

        return await until(
            self.ports.clock, self.patience, applied, "the log showed no sign-in to which the policy applied"
        )

    async def sign_ins(self, policy: ExistingPolicy, user_id: str = "") -> tuple[SeenSignIn, ...] | None:
        """Return its results for the sign-ins of the last two weeks. None if the log cannot be read."""
        since = self.ports.clock.now() - LOOK_BACK
        try:
            return await self.access.policies.sign_ins(policy.id, since, user_id)
        except Refused as refused:
            if refused.status != 403:  # noqa: PLR2004 - HTTP
                raise
            return None

    async def _runners(self, wanted: WantedPolicy) -> tuple[Runner, ...]:
        callers = {one.object_id: one for one in (await self.ports.callers.runner(), await self.ports.callers.prover())}
        return tuple([await self._runner(one, wanted) for one in callers.values()])

    async def _runner(self, caller: Caller, wanted: WantedPolicy) -> Runner:
        found = (await self.ports.directory.principals((caller.object_id,))).get(caller.object_id.casefold())
        user = found is None or found.kind == "User"
        try:
            groups = await self.ports.directory.groups_of(caller.object_id) if user else frozenset()
        except Refused:
            return Runner(id=caller.object_id, name=caller.name, user=user, covered=None, excluded=None)
        covered = bool(groups & {one.casefold() for one in wanted.groups})
        excluded = is_excluded(wanted, caller.object_id, groups)
        return Runner(id=caller.object_id, name=caller.name, user=user, covered=covered, excluded=excluded)


def policy_writer(ports: Ports, access: AccessPorts, settings: Settings) -> PolicyWriter:
    """Return the writer with the timeouts of the settings."""
    patience = Patience(timeout=settings.grant_limit, poll_interval=settings.look_interval)
    return PolicyWriter(ports=ports, access=access, patience=patience)
