"""Grant access for a time, and end it: read, decide, write only a difference, read again.

The API server proves a grant and its end (SubjectAccessReview with the content of a new token). If a run dies, the
grant says when it ends, and the sweep ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from aks_entra.core.access.explanation import CREDENTIAL_ACTION, OVERAGE, Token
from aks_entra.core.access.grant_rules import check, refused
from aks_entra.core.access.grants import (
    AZURE_ROLES,
    CLUSTER_ROLES,
    Approval,
    Ask,
    Grant,
    Keep,
    Level,
    Refuse,
    Via,
    attributes_of,
    decide,
)
from aks_entra.core.access.pim import tokens_until
from aks_entra.core.access.rbac import RoleAssignment
from aks_entra.core.access.resource_access import ResourceAttributes
from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.durations import stamp
from aks_entra.core.preflight import Finding
from aks_entra.errors import AksEntraError, Diverged, Refused, TryLater
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Clock, ControlPlane, Ports
from aks_entra.settings import Settings
from aks_entra.typed_text import one_line

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a change, and how often to look, in seconds."""

    timeout: float
    poll_interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A grant that was seen to work. `changed`: it was written now, and did not exist before."""

    grant: Grant
    changed: bool
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a grant. `tokens` says who may still hold a token from before, and until when."""

    grant: Grant
    removed: bool  # by us, now; False: it was gone already
    late: float  # seconds after its end
    proof: str
    still_allowed: str = ""  # what else allows the same, if anything does
    tokens: str = ""
    error: str = ""
    extended: str = ""  # the later end that another approval gave it; it was not ended now


