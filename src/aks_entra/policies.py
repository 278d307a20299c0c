"""A Conditional Access policy through the ports: refuse it or write it report-only, enforce it, look at sign-ins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aks_entra.access_ports import AccessPorts
from aks_entra.core.conditional_access import (
    ENFORCED,
    REPORT_ONLY,
    Control,
    Runner,
    SeenSignIn,
    StandingPolicy,
    Surroundings,
    WantedPolicy,
    is_excluded,
    preflight,
)
from aks_entra.core.grants import Principal
from aks_entra.core.preflight import Finding, Severity
from aks_entra.errors import Refused, TryLater
from aks_entra.granting import Patience, until
from aks_entra.ports import Caller, Ports
from aks_entra.settings import Settings

LOOK_BACK: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """A policy as a person names it: groups, break-glass accounts by name or id."""

    name: str
    groups: tuple[str, ...]
    controls: tuple[Control, ...]
    break_glass: tuple[str, ...] = ()
    operator: str = "AND"
    trusted_locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of it: id, state, whether it was written now, and the sign-ins that it met (None: unreadable)."""

    id: str
    state: str
    changed: bool
    findings: tuple[Finding, ...]
    sign_ins: tuple[SeenSignIn, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRules:
    """Conditional Access on top of the ports."""

    ports: Ports
    access: AccessPorts
    patience: Patience

    async def prepared(self, request: PolicyRequest, *, enforce: bool) -> tuple[WantedPolicy, Surroundings]:
        """Names resolved and everything read around it. Raises Refused with every blocker."""
        groups = tuple([await self.access.people.principal(one) for one in request.groups])
        glass: list[Principal] = []
        missing: list[str] = []
        for one in request.break_glass:
            try:
                found = await self.access.people.principal(one)
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
        standing = named[0] if len(named) == 1 else None
        around = Surroundings(
            runners=await self._runners(wanted),
            break_glass_missing=tuple(missing),
            standing=standing,
            namesakes=len(named),
            sign_ins=await self.sign_ins(standing) if standing else None,
        )
        findings = preflight(wanted, around, enforce=enforce)
        blockers = [one for one in findings if one.severity is Severity.BLOCKER]
        if blockers:
            remedy = "; ".join(dict.fromkeys(one.remedy for one in blockers if one.remedy))
            raise Refused("; ".join(f"{one.rule} {one.message}" for one in blockers), remedy=remedy)
        return wanted, around

    async def apply(self, request: PolicyRequest, *, enforce: bool) -> Applied:
        """Create it report-only, or enforce the one that ran report-only; a policy that is as asked is left alone."""
        wanted, around = await self.prepared(request, enforce=enforce)
        findings = preflight(wanted, around, enforce=enforce)
        state = ENFORCED if enforce else REPORT_ONLY
        standing, changed = around.standing, True
        if standing is None:
            await self.access.policies.ensure_server_application()
            standing = await until(
                self.ports.clock, self.patience, lambda: self.access.policies.create(wanted), "the policy be created"
            )
        elif standing.state == state and not standing.differences(wanted):
            changed = False
        else:
            await self.access.policies.update(standing.id, wanted, state=state)

        async def stands() -> StandingPolicy:
            named = await self.access.policies.named(wanted.name)
            if len(named) != 1 or named[0].state != state or named[0].differences(wanted):
                raise TryLater(
                    "the policy does not show the change yet", after=self.patience.every, code="NotReplicated"
                )
            return named[0]

        seen = await until(self.ports.clock, self.patience, stands, "the policy be seen")
        return Applied(
            id=seen.id, state=seen.state, changed=changed, findings=findings, sign_ins=await self.sign_ins(seen)
        )

    async def seen_applied(self, policy: StandingPolicy, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """The same once the log shows a sign-in that the policy met. Diverged when none is seen in time."""

        async def applied() -> tuple[SeenSignIn, ...]:
            found = await self.sign_ins(policy, user_id)
            if found is None:
                raise Refused(
                    "the sign-in log may not be read", remedy="grant AuditLog.Read.All and Directory.Read.All"
                )
            if not any(one.applied for one in found):
                raise TryLater(f"no sign-in met the policy {policy.name!r} yet", after=self.patience.every)
            return found

        return await until(self.ports.clock, self.patience, applied, "the log show a sign-in that the policy met")

    async def sign_ins(self, policy: StandingPolicy, user_id: str = "") -> tuple[SeenSignIn, ...] | None:
        """What it said to the sign-ins of the last two weeks; None where the log may not be read."""
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
        found = (await self.access.people.principals((caller.object_id,))).get(caller.object_id.casefold())
        user = found is None or found.kind == "User"
        try:
            groups = await self.access.people.groups_of(caller.object_id) if user else frozenset()
        except Refused:
            return Runner(id=caller.object_id, name=caller.name, user=user, covered=None, excluded=None)
        covered = bool(groups & {one.casefold() for one in wanted.groups})
        excluded = is_excluded(wanted, caller.object_id, groups)
        return Runner(id=caller.object_id, name=caller.name, user=user, covered=covered, excluded=excluded)


def sign_in_rules(ports: Ports, access: AccessPorts, settings: Settings) -> SignInRules:
    """The engine with its patience as it was set."""
    patience = Patience(limit=settings.grant_limit, every=settings.look_interval)
    return SignInRules(ports=ports, access=access, patience=patience)
