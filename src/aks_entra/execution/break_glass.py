"""Open local accounts for a stated time, and close them again once sign-in is proven. Tags hold the expiry.

One write opens local accounts and sets the tags, and one write closes them and removes the tags. So the cluster always
shows what is left to do, even if a process dies at any moment. Without a proof of sign-in, accounts stay open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.deny_policy import NOT_OURS, how_to_exempt
from aks_entra.core.evidence.break_glass import CLOSED, Opening, opening_on
from aks_entra.core.evidence.observations import (
    AdminCredentialRefused,
    DenyPolicySeen,
    Evidence,
    LocalAccountsDisabled,
)
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.steps import DisableLocalAccounts, Guarded, ProveSignIn, Step
from aks_entra.core.target import Target
from aks_entra.core.verdict.break_glass import judge_opening
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.errors import AksEntraError, Refused, Rejected
from aks_entra.execution import preconditions, write_guards
from aks_entra.execution.executor import Executor
from aks_entra.execution.operations import Watch
from aks_entra.execution.reopening import past_policy
from aks_entra.ports.migration import KubeconfigSink, Ports
from aks_entra.ports.operations import Operation
from aks_entra.probes import checks, deny_policy
from aks_entra.probes.checks import Timeouts
from aks_entra.probes.deadlines import Deadlines
from aks_entra.retry import persist

_STEP: Final = "break-glass"
_NOT_THERE: Final = frozenset({"ResourceNotFound", "ResourceGroupNotFound"})


class BreakGlass:
    """Opens and closes any number of clusters with the executor of a session."""

    def __init__(self, ports: Ports, watch: Watch, executor: Executor, timeouts: Timeouts) -> None:
        self._ports = ports
        self._watch = watch
        self._executor = executor
        self._timeouts = timeouts
        self._deadlines = Deadlines(ports.clock, timeouts.poll_interval)
        self._written: dict[str, str] = {}  # by cluster: the correlation id of our own write
        self._exempt_until: dict[str, str] = {}  # by cluster: the end of the exemption that this process wrote

    async def open(self, cluster: ClusterId, opening: Opening, recorded: Opening | None = None) -> Verdict:
        """Open local accounts, or change the expiry of an opening. An error becomes evidence.

        `recorded` is the opening in our own record, because somebody may have removed the tags.
        """
        evidence: tuple[Evidence, ...] = ()
        try:
            evidence = await persist(
                self._ports.clock, self._timeouts.step, lambda: self._open(cluster, opening, recorded)
            )
        except Exception as error:  # noqa: BLE001 - after any error, the verdict has to say whether accounts are open
            evidence = await self._after(cluster, opening, error)
        return judge_opening(cluster, opening, evidence)

    async def hand_out(self, cluster: ClusterId, place: KubeconfigSink) -> None:
        """Write the admin kubeconfig to the one place that a person named, as soon as Azure returns it."""
        arm, clock = self._ports.arm, self._ports.clock
        await persist(clock, self._timeouts.refusal, lambda: arm.hand_out_admin_kubeconfig(cluster, place))

    async def close(
        self, cluster: ClusterId, prover: Prover, recorded: Opening | None = None, *, uid: str = ""
    ) -> Verdict:
        """Prove sign-in and close. If the proof fails, accounts stay open, and the verdict is "failed".

        `recorded` is the opening in our own record, which counts more than the tags. `uid` is the resourceUID of the
        cluster that was opened. The verdict is "skipped" when that cluster is gone.
        """
        clock = self._ports.clock
        opening: Opening | None = None
        evidence: tuple[Evidence, ...] = ()
        self._written.pop(cluster.key, None)
        try:
            posture = await persist(clock, self._timeouts.step, lambda: self._read(cluster))
            opening = recorded or opening_on(posture.tags)
            if opening is None:
                return _nothing_to_close(cluster)
            if uid and posture.uid and posture.uid != uid:
                return _gone(cluster, "the cluster that was opened was deleted, and a new one has its name")
            evidence = (opening.evidence(at=opening.since, changed=False),)
            evidence += await persist(clock, self._timeouts.step, lambda: self._close(cluster, prover))
            evidence += await self._state(cluster)
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, Refused) and error.code in _NOT_THERE and not evidence:
                return _gone(cluster, "the cluster that was opened does not exist any more")
            opening = opening or recorded or Opening(until="", since="", reason="")
            if isinstance(error, AksEntraError):
                error.located(cluster=str(cluster), step=_STEP)
            evidence += (checks.failure(error, checks.stamp(clock)), *await self._state(cluster))
        finally:
            self._executor.forget(cluster)
        return judge_opening(cluster, opening, evidence)

    async def current(self, cluster: ClusterId) -> tuple[Opening | None, bool]:
        """Return the opening in the cluster's tags (None without tags), and whether local accounts are on."""
        posture = await persist(self._ports.clock, self._timeouts.look, lambda: self._ports.arm.cluster(cluster))
        return opening_on(posture.tags), posture.local_accounts

    async def openings(self, subscription_id: str) -> AsyncIterator[tuple[ClusterId, Opening]]:
        """Return the openings in the tags of a subscription's clusters."""
        async for posture in self._ports.arm.list_clusters(subscription_id):
            opening = opening_on(posture.tags)
            if opening is not None:
                yield posture.cluster, opening

    async def _open(self, cluster: ClusterId, opening: Opening, recorded: Opening | None) -> tuple[Evidence, ...]:
        posture = await self._watch.at_rest(cluster)
        tagged = opening_on(posture.tags)
        known = tagged or recorded
        if posture.identity is not Identity.MANAGED or (posture.local_accounts and known is None):
            raise Refused(
                "local accounts are on: there is nothing to break",
                remedy=f"az aks get-credentials --admin -g {cluster.resource_group} -n {cluster.name}",
            )
        changed, correlation_id = False, ""
        if not posture.local_accounts or tagged != opening:
            operation = await self._put(
                posture, opening.tags, enabled=True, released=await self._exempt(cluster, opening), until=opening.until
            )
            changed, correlation_id = True, operation.correlation_id
            posture = await self._watch.at_rest(cluster)
            wrong = [] if posture.local_accounts else ["local accounts are off"]
            wrong += [] if opening_on(posture.tags) == opening else ["the tags are not as written"]
            write_guards.effect_seen(tuple(wrong), "the update ended well, but")
        return (
            opening.evidence(at=checks.stamp(self._ports.clock), changed=changed, correlation_id=correlation_id),
            *await self._state(cluster),
        )

    async def _close(self, cluster: ClusterId, prover: Prover) -> tuple[Evidence, ...]:
        """Close local accounts, once a member signed in by an admin group or by role.

        It is called again after every TryLater. If a response was lost, it finds the completed write and does not
        repeat it.
        """
        clock = self._ports.clock
        posture = await self._read(cluster)
        seen: tuple[Evidence, ...] = ()
        if posture.local_accounts:
            job = _closing(posture, prover)
            prove, disable = job.plan.steps
            seen = await self._executor.apply(job, prove)
            await self._still_a_way_back(job, disable, posture)
        if posture.local_accounts or opening_on(posture.tags):
            self._written[cluster.key] = (await self._put(posture, CLOSED, enabled=False)).correlation_id
            posture = await self._watch.at_rest(cluster)
            wrong = ["local accounts are on"] if posture.local_accounts else []
            wrong += ["the tags are still there"] if opening_on(posture.tags) else []
            write_guards.effect_seen(tuple(wrong), "the update ended well, but")
        restored = await self._end_exemption(cluster)
        refused = await self._refused(cluster)
        disabled = LocalAccountsDisabled(
            at=checks.stamp(clock),
            changed=cluster.key in self._written,
            correlation_id=self._written.get(cluster.key, ""),
        )
        return (*seen, *restored, disabled, refused)

    async def _exempt(self, cluster: ClusterId, opening: Opening) -> bool:
        """Exempt the cluster from our deny policy until the opening's end. Return whether the policy is there.

        The exemption ends by itself, also if this process dies. If the policies cannot be read, the write shows it.
        """
        again = self._exempt_until.get(cluster.key) == opening.until
        if not (again or await self._ours(cluster)):
            return False
        if opening.due(self._ports.clock.now()):
            raise Refused(
                "the opening's time is over before Azure followed the exemption from the deny policy",
                remedy="open it for longer: Azure can need 30 minutes (`--duration 2h`)",
            )
        if again:
            return True  # the write is repeated until Azure follows the exemption
        try:
            await self._ports.deny_policies.exempt(cluster, opening.until, opening.reason)
        except (Refused, Rejected) as error:
            asked = f"ask someone who may exempt it: `{how_to_exempt(cluster, opening.until)}`"
            raise Refused(
                f"a policy assignment keeps local accounts off: {error.message}",
                remedy=error.remedy if error.code == NOT_OURS else asked,
                code=error.code,
                correlation_id=error.correlation_id,
            ) from error
        self._exempt_until[cluster.key] = opening.until
        return True

    async def _end_exemption(self, cluster: ClusterId) -> tuple[Evidence, ...]:
        """End the exemption once accounts are closed. A failure is only reported, because it ends by itself.

        So are policies that cannot be read: then nobody knows whether one of ours is there, and in force again.
        """
        ours = await self._ours(cluster)
        if ours is None:
            problem = f"it is unknown whether a deny policy is in force again: {deny_policy.UNREAD}"
            at = checks.stamp(self._ports.clock)
            return (DenyPolicySeen(at=at, assignment="", problem=problem, remedy=deny_policy.MAY_READ),)
        if not ours:
            return ()
        try:
            await self._ports.deny_policies.end_exemption(cluster)
            self._exempt_until.pop(cluster.key, None)
        except (Refused, Rejected) as error:
            problem = f"the exemption from the deny policy ends by itself, but not yet: {error.message}"
            return (DenyPolicySeen(at=checks.stamp(self._ports.clock), assignment="", problem=problem),)
        return (await deny_policy.look(self._ports, cluster),)

    async def _ours(self, cluster: ClusterId) -> bool | None:
        """Whether our deny policy is there. None if that is unknown: no outage of Azure Policy holds an opening up."""
        try:
            found = await self._ports.arm.policies(cluster)
        except AksEntraError:
            return None
        return None if found is None else any(one.ours for one in found)

    async def _still_a_way_back(self, job: Job, disable: Step, posture: Posture) -> None:
        """Raise Refused if something is known to bar a way in or a way back. A person then decides.

        What cannot be read does not count: the opening showed that reopening is permitted, and sign-in was just proven.
        """
        tags = tuple((name, value) for name, value in posture.tags if opening_on(((name, value),)) is None)
        bare = replace(posture, tags=tags)  # our own opening must not bar its own closing
        await preconditions.require(self._ports, job.plan, disable, bare, (), unknown=False)

    async def _put(
        self,
        posture: Posture,
        tags: tuple[tuple[str, str | None], ...],
        *,
        enabled: bool,
        released: bool = False,
        until: str = "",
    ) -> Operation:
        """Write once, under the guard, and wait for the operation's end. `released`, `until`: as in `past_policy`."""
        arm, expected = self._ports.arm, replace(Guarded.of(posture), ca=None)
        operation = await past_policy(
            arm,
            (self._deadlines, self._timeouts),
            posture.cluster,
            lambda: arm.set_local_accounts(posture.cluster, expected, enabled=enabled, tags=tags),
            released=released,
            until=until,
        )
        await write_guards.ended_well(self._watch, operation)
        return operation

    async def _refused(self, cluster: ClusterId) -> AdminCredentialRefused:
        answer = await self._ports.arm.hold_admin_credential(cluster)
        if not isinstance(answer, AdminCredentialRefused):
            self._ports.vault.forget(cluster)
            text = "ARM shows local accounts off, but still hands out admin credentials"
            self._deadlines.later(
                cluster, "refusal", self._timeouts.refusal, text, remedy="look again in a few minutes"
            )
        return answer

    async def _read(self, cluster: ClusterId) -> Posture:
        posture = await self._watch.at_rest(cluster)
        return posture.with_ca(await self._ports.arm.certificate_authority(cluster))

    async def _state(self, cluster: ClusterId) -> tuple[Evidence, ...]:
        """Return the present state, or nothing if it cannot be read."""
        clock = self._ports.clock

        async def look() -> Posture:
            return await checks.read(self._ports, cluster)

        try:
            return (await persist(clock, self._timeouts.look, lambda: checks.seen_state(clock, look)),)
        except Exception:  # noqa: BLE001 - the first error is reported; this only adds to it
            return ()

    async def _after(self, cluster: ClusterId, opening: Opening, error: Exception) -> tuple[Evidence, ...]:
        """Return the failure of an opening, and whether accounts are open nevertheless."""
        if isinstance(error, AksEntraError):
            error.located(cluster=str(cluster), step=_STEP)
        clock = self._ports.clock
        seen: list[Evidence] = [checks.failure(error, checks.stamp(clock))]
        try:
            posture = await persist(clock, self._timeouts.look, lambda: self._ports.arm.cluster(cluster))
        except Exception:  # noqa: BLE001 - as above
            return tuple(seen)
        if posture.local_accounts and opening_on(posture.tags) == opening:
            seen.insert(0, opening.evidence(at=checks.stamp(clock), changed=True))
        if isinstance(error, Refused) and not posture.local_accounts and cluster.key in self._exempt_until:
            seen += await self._withdrawn_exemption(cluster)
        return tuple(seen)

    async def _withdrawn_exemption(self, cluster: ClusterId) -> tuple[Evidence, ...]:
        """End the exemption of an opening that was refused: nothing is open, so the policy is in force again."""
        try:
            return await persist(self._ports.clock, self._timeouts.look, lambda: self._end_exemption(cluster))
        except AksEntraError as error:
            problem = (
                f"the exemption from the deny policy stays until {self._exempt_until[cluster.key]}: {error.message}"
            )
            return (DenyPolicySeen(at=checks.stamp(self._ports.clock), assignment="", problem=problem),)


def _nothing_to_close(cluster: ClusterId) -> Verdict:
    return Verdict(
        cluster=cluster,
        outcome=Outcome.REFUSED,
        because=("no break-glass opening is active on the cluster: there is nothing to close",),
        next="`aks-entra plan` shows what a migration would close",
    )


def _gone(cluster: ClusterId, because: str) -> Verdict:
    return Verdict(cluster=cluster, outcome=Outcome.SKIPPED, because=(f"{because}: there is nothing to close",))


def _closing(posture: Posture, prover: Prover) -> Job:
    """Return the job that closes the cluster: prove sign-in, then disable local accounts."""
    plan = ClusterPlan(
        cluster=posture.cluster,
        target=Target(tenant_id=posture.tenant_id or ""),
        before=Guarded.of(posture),
        steps=(ProveSignIn(admin_groups=Guarded.of(posture).admin_groups), DisableLocalAccounts()),
    )
    return Job(digest=_STEP, plan=plan, prover=prover)