@dataclass(frozen=True, slots=True, kw_only=True)
class Granter:
    """Gives and ends grants."""

    ports: Ports
    access: AccessPorts
    patience: Patience

    async def preflight(self, ask: Ask) -> tuple[Finding, ...]:
        """Return what the person who decides on a request should know. Raises Refused with every blocker."""
        posture = await self.ports.arm.cluster(ask.cluster)
        findings = check(ask, posture, self.ports.clock.now())
        if blockers := refused(findings):
            remedy = "; ".join(dict.fromkeys(one.remedy for one in blockers if one.remedy))
            raise Refused(
                "; ".join(f"{one.rule} {one.message}" for one in blockers), remedy=remedy, cluster=str(ask.cluster)
            )
        return findings

    async def give(self, ask: Ask, approval: Approval | None) -> Given:
        """Carry out an approved request.

        Raises:
            Refused: the request is not approved, or is over.
            Diverged: the grant does not work in time.
        """
        posture = await self.ports.arm.cluster(ask.cluster)
        existing = await self._existing(ask, posture)
        decision = decide(ask, approval, existing, self.ports.clock.now())
        match decision:
            case Refuse():
                raise Refused(decision.why, remedy=decision.remedy, cluster=str(ask.cluster), code="NotApproved")
            case Keep():
                grant, changed = decision.existing, False
            case _:
                grant = await self._until(
                    lambda: self._write(ask, posture, decision.text), "the grant could not be written"
                )
                changed = True
        return Given(grant=grant, changed=changed, proof=await self._prove(ask, posture, grant))

    async def end(self, grant: Grant) -> Ended:
        """Remove a grant, and check that it is gone, even if it did not exist.

        It is removed before anything else is read. If its end cannot be proven, `error` says so. Raises Refused if it
        is not a grant of ours.
        """
        cluster = ClusterId.parse(grant.cluster_key)
        if grant.foreign:
            raise Refused(f"{grant.id} is not a grant of ours", remedy="find out who made it", code="NotOurs")
        if grant.via is Via.AZURE:
            now = await self._until(lambda: self._as_it_is_now(grant), "the role assignment could not be read")
            if now is not None and _length(now) > _length(grant):
                return Ended(grant=grant, removed=False, late=0.0, proof="", extended=now.ends)
            removed = now is not None and await self._until(
                lambda: self.access.roles.remove(grant), "the role assignment could not be removed"
            )
        else:
            posture = await self.ports.arm.cluster(cluster)
            removed = await self._until(
                lambda: self.access.bindings.unbind(posture, grant), "the binding could not be removed"
            )
        try:
            return await self._seen_gone(grant, cluster, removed=removed)
        except AksEntraError as error:
            done = "the grant was removed" if removed else "the grant was gone already"
            return Ended(
                grant=grant, removed=removed, late=0.0, proof="", error=f"{done}, but this could not be proven: {error}"
            )

    async def active(self, subscriptions: tuple[str, ...], clusters: tuple[Posture, ...]) -> tuple[Grant, ...]:
        """Return every grant of ours. Raises the error of a cluster whose bindings cannot be read."""
        found = [grant for one in subscriptions for grant in await self.access.roles.grants(one)]
        for posture in clusters:
            found += await self.bound(posture)
        return tuple(one for one in found if not one.foreign)

    async def bound(self, posture: Posture) -> tuple[Grant, ...]:
        """Return the grants that are bindings of one cluster. A stopped cluster, or one without Entra ID, has none."""
        if posture.identity is not Identity.MANAGED or posture.stopped:
            return ()
        return await self.access.bindings.grants(posture)

    async def _as_it_is_now(self, grant: Grant) -> Grant | None:
        """Return the role assignment with the grant's id, or None. Raises Refused if it is not ours any more."""
        for one in await self.access.roles.grants(ClusterId.parse(grant.cluster_key).subscription_id):
            if one.id.casefold() == grant.id.casefold():
                if one.foreign:
                    raise Refused(
                        f"{grant.id} is not a grant of ours any more", remedy="find out who made it", code="NotOurs"
                    )
                return one
        return None

    async def _seen_gone(self, grant: Grant, cluster: ClusterId, *, removed: bool) -> Ended:
        posture = await self.ports.arm.cluster(cluster)
        gone = await self._until(lambda: self._gone(grant, posture), "the end was not visible")
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

    async def _existing(self, ask: Ask, posture: Posture) -> Grant | None:
        if ask.via is Via.AZURE:
            there = await self.access.roles.grants(ask.cluster.subscription_id)
        else:
            there = await self.access.bindings.grants(posture)
        mine = (one for one in there if not one.foreign and _same(one, ask))
        return max(mine, key=_length, default=None)

    async def _write(self, ask: Ask, posture: Posture, text: str) -> Grant:
        if ask.end is not None and ask.end <= self.ports.clock.now():
            raise Refused(f"the request ended at {stamp(ask.end)} while the write was retried", code="Over")
        if ask.via is Via.AZURE:
            return await self.access.roles.assign(ask, text)
        return await self.access.bindings.bind(posture, ask, text)

    async def _prove(self, ask: Ask, posture: Posture, grant: Grant) -> str:
        if ask.level is Level.CLUSTER_USER:
            held = await self._until(lambda: self._sees(ask), "the role assignment was not visible")
            return f"role {held.role.name!r} is assigned at {held.scope}: the kubeconfig may be fetched"
        token = await new_token(self.ports, grant.principal_id)

        async def allowed() -> str:
            answer = await self.access.bindings.would_allow(posture, token, ask.attributes)
            if not answer.allowed:
                raise TryLater(
                    f"the API server does not allow {ask.attributes} yet: {answer.reason}",
                    after=self.patience.poll_interval,
                )
            return f"the API server allows {ask.attributes} to a new token: {answer.reason or 'allowed'}"

        return await self._until(allowed, "the grant did not work")

    async def _sees(self, ask: Ask) -> RoleAssignment:
        for one in await self.access.roles.held(ask.cluster, ask.principal.id):
            if one.reaches(ask.scope) and one.role.allows(CREDENTIAL_ACTION):
                return one
        raise TryLater(
            "the role assignment is not visible yet", after=self.patience.poll_interval, code="NotReplicated"
        )

    async def _gone(self, grant: Grant, posture: Posture) -> str:
        if grant.via is Via.AZURE:
            left = await self.access.roles.grants(posture.cluster.subscription_id)
        else:
            left = await self.access.bindings.grants(posture)
        if any(one.id.casefold() == grant.id.casefold() for one in left):
            raise TryLater("the grant is still visible", after=self.patience.poll_interval, code="NotReplicated")
        return "the grant is gone"

    async def _still_allowed(self, grant: Grant, posture: Posture) -> str:
        """Return what still allows the access to a new token. Empty if the API server refuses it."""
        wanted = _attributes_of(grant)
        if wanted is None or posture.stopped:
            return ""
        token = await new_token(self.ports, grant.principal_id)
        began = self.ports.clock.now()
        answer = await self.access.bindings.would_allow(posture, token, wanted)
        while answer.allowed and (self.ports.clock.now() - began).total_seconds() < self.patience.timeout:
            await self.ports.clock.sleep(self.patience.poll_interval)  # Azure RBAC takes up to five minutes to forget
            answer = await self.access.bindings.would_allow(posture, token, wanted)
        return (answer.reason or "something else allows it") if answer.allowed else ""

    async def _until(self, attempt: Callable[[], Awaitable[_T]], what: str) -> _T:
        return await until(self.ports.clock, self.patience, attempt, what)


