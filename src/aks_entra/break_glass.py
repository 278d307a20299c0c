"""Opens local accounts for a stated time, and closes them again once sign-in was proven. The tags say until when.

Opening and its expiry are one write, and so are closing and the end of the tags: a process may die at any moment, and
whoever reads the cluster knows what is to be done. What cannot be proven is never closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from aks_entra import guards, proofs
from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.evidence import AdminCredentialRefused, Evidence, LocalAccountsDisabled
from aks_entra.core.opening import CLOSED, Opening, opening_on
from aks_entra.core.opening_verdict import judge_opening
from aks_entra.core.plan import ClusterPlan, Prover
from aks_entra.core.steps import DisableLocalAccounts, Guarded, ProveSignIn
from aks_entra.core.target import Target
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.deadlines import Deadlines
from aks_entra.errors import AksEntraError, Refused
from aks_entra.executor import Executor
from aks_entra.patience import persist
from aks_entra.ports import Operation, Place, Ports
from aks_entra.proofs import Job, Limits
from aks_entra.watch import Watch

_STEP: Final = "break-glass"


class BreakGlass:
    """Openings of any number of clusters, with the engine of a session."""

    def __init__(self, ports: Ports, watch: Watch, executor: Executor, limits: Limits) -> None:
        self._ports = ports
        self._watch = watch
        self._executor = executor
        self._limits = limits
        self._deadlines = Deadlines(ports.clock, limits.every)
        self._written: dict[str, str] = {}  # by cluster: the correlation id of our own write

    async def open(self, cluster: ClusterId, opening: Opening) -> Verdict:
        """Open, or give an opening another end. An error becomes evidence; nothing was opened then, or it is said."""
        evidence: tuple[Evidence, ...] = ()
        try:
            evidence = await persist(self._ports.clock, self._limits.step, lambda: self._open(cluster, opening))
        except Exception as error:  # noqa: BLE001 - whatever it was, how the cluster stands has to be said
            evidence = await self._after(cluster, opening, error)
        return judge_opening(cluster, opening, evidence)

    async def hand_out(self, cluster: ClusterId, place: Place) -> None:
        """Write the admin kubeconfig to its one place, as soon as Azure hands it out."""
        arm, clock = self._ports.arm, self._ports.clock
        await persist(clock, self._limits.refusal, lambda: arm.hand_out_admin_kubeconfig(cluster, place))

    async def close(self, cluster: ClusterId, prover: Prover) -> Verdict:
        """Prove sign-in and close. Where it fails accounts stay open, and the verdict is "failed"."""
        clock = self._ports.clock
        opening: Opening | None = None
        evidence: tuple[Evidence, ...] = ()
        self._written.pop(cluster.key, None)
        try:
            posture = await persist(clock, self._limits.step, lambda: self._read(cluster))
            opening = opening_on(posture.tags)
            if opening is None:
                return _nothing_to_close(cluster)
            evidence = (opening.evidence(at=opening.since, changed=False),)
            evidence += await persist(clock, self._limits.step, lambda: self._close(cluster, prover))
            evidence += await self._state(cluster)
        except Exception as error:  # noqa: BLE001 - as above
            opening = opening or Opening(until="", since="", reason="")
            if isinstance(error, AksEntraError):
                error.located(cluster=str(cluster), step=_STEP)
            evidence += (proofs.failure(error, proofs.stamp(clock)), *await self._state(cluster))
        finally:
            self._executor.forget(cluster)
        return judge_opening(cluster, opening, evidence)

    async def standing(self, cluster: ClusterId) -> tuple[Opening | None, bool]:
        """The opening that the cluster's tags tell of, and whether local accounts are on."""
        posture = await persist(self._ports.clock, self._limits.look, lambda: self._ports.arm.cluster(cluster))
        return opening_on(posture.tags), posture.local_accounts

    async def openings(self, subscription_id: str) -> AsyncIterator[tuple[ClusterId, Opening]]:
        """The openings that the tags of a subscription's clusters tell of."""
        async for posture in self._ports.arm.list_clusters(subscription_id):
            opening = opening_on(posture.tags)
            if opening is not None:
                yield posture.cluster, opening

    async def _open(self, cluster: ClusterId, opening: Opening) -> tuple[Evidence, ...]:
        posture = await self._watch.at_rest(cluster)
        standing = opening_on(posture.tags)
        if posture.identity is not Identity.MANAGED or (posture.local_accounts and standing is None):
            raise Refused(
                "local accounts are on: there is nothing to break",
                remedy=f"az aks get-credentials --admin -g {cluster.resource_group} -n {cluster.name}",
            )
        changed, correlation_id = False, ""
        if not posture.local_accounts or standing != opening:
            operation = await self._put(posture, enabled=True, tags=opening.tags)
            changed, correlation_id = True, operation.correlation_id
            posture = await self._watch.at_rest(cluster)
            wrong = [] if posture.local_accounts else ["local accounts are off"]
            wrong += [] if opening_on(posture.tags) == opening else ["the tags are not as written"]
            guards.effect_seen(tuple(wrong), "the update ended well, but")
        return (
            opening.evidence(at=proofs.stamp(self._ports.clock), changed=changed, correlation_id=correlation_id),
            *await self._state(cluster),
        )

    async def _close(self, cluster: ClusterId, prover: Prover) -> tuple[Evidence, ...]:
        """Look, prove, write, look: nothing is closed before a member got in by an admin group or by role.

        Called again after every TryLater: what an answer that was lost has done is found, and not done twice.
        """
        clock = self._ports.clock
        posture = await self._read(cluster)
        seen: tuple[Evidence, ...] = ()
        if posture.local_accounts:
            job = _closing(posture, prover)
            seen = await self._executor.apply(job, job.plan.steps[0])
        if posture.local_accounts or opening_on(posture.tags):
            self._written[cluster.key] = (await self._put(posture, enabled=False, tags=CLOSED)).correlation_id
            posture = await self._watch.at_rest(cluster)
            wrong = ["local accounts are on"] if posture.local_accounts else []
            wrong += ["the tags are still there"] if opening_on(posture.tags) else []
            guards.effect_seen(tuple(wrong), "the update ended well, but")
        refused = await self._refused(cluster)
        disabled = LocalAccountsDisabled(
            at=proofs.stamp(clock),
            changed=cluster.key in self._written,
            correlation_id=self._written.get(cluster.key, ""),
        )
        return (*seen, disabled, refused)

    async def _put(self, posture: Posture, *, enabled: bool, tags: tuple[tuple[str, str | None], ...]) -> Operation:
        """One guarded write, followed to its end."""
        expected = replace(Guarded.of(posture), ca=None)
        operation = await self._ports.arm.set_local_accounts(posture.cluster, expected, enabled=enabled, tags=tags)
        await guards.ended_well(self._watch, operation)
        return operation

    async def _refused(self, cluster: ClusterId) -> AdminCredentialRefused:
        answer = await self._ports.arm.hold_admin_credential(cluster)
        if not isinstance(answer, AdminCredentialRefused):
            self._ports.vault.forget(cluster)
            text = "ARM shows local accounts off, but still hands out admin credentials"
            self._deadlines.later(cluster, "refusal", self._limits.refusal, text, remedy="look again in a few minutes")
        return answer

    async def _read(self, cluster: ClusterId) -> Posture:
        posture = await self._watch.at_rest(cluster)
        return posture.with_ca(await self._ports.arm.certificate_authority(cluster))

    async def _state(self, cluster: ClusterId) -> tuple[Evidence, ...]:
        """How it stands now, where that can be read: what failed before may be why it cannot."""
        clock = self._ports.clock
        try:
            posture = await persist(clock, self._limits.look, lambda: proofs.read(self._ports, cluster))
        except Exception:  # noqa: BLE001 - what failed first is said; this only adds to it
            return ()
        return (proofs.state(clock, posture),)

    async def _after(self, cluster: ClusterId, opening: Opening, error: Exception) -> tuple[Evidence, ...]:
        """After a failed opening: whether it is open all the same is what counts, and it is read once more."""
        if isinstance(error, AksEntraError):
            error.located(cluster=str(cluster), step=_STEP)
        clock = self._ports.clock
        seen: list[Evidence] = [proofs.failure(error, proofs.stamp(clock))]
        try:
            posture = await persist(clock, self._limits.look, lambda: self._ports.arm.cluster(cluster))
        except Exception:  # noqa: BLE001 - as above
            return tuple(seen)
        if posture.local_accounts and opening_on(posture.tags) == opening:
            seen.insert(0, opening.evidence(at=proofs.stamp(clock), changed=True))
        return tuple(seen)


def _nothing_to_close(cluster: ClusterId) -> Verdict:
    return Verdict(
        cluster=cluster,
        outcome=Outcome.REFUSED,
        because=("no break-glass opening stands on the cluster: nothing is to be closed",),
        next="`aks-entra plan` shows what a migration would close",
    )


def _closing(posture: Posture, prover: Prover) -> Job:
    """The way to a closed cluster, as the executor proves it."""
    plan = ClusterPlan(
        cluster=posture.cluster,
        target=Target(tenant_id=posture.tenant_id or ""),
        before=Guarded.of(posture),
        steps=(ProveSignIn(admin_groups=Guarded.of(posture).admin_groups), DisableLocalAccounts()),
    )
    return Job(digest=_STEP, plan=plan, prover=prover)
