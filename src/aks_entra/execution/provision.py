"""Create a cluster that is closed from its first day, with resource group, admin groups and what belongs below it.

Every part is looked for before it is created. So a creation that died is taken up again by the same request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from aks_entra.core.cluster import ClusterId, Posture, is_terminal
from aks_entra.core.creation.new_cluster import ChildResource, NewCluster
from aks_entra.core.creation.preview import Course, Preview
from aks_entra.core.evidence.observations import (
    LOOKING,
    AdminCredentialRefused,
    ClusterCreated,
    Evidence,
    Failure,
    GroupEnsured,
    Moment,
    NodesSeen,
    SignInProven,
)
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.steps import Guarded
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from aks_entra.execution import admin_group
from aks_entra.execution.creation_preview import compared, existing, preview
from aks_entra.execution.operations import Watch
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.probes import sign_in as sign_in_proof
from aks_entra.probes.checks import Timeouts
from aks_entra.retry import persist

_T = TypeVar("_T")
_FORBIDDEN: Final = 403
_ELSEWHERE: Final = (
    "run it again where the API server can be reached: `work_queue` of the cluster file, or --work-queue, names the "
    "workers in its network"
)


async def provision(
    ports: Ports, watch: Watch, timeouts: Timeouts, new: NewCluster, groups: tuple[GroupTarget, ...]
) -> tuple[Evidence, ...]:
    """Create what is missing, prove it, and wait out every TryLater. `groups` are added to the groups of the request.

    A cluster that exists as requested is proven and not changed. Refused when a cluster of this name differs, or when
    the check before the first write finds a reason.
    """
    return await _Creation(ports, watch, timeouts).run(new, groups)


def refuse(found: Preview) -> None:
    """Raise Refused if a preview found a reason against the creation."""
    if found.differences:
        raise Refused(
            f"a cluster with this name exists, but differs from the request: {'; '.join(found.differences)}",
            remedy="provision changes no cluster: choose another name, change the request, or change the cluster with "
            "the tool that keeps it; `aks-entra plan` and a fleet file turn on Entra ID and close local accounts",
            code="Differs",
        )
    if found.blockers:
        first, *more = found.blockers
        others = "".join(f"; {one.message}" for one in more)
        raise Refused(f"{first.message}{others}", remedy=first.remedy, code="NotPossible")


class _Creation:
    """Provisions one cluster."""

    def __init__(self, ports: Ports, watch: Watch, timeouts: Timeouts) -> None:
        self._ports = ports
        self._watch = watch
        self._timeouts = timeouts

    async def run(self, new: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
        cluster = new.cluster
        step = "check"
        try:
            prover = await self._ports.callers.prover()
            found = await self._patiently(lambda: preview(self._ports.arm, new, groups_known=not groups))
            refuse(found)  # before a group is made
            step = "ensure-admin-group"
            ensured = [await self._group(group, prover.object_id) for group in groups]
            ids = dict.fromkeys(one.lower() for one in (*new.admin_group_ids, *(done.group_id for done in ensured)))
            new = replace(found.new, admin_group_ids=tuple(ids))
            step = "create-cluster"
            created = await self._cluster(new, found)
            for child in found.missing:
                await self._child(cluster, child)
            step = "verify-outcome"
            return (*ensured, created, *await self._proofs(new, prover.object_id))
        except AksEntraError as error:
            error.located(cluster=str(cluster), step=step)
            raise

    async def _child(self, cluster: ClusterId, child: ChildResource) -> None:
        await self._patiently(lambda: self._ports.arm.create_child(cluster, child))
        self._ports.log.say(cluster, f"{child} created")

    async def _group(self, group: GroupTarget, prover: str) -> GroupEnsured:
        """Find a group by its id, or create it under its unique name unless we created it before."""
        return (await self._patiently(lambda: admin_group.ensure(self._ports, group, prover)))[0]

    async def _cluster(self, new: NewCluster, found: Preview) -> ClusterCreated:
        """Create the cluster, or check the existing one. One that is being created as requested was never open."""
        arm, correlation_id = self._ports.arm, ""
        asked_at = checks.stamp(self._ports.clock)
        changed = found.course in {Course.CREATE, Course.WAIT} and found.state.casefold() in {"", "creating"}
        if not found.exists:
            where = (new.cluster.subscription_id, new.cluster.resource_group, new.location)
            await self._patiently(lambda: arm.ensure_resource_group(*where))
            correlation_id = await self._patiently(lambda: self._create(new))
        elif found.course is Course.REPEAT:
            correlation_id = await self._patiently(lambda: self._repeat(new))
        posture = await self._patiently(lambda: self._watch.at_rest(new.cluster))
        if posture.provisioning_state.casefold() != "succeeded":
            raise _ended(posture.provisioning_state, correlation_id=correlation_id)
        await self._as_asked(new)
        at, etag = checks.stamp(self._ports.clock), posture.etag or ""
        running = self._watch.running_until(new.cluster, "creating", asked_at=asked_at)
        return ClusterCreated(at=at, changed=changed, correlation_id=correlation_id, etag=etag, running=running)

    async def _create(self, new: NewCluster) -> str:
        """PUT once. If the response of an earlier PUT was lost, the cluster exists by now, as requested."""
        if await self._as_asked(new) is not None:
            return ""
        return await self._put(new, None)

    async def _repeat(self, new: NewCluster) -> str:
        """PUT over a creation that failed, unless it is being repeated already."""
        shown = await self._as_asked(new)
        state = str(((shown or {}).get("properties") or {}).get("provisioningState") or "")
        if not is_terminal(state) or state.casefold() == "succeeded":
            return ""
        return await self._put(new, str((shown or {}).get("eTag") or ""))

    async def _put(self, new: NewCluster, failed: str | None) -> str:
        operation = await self._ports.arm.create_cluster(new, failed=failed)
        state = await self._watch.settled(operation)
        if not state.succeeded:
            raise _ended(state.status, state.message, code=state.code, correlation_id=operation.correlation_id)
        return operation.correlation_id

    async def _as_asked(self, new: NewCluster) -> Mapping[str, Any] | None:
        """Return the cluster, or None if it does not exist. Raises Refused if other people get in than requested.

        Azure completes and spells other properties in its own way, so they are compared before the first write only.
        """
        shown = await self._patiently(lambda: existing(self._ports.arm, new.cluster))
        if shown is not None:
            refuse(Preview(new=new, state="Succeeded", differences=compared(new.closing(), shown)))
        return shown

    async def _proofs(self, new: NewCluster, prover: str) -> tuple[Evidence, ...]:
        at = checks.stamp(self._ports.clock)
        posture = await self._patiently(lambda: checks.read(self._ports, new.cluster))
        answered = checks.stamp(self._ports.clock)
        state = checks.state(at, posture, answered)
        refused = await self._within(self._timeouts.refusal, lambda: self._refusal(new.cluster))
        if (posture.private or posture.authorized_ip_ranges) and (away := await self._out_of_reach(posture)):
            return (refused, state, away)
        job = _job(new, posture, prover)
        sign_in = await self._within(self._timeouts.sign_in, lambda: self._sign_in(job, posture))
        nodes = await self._within(self._timeouts.nodes_settle, lambda: self._nodes(posture))
        return (sign_in, refused, nodes, state)

    async def _out_of_reach(self, posture: Posture) -> Failure | None:
        """Return why the API server cannot be reached from here, as a look that failed. None if it answers."""
        call = self._ports.kubernetes.handshake
        try:
            await persist(self._ports.clock, self._timeouts.look, lambda: call(posture.fqdn or ""))
        except TryLater as error:
            which = "the private API server" if posture.private else "the API server, which has authorised ranges,"
            return Failure(
                at=checks.stamp(self._ports.clock),
                error=type(error).__name__,
                step=LOOKING,
                message=f"proof needs a worker in the network: {which} does not answer here",
                remedy=_ELSEWHERE,
                code="OutOfReach",
            )
        return None

    async def _sign_in(self, job: Job, posture: Posture) -> SignInProven:
        try:
            proven = await sign_in_proof.sign_in(self._ports, job, posture, Moment.AFTER)
        except (Rejected, Refused) as error:
            if error.status != _FORBIDDEN:
                raise
            raise TryLater(
                error.message, after=self._timeouts.poll_interval, remedy=error.remedy, code=error.code
            ) from error
        if not proven.by or not proven.everything:
            raise TryLater(
                f"{proven.username} signed in, but is no administrator of the cluster",
                after=self._timeouts.poll_interval,
                remedy="make the prover a member of an admin group, or name another prover",
            )
        return proven

    async def _refusal(self, cluster: ClusterId) -> AdminCredentialRefused:
        answer = await self._ports.arm.hold_admin_credential(cluster)
        if not isinstance(answer, AdminCredentialRefused):
            self._ports.vault.forget(cluster)
            raise TryLater("Azure still hands out admin credentials", after=self._timeouts.poll_interval)
        return answer

    async def _nodes(self, posture: Posture) -> NodesSeen:
        seen = await checks.nodes(self._ports, posture)
        if seen.missing:
            raise TryLater(f"nodes are not ready: {', '.join(seen.missing)}", after=self._timeouts.poll_interval)
        return seen

    async def _within(self, limit: float, call: Callable[[], Awaitable[_T]]) -> _T:
        """Wait out TryLater until the limit, then raise Diverged."""
        try:
            return await persist(self._ports.clock, limit, call)
        except TryLater as error:
            raise Diverged(
                f"{error.message} (after {limit / 60:.0f} minutes)", remedy=error.remedy, code=error.code
            ) from error

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await persist(self._ports.clock, self._timeouts.step, call)


def _ended(status: str, message: str = "", *, code: str = "", correlation_id: str = "") -> Diverged:
    return Diverged(
        f"the cluster's creation ended {status}{f': {message}' if message else ''}",
        remedy="look at its activity log, remove the cause, and run the same request again: it repeats the creation",
        code=code,
        correlation_id=correlation_id,
    )


def _job(new: NewCluster, posture: Posture, prover: str) -> Job:
    target = Target(
        tenant_id=new.tenant_id,
        admin_groups=tuple(GroupTarget(display_name="", id=group_id) for group_id in new.admin_group_ids),
        azure_rbac=AzureRbac.ON,
    )
    plan = ClusterPlan(cluster=new.cluster, target=target, before=Guarded.of(posture), steps=())
    return Job(digest="", plan=plan, prover=Prover(object_id=prover))
