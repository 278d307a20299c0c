"""PIM for Groups through the ports: groups, policies, memberships, activations, and the proof of their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from aks_entra.access.grants import Patience, until
from aks_entra.core.access.pim import (
    ActivationPolicy,
    Kind,
    Membership,
    MembershipAsk,
    MembershipRequest,
    check_activation,
    check_policy,
    tokens_until,
)
from aks_entra.core.access.principals import Principal
from aks_entra.core.durations import stamp
from aks_entra.core.preflight import Finding, Severity
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Ports
from aks_entra.settings import Settings

GOOD_READS: Final = 3
"""Reads in a row that must show a change before it counts."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class JustInTime:
    """Assigns, activates and ends memberships."""

    ports: Ports
    access: AccessPorts
    patience: Patience

    async def policy_for(
        self, max_duration: timedelta, words: frozenset[str], approvers: tuple[str, ...]
    ) -> ActivationPolicy:
        """Return a policy with resolved approvers."""
        people = [await self.ports.directory.principal(one) for one in approvers]
        return ActivationPolicy(
            max_duration=max_duration,
            justification="justification" in words,
            ticket="ticket" in words,
            mfa="mfa" in words,
            approvers=tuple(one.id for one in people if one.kind != "Group"),
            approver_groups=tuple(one.id for one in people if one.kind == "Group"),
        )

    async def create_group(
        self, name: str, unique_name: str, description: str, owners: tuple[str, ...], policy: ActivationPolicy
    ) -> tuple[str, bool]:
        """Create a role-assignable group and set its policy. Returns its object id, and whether it was created now."""
        people = [await self.ports.directory.principal(one) for one in owners]
        owner_ids = tuple(one.id for one in people)
        _refuse(check_policy(policy, owner_ids))
        found = await self._until(
            lambda: self.access.pim.create_group(name, unique_name, description, owner_ids),
            "the group could not be created",
        )
        await self.set_policy(found[0], policy)
        return found

    async def set_policy(self, group_id: str, policy: ActivationPolicy) -> None:
        """Write a policy, and wait until it is visible."""
        _refuse(check_policy(policy, ("owners are not checked here",)))
        await self._until(lambda: self.access.pim.set_policy(group_id, policy), "the policy could not be written")

        async def written() -> None:
            there = await self.access.pim.policy(group_id)
            if there is None or policy.differences(there):
                raise TryLater("the policy does not show the change yet", after=self.patience.poll_interval)

        await self._until(written, "the policy was not visible")

    async def assign(
        self,
        group: str,
        to: str,
        kind: Kind,
        length: timedelta,
        reason: str,
        ticket: str = "",
        *,
        start: datetime | None = None,
    ) -> MembershipRequest:
        """Assign an eligible or active membership with an end, and wait until it is visible.

        It begins now, or at `start`. A later beginning is only requested, because nothing is visible before.
        """
        group_id = (await self.ports.directory.principal(group)).id
        who = await self.ports.directory.principal(to)
        ask = MembershipAsk(
            kind=kind,
            group_id=group_id,
            principal_id=who.id,
            start=start or self.ports.clock.now(),
            duration=length,
            justification=reason,
            ticket=ticket,
        )
        _refuse(check_activation(ask, None, app_only=False))
        return await self._asked(ask)

    async def activate(self, group: str, length: timedelta, reason: str, ticket: str = "") -> MembershipRequest:
        """Activate the caller's membership, within the group's policy."""
        group_id = (await self.ports.directory.principal(group)).id
        caller = await self.ports.callers.runner()
        me = (await self.ports.directory.principals((caller.object_id,))).get(caller.object_id.casefold())
        ask = MembershipAsk(
            kind=Kind.ACTIVE,
            group_id=group_id,
            principal_id=caller.object_id,
            start=self.ports.clock.now(),
            duration=length,
            justification=reason,
            ticket=ticket,
            activate=True,
        )
        try:
            policy = await self.access.pim.policy(group_id)
        except Refused:
            policy = None  # a person may activate without the right to read the rules: PIM checks them
        _refuse(check_activation(ask, policy, app_only=me is not None and me.kind == "ServicePrincipal"))
        return await self._asked(ask)

    async def decided(self, made: MembershipRequest) -> MembershipRequest:
        """Wait until somebody decided on an activation and it is visible. Raises Rejected if it is denied."""
        while made.waits:
            await self.ports.clock.sleep(self.patience.poll_interval)
            made = await self.access.pim.request(made.id)
        if made.failed:
            raise Rejected(f"the request {made.id} ended {made.status}", code=made.status)
        await self._until(
            lambda: self._seen(Kind.ACTIVE, made.group_id, made.principal_id), "the membership was not visible"
        )
        return made

    async def end(self, group: str, of: str, kind: Kind, reason: str) -> str:
        """End a membership, prove that it is gone, and say until when tokens from before may be accepted."""
        group_id = (await self.ports.directory.principal(group)).id
        caller = await self.ports.callers.runner()
        who = await self.ports.directory.principal(of or caller.object_id)
        there = await self.access.pim.memberships(group_id=group_id)
        activated = any(one.activated for one in there if one.kind is kind and one.principal_id == who.id)
        own = (
            activated and who.id.casefold() == caller.object_id.casefold()
        )  # only an administrator can end an assigned membership
        await self._until(
            lambda: self.access.pim.end(kind, group_id, who.id, reason, own=own), "the membership could not be ended"
        )
        return await self.prove_gone(group_id, who, kind)

    async def prove_gone(self, group_id: str, who: Principal, kind: Kind) -> str:
        """Wait until neither PIM nor the group shows the membership. Then no new token contains it."""

        async def gone() -> None:
            there = await self.access.pim.memberships(group_id=group_id)
            if any(one.kind is kind and one.principal_id == who.id for one in there):
                raise TryLater("PIM still shows the membership", after=self.patience.poll_interval)
            if kind is Kind.ACTIVE and group_id in await self.ports.directory.groups_of(who.id):
                raise TryLater("the group still shows the member", after=self.patience.poll_interval)

        await self._until(gone, "the membership was still visible")
        now = self.ports.clock.now()
        if kind is Kind.ELIGIBLE:
            return f"{who.called} is not eligible any more, seen at {stamp(now)}"
        until_ = stamp(tokens_until(now, machine=who.kind == "ServicePrincipal"))
        return (
            f"{who.called} is no member any more, seen at {stamp(now)}: a new token does not contain the group; "
            f"a token from before may be accepted until {until_}"
        )

    async def members(self, group: str) -> tuple[tuple[Membership, Principal | None], ...]:
        """Return eligible and active members, with their names if they can be read."""
        group_id = (await self.ports.directory.principal(group)).id
        found = await self.access.pim.memberships(group_id=group_id)
        names = await self.ports.directory.principals(tuple(one.principal_id for one in found))
        return tuple((one, names.get(one.principal_id)) for one in found)

    async def _asked(self, ask: MembershipAsk) -> MembershipRequest:
        made = await self._until(lambda: self.access.pim.ask(ask), "PIM did not accept the request")
        if made.failed:
            raise Rejected(f"PIM answered {made.status} to the request {made.id}", code=made.status)
        if not made.waits and ask.start <= self.ports.clock.now():
            await self._until(
                lambda: self._seen(ask.kind, ask.group_id, ask.principal_id), "the membership was not visible"
            )
        return made

    async def _seen(self, kind: Kind, group_id: str, principal_id: str) -> None:
        """Check several reads in a row: PIM's, and for an active member also the directory's, as tokens use it."""
        for read in range(GOOD_READS):
            if read:
                await self.ports.clock.sleep(self.patience.poll_interval)
            there = await self.access.pim.memberships(principal_id=principal_id)
            seen = any(one.kind is kind and one.group_id.casefold() == group_id.casefold() for one in there)
            if seen and kind is Kind.ACTIVE:
                groups = await self.ports.directory.groups_of(principal_id)
                seen = group_id.casefold() in groups
            if not seen:
                raise TryLater(
                    "the membership is not visible everywhere yet",
                    after=self.patience.poll_interval,
                    code="NotReplicated",
                )

    async def _until(self, attempt: Callable[[], Awaitable[_T]], what: str) -> _T:
        return await until(self.ports.clock, self.patience, attempt, what)


def just_in_time(ports: Ports, access: AccessPorts, settings: Settings) -> JustInTime:
    """Return the engine with the timeouts of the settings."""
    patience = Patience(timeout=settings.grant_limit, poll_interval=settings.look_interval)
    return JustInTime(ports=ports, access=access, patience=patience)


def _refuse(findings: tuple[Finding, ...]) -> None:
    blockers = [one for one in findings if one.severity is Severity.BLOCKER]
    if blockers:
        remedy = "; ".join(dict.fromkeys(one.remedy for one in blockers if one.remedy))
        raise Refused("; ".join(f"{one.rule} {one.message}" for one in blockers), remedy=remedy)
