"""Gives access for a time and takes it away again: look, decide, write only a difference, look again.

A grant is proven at the API server (SubjectAccessReview with what a new token would carry), and so is its end. Whoever
dies in between leaves a grant that says when it ends, and the sweep ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from aks_entra.access_ports import AccessPorts
from aks_entra.core.access import CREDENTIAL_ACTION, OVERAGE, Token
from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.durations import stamp
from aks_entra.core.grants import (
    AZURE_ROLES,
    CLUSTER_ROLES,
    Approval,
    Ask,
    Grant,
    Keep,
    Level,
    No,
    Via,
    check,
    decide,
    due,
    refused,
    wish_of,
)
from aks_entra.core.pim import tokens_until
from aks_entra.core.preflight import Finding
from aks_entra.core.rules import HeldRole
from aks_entra.core.wishes import Wish
from aks_entra.errors import AksEntraError, Diverged, Refused, TryLater
from aks_entra.ports import Clock, ControlPlane, Ports
from aks_entra.settings import Settings

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long something is waited for, and how often it is looked at, in seconds."""

    limit: float
    every: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A grant that stands and was seen to work. `changed`: written now, not found."""

    grant: Grant
    changed: bool
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A grant that is gone. `tokens` says who may still hold one that was handed out before, and until when."""

    grant: Grant
    removed: bool  # by us, now; else it was gone already
    late: float  # seconds after its end
    proof: str
    still_allowed: str = ""  # what else allows the same, if anything does
    tokens: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granter:
    """The engine of grants on top of the ports."""

    ports: Ports
    access: AccessPorts
    patience: Patience

    async def preflight(self, ask: Ask) -> tuple[Finding, ...]:
        """What speaks against a request, and what whoever decides should know. Raises Refused with every blocker."""
        posture = await self.ports.arm.cluster(ask.cluster)
        findings = check(ask, posture, self.ports.clock.now())
        if blockers := refused(findings):
            remedy = "; ".join(dict.fromkeys(one.remedy for one in blockers if one.remedy))
            raise Refused(
                "; ".join(f"{one.rule} {one.message}" for one in blockers), remedy=remedy, cluster=str(ask.cluster)
            )
        return findings

    async def give(self, ask: Ask, approval: Approval | None) -> Given:
        """Carry out an approved request. Refused when not approved, or over; Diverged when it does not work."""
        posture = await self.ports.arm.cluster(ask.cluster)
        existing = await self._existing(ask, posture)
        decision = decide(ask, approval, existing, self.ports.clock.now())
        match decision:
            case No():
                raise Refused(decision.why, remedy=decision.remedy, cluster=str(ask.cluster), code="NotApproved")
            case Keep():
                grant, changed = decision.existing, False
            case _:
                grant = await self._until(lambda: self._write(ask, posture, decision.text), "the grant be written")
                changed = True
        return Given(grant=grant, changed=changed, proof=await self._prove(ask, posture, grant))

    async def end(self, grant: Grant) -> Ended:
        """Take a grant away and see that it is gone, whether it was there or not."""
        cluster = ClusterId.parse(grant.cluster_key)
        posture = await self.ports.arm.cluster(cluster)
        if grant.via is Via.AZURE:
            removed = await self._until(lambda: self.access.roles.remove(grant), "the role assignment go")
        else:
            removed = await self._until(lambda: self.access.bindings.unbind(posture, grant), "the binding go")
        gone = await self._until(lambda: self._gone(grant, posture), "the end be seen")
        now = self.ports.clock.now()
        allowed = await self._still_allowed(grant, posture)
        late = max((now - grant.until).total_seconds(), 0.0) if grant.until else 0.0
        return Ended(
            grant=grant,
            removed=removed,
            late=late,
            proof=f"{gone} at {stamp(now)}",
            still_allowed=allowed,
            tokens=tokens_left(grant, now),
        )

    async def sweep(self, subscriptions: tuple[str, ...], clusters: tuple[Posture, ...]) -> tuple[Ended, ...]:
        """End every grant of ours that is over: role assignments of subscriptions, bindings of clusters.

        What cannot be ended now is in the answer with its error; the next sweep tries again.
        """
        now = self.ports.clock.now()
        found = []
        for grant in due(await self.standing(subscriptions, clusters), now):
            try:
                found.append(await self.end(grant))
            except AksEntraError as error:
                found.append(Ended(grant=grant, removed=False, late=0.0, proof="", error=str(error)))
        return tuple(found)

    async def standing(self, subscriptions: tuple[str, ...], clusters: tuple[Posture, ...]) -> tuple[Grant, ...]:
        """Every grant of ours there is. A cluster whose bindings cannot be read is left out when it is stopped only."""
        found = [grant for one in subscriptions for grant in await self.access.roles.grants(one)]
        for posture in clusters:
            if posture.identity is Identity.MANAGED and not posture.stopped:
                found += await self.access.bindings.grants(posture)
        return tuple(found)

    async def _existing(self, ask: Ask, posture: Posture) -> Grant | None:
        if ask.via is Via.AZURE:
            mine = (one for one in await self.access.roles.grants(ask.cluster.subscription_id) if _same(one, ask))
        else:
            mine = (one for one in await self.access.bindings.grants(posture) if _same(one, ask))
        return max(mine, key=_length, default=None)

    async def _write(self, ask: Ask, posture: Posture, text: str) -> Grant:
        if ask.end is not None and ask.end <= self.ports.clock.now():
            raise Refused(f"the request ended at {stamp(ask.end)} while it was waited for", code="Over")
        if ask.via is Via.AZURE:
            return await self.access.roles.assign(ask, text)
        return await self.access.bindings.bind(posture, ask, text)

    async def _prove(self, ask: Ask, posture: Posture, grant: Grant) -> str:
        if ask.level is Level.CLUSTER_USER:
            held = await self._until(lambda: self._sees(ask), "the role assignment be seen")
            return f"role {held.role.name!r} stands at {held.scope}: the kubeconfig may be fetched"
        token = await new_token(self.ports, self.access, grant.principal_id)

        async def allowed() -> str:
            answer = await self.access.bindings.would_allow(posture, token, ask.wish)
            if not answer.allowed:
                raise TryLater(
                    f"the API server does not allow {ask.wish} yet: {answer.reason}", after=self.patience.every
                )
            return f"the API server allows {ask.wish} to a new token: {answer.reason or 'allowed'}"

        return await self._until(allowed, "the grant work")

    async def _sees(self, ask: Ask) -> HeldRole:
        for one in await self.access.roles.held(ask.cluster, ask.principal.id):
            if one.reaches(ask.scope) and one.role.allows(CREDENTIAL_ACTION):
                return one
        raise TryLater("the role assignment is not seen yet", after=self.patience.every, code="NotReplicated")

    async def _gone(self, grant: Grant, posture: Posture) -> str:
        if grant.via is Via.AZURE:
            left = await self.access.roles.grants(posture.cluster.subscription_id)
        else:
            left = await self.access.bindings.grants(posture)
        if any(one.id.casefold() == grant.id.casefold() for one in left):
            raise TryLater("the grant is still seen", after=self.patience.every, code="NotReplicated")
        return "the grant is gone"

    async def _still_allowed(self, grant: Grant, posture: Posture) -> str:
        """What a new token is told by the API server now: empty when it is refused, else what allows it."""
        wish = _wish_of(grant)
        if wish is None or posture.stopped:
            return ""
        token = await new_token(self.ports, self.access, grant.principal_id)
        began = self.ports.clock.now()
        answer = await self.access.bindings.would_allow(posture, token, wish)
        while answer.allowed and (self.ports.clock.now() - began).total_seconds() < self.patience.limit:
            await self.ports.clock.sleep(self.patience.every)  # Azure RBAC takes up to five minutes to forget
            answer = await self.access.bindings.would_allow(posture, token, wish)
        return (answer.reason or "something else allows it") if answer.allowed else ""

    async def _until(self, attempt: Callable[[], Awaitable[_T]], what: str) -> _T:
        return await until(self.ports.clock, self.patience, attempt, what)