def granter_of(ports: Ports, access: AccessPorts, settings: Settings) -> Granter:
    """Return the granter with the timeouts of the settings."""
    patience = Patience(timeout=settings.grant_limit, poll_interval=settings.look_interval)
    return Granter(ports=ports, access=access, patience=patience)


async def cluster_named(arm: ControlPlane, text: str, subscription: str) -> ClusterId:
    """Find a cluster by its ARM id, or by `resource-group/name` and subscription. Raises Refused for other texts."""
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
    cluster: ClusterId,
    what: tuple[str, Level, str, Via | None],
    length: timedelta | None,
    reason: str,
    *,
    requested_by: str = "",
) -> Ask:
    """Make a request with resolved names. `what`: principal, level, namespace, and RBAC (None: that of the cluster).

    Its end counts from now. Raises Refused if the cluster or the principal does not exist.
    """
    to, level, namespace, via = what
    posture = await ports.arm.cluster(cluster)
    if via is None:
        via = Via.AZURE if posture.azure_rbac or level is Level.CLUSTER_USER else Via.KUBERNETES
    caller = await ports.callers.runner()
    end = None if length is None else (ports.clock.now() + length).replace(microsecond=0)
    return Ask(
        cluster=cluster,
        principal=await ports.directory.principal(to),
        level=level,
        via=via,
        end=end,
        reason=one_line("reason", reason),
        namespace=namespace,
        requested_by=requested_by or caller.name or caller.object_id,
        claimed=bool(requested_by),
    )


async def new_token(ports: Ports, principal_id: str) -> Token:
    """Return what a token that is issued now would contain."""
    found = (await ports.directory.principals((principal_id,))).get(principal_id.casefold())
    caller = await ports.callers.runner()
    if found is None:
        return Token(
            username=principal_id, object_id=principal_id, tenant_id=caller.tenant_id, groups=(), overage=False
        )
    groups = await ports.directory.groups_of(found.id)
    if found.kind == "Group":
        groups |= {found.id}
    return Token(
        username=found.kubernetes_name,
        object_id=found.id,
        tenant_id=caller.tenant_id,
        groups=tuple(sorted(groups)),
        overage=len(groups) > OVERAGE,
    )


async def until(clock: Clock, patience: Patience, attempt: Callable[[], Awaitable[_T]], problem: str) -> _T:
    """Try again on TryLater. After the timeout, raise Diverged: `problem` says what did not happen."""
    began = clock.now()
    while True:
        try:
            return await attempt()
        except TryLater as error:
            if (clock.now() - began).total_seconds() + error.after > patience.timeout:
                raise Diverged(f"{problem} after {patience.timeout:.0f} s: {error.message}", code=error.code) from error
            await clock.sleep(error.after)


def tokens_left(grant: Grant, ended: datetime) -> str:
    """Say what tokens from before the end still allow.

    The API server checks Azure RBAC, or its bindings, for each request: an old token loses what the grant gave. It
    names the person and their groups until it expires, so all other access of theirs continues.
    """
    until_ = stamp(tokens_until(ended, machine=grant.principal_kind == "ServicePrincipal"))
    return (
        f"tokens of {grant.principal_id} from before are valid until {until_} at most; "
        "they do not give this access any more"
    )


_PROVEN: Final[dict[str, Level]] = {
    **{AZURE_ROLES[level][1]: level for level in Level},
    **{role: level for level, role in CLUSTER_ROLES.items()},
}


def _attributes_of(grant: Grant) -> ResourceAttributes | None:
    """Return a request that the grant allowed. None for the kubeconfig, because no API server decides on it."""
    level = _PROVEN.get(grant.role)
    return None if level is None or level is Level.CLUSTER_USER else attributes_of(level, grant.namespace)


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