def granter_of(ports: Ports, access: AccessPorts, settings: Settings) -> Granter:
    """The engine with its patience as it was set."""
    patience = Patience(limit=settings.grant_limit, every=settings.look_interval)
    return Granter(ports=ports, access=access, patience=patience)


async def cluster_named(arm: ControlPlane, text: str, subscription: str) -> ClusterId:
    """The cluster that is named by its ARM id, or as `resource-group/name` of a subscription. Refused otherwise."""
    if text.startswith("/"):
        try:
            return ClusterId.parse(text)
        except ValueError as error:
            raise Refused(str(error), remedy="`az aks show --query id -o tsv` prints it") from None
    group, slash, name = text.partition("/")
    if not slash or not group or not name or "/" in name:
        raise Refused(f"{text!r} names no cluster", remedy="write resource-group/name, or the cluster's ARM id")
    if not subscription:
        raise Refused("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    return ClusterId(subscription_id=await arm.subscription_id(subscription), resource_group=group, name=name)


async def ask_for(
    ports: Ports,
    access: AccessPorts,
    cluster: ClusterId,
    what: tuple[str, Level, str, Via | None],
    length: timedelta | None,
    reason: str,
    *,
    requested_by: str = "",
) -> Ask:
    """A request with names resolved. `what`: to whom, how much, in which namespace, through what (None: by cluster).

    Its end counts from now. Refused when somebody or something is not there.
    """
    to, level, namespace, via = what
    posture = await ports.arm.cluster(cluster)
    if via is None:
        via = Via.AZURE if posture.azure_rbac or level is Level.CLUSTER_USER else Via.KUBERNETES
    caller = await ports.callers.runner()
    end = None if length is None else (ports.clock.now() + length).replace(microsecond=0)
    return Ask(
        cluster=cluster,
        principal=await access.people.principal(to),
        level=level,
        via=via,
        end=end,
        reason=reason,
        namespace=namespace,
        requested_by=requested_by or caller.name or caller.object_id,
    )


async def new_token(ports: Ports, access: AccessPorts, principal_id: str) -> Token:
    """What a token made out now to somebody would carry."""
    found = (await access.people.principals((principal_id,))).get(principal_id.casefold())
    caller = await ports.callers.runner()
    if found is None:
        return Token(
            username=principal_id, object_id=principal_id, tenant_id=caller.tenant_id, groups=(), overage=False
        )
    groups = await access.people.groups_of(found.id)
    if found.kind == "Group":
        groups |= {found.id}
    return Token(
        username=found.kubernetes_name,
        object_id=found.id,
        tenant_id=caller.tenant_id,
        groups=tuple(sorted(groups)),
        overage=len(groups) > OVERAGE,
    )


async def until(clock: Clock, patience: Patience, attempt: Callable[[], Awaitable[_T]], what: str) -> _T:
    """Try again on TryLater until it works. Diverged when it has not by then: written, but reality disagrees."""
    began = clock.now()
    while True:
        try:
            return await attempt()
        except TryLater as error:
            if (clock.now() - began).total_seconds() + error.after > patience.limit:
                raise Diverged(
                    f"it was waited {patience.limit:.0f} s that {what}: {error.message}", code=error.code
                ) from error
            await clock.sleep(error.after)


def tokens_left(grant: Grant, ended: datetime) -> str:
    """What tokens that were handed out before the end are still worth.

    The API server asks Azure RBAC, or its bindings, anew for each request: an old token loses what the grant gave. It
    names the person (and their groups) until it expires, so everything else that allows them goes on.
    """
    until_ = stamp(tokens_until(ended, machine=grant.principal_kind == "ServicePrincipal"))
    return (
        f"tokens of {grant.principal_id} handed out before live until {until_} at most; they no longer carry this grant"
    )


_PROVEN: Final[dict[str, Level]] = {
    **{AZURE_ROLES[level][1]: level for level in Level},
    **{role: level for level, role in CLUSTER_ROLES.items()},
}


def _wish_of(grant: Grant) -> Wish | None:
    """Something that the grant allowed; None for the kubeconfig, which no API server knows of."""
    level = _PROVEN.get(grant.role)
    return None if level is None or level is Level.CLUSTER_USER else wish_of(level, grant.namespace)


def _same(grant: Grant, ask: Ask) -> bool:
    return (
        grant.cluster_key == ask.cluster.key
        and grant.via is ask.via
        and grant.principal_id.casefold() == ask.principal.id.casefold()
        and grant.role == ask.role
        and grant.namespace.casefold() == ask.namespace.casefold()
    )


def _length(grant: Grant) -> float:
    return float("inf") if grant.until is None else grant.until.timestamp()
