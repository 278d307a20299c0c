"""Applies a plan's steps through the ports: observe, act, observe; no write when there is nothing to change.

It decides nothing: the plan says what, ARM says how far it is. What it keeps in memory is what a death may take:
deadlines, what it has proven itself, and what evidence a step had gathered before it had to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import Final, NoReturn, assert_never

from aks_entra import guards, proofs
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.evidence import (
    AdminCredentialRefused,
    Baseline,
    CertificatesRotated,
    CredentialTried,
    EntraSet,
    Evidence,
    GroupEnsured,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    Moment,
    SignInProven,
)
from aks_entra.core.plan import Moved
from aks_entra.core.plan import remaining as remaining_steps
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    Guarded,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
    writes,
)
from aks_entra.core.target import GroupTarget, LocalAccounts
from aks_entra.core.verdict import Verdict, judge, unstarted
from aks_entra.creation import provision
from aks_entra.deadlines import Deadlines
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from aks_entra.patience import persist
from aks_entra.ports import NewCluster, Operation, Ports, Witness
from aks_entra.proofs import Job, Limits, failure
from aks_entra.watch import Watch

__all__ = ["Executor", "Job", "Limits", "failure"]

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403


@dataclass(slots=True)
class _Memory:
    """What this run knows of one cluster, beyond what ARM says."""

    proven: bool = False  # sign-in, at this cluster
    written: dict[str, str] = field(default_factory=dict)  # by kind of step: the correlation id of our own write
    kept: tuple[Evidence, ...] = ()  # what was seen just before the rotation
    witness: Witness | None = None
    attached: bool = False  # its rotation was found running
    rotated: bool = False  # this run has evidence of its rotation


class Executor:
    """Carries out approved steps of any number of clusters side by side, each cluster's steps one after the other."""

    def __init__(self, ports: Ports, watch: Watch, limits: Limits) -> None:
        self._ports = ports
        self._watch = watch
        self._limits = limits
        self._deadlines = Deadlines(ports.clock, limits.every)
        self._memory: dict[str, _Memory] = {}
        self._group_locks: dict[str, asyncio.Lock] = {}

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> Witness:
        """Take an old admin kubeconfig (YAML text) as the cluster's witness. Refused when it carries no credential."""
        witness = self._ports.vault.hand_in(cluster, kubeconfig)
        self._of(cluster).witness = witness
        return witness

    async def remaining(self, job: Job) -> tuple[Step, ...]:
        """What is left of the approved steps, after waiting until the cluster is at rest.

        A plan without steps leaves one look at the outcome. Refused when preflight holds the cluster back, or when it
        is in no state that the approved steps lead through: the message says what is otherwise.
        """
        plan = job.plan
        held = unstarted(plan)
        if held is not None:
            raise Refused("; ".join(held.because), remedy=held.next, cluster=str(plan.cluster))
        was_at_rest = (await self._ports.arm.cluster(plan.cluster)).at_rest
        posture = await self._observe(plan.cluster)
        left = remaining_steps(plan, Guarded.of(posture), await proofs.existing_groups(self._ports, plan))
        if isinstance(left, Moved):
            raise Refused(
                f"the cluster is not as it was when the plan was approved: {'; '.join(left.differences)}",
                remedy="plan again, and have that plan approved",
                cluster=str(plan.cluster),
            )
        if not was_at_rest and plan.rotates and plan.rotates not in left:
            self._of(plan.cluster).attached = True
        return left or (VerifyOutcome(rotated=False, local_accounts_off=_closed(job)),)

    async def apply(self, job: Job, step: Step) -> tuple[Evidence, ...]:
        """Do one step and say what was seen. Raises the four errors, located; TryLater: call again after `after`."""
        return await self._located(job, step.kind, self._apply(job, step))

    async def verify_nodes(self, job: Job) -> tuple[Evidence, ...]:
        """The first half of VerifyOutcome: a member gets in, nodes and workloads are back. Errors as `apply`."""
        return await self._located(job, "verify-outcome", self._back(job))

    async def verify_old_credentials(self, job: Job) -> tuple[Evidence, ...]:
        """The second half: old credentials are dead beside a member, ARM refuses new ones. Errors as `apply`."""
        return await self._located(job, "verify-outcome", self._dead(job))

    async def _located(self, job: Job, step: str, work: Awaitable[tuple[Evidence, ...]]) -> tuple[Evidence, ...]:
        try:
            return await work
        except AksEntraError as error:
            error.located(cluster=str(job.plan.cluster), step=step)
            raise

    async def migrate(self, job: Job) -> Verdict:
        """All remaining steps of one cluster, waiting out every TryLater, to its verdict. An error becomes evidence."""
        held = unstarted(job.plan)
        if held is not None:
            return held
        clock, limit = self._ports.clock, self._limits.step
        evidence: list[Evidence] = []
        try:
            for step in await persist(clock, limit, lambda: self.remaining(job)):
                evidence += await persist(clock, limit, partial(self.apply, job, step))
        except Exception as error:  # noqa: BLE001 - one cluster's trouble is a value in the fleet's report
            evidence.append(failure(error, proofs.stamp(clock)))
        finally:
            self.forget(job.plan.cluster)
        return judge(job.plan, tuple(evidence))

    async def provision(self, spec: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
        """Create resource group, groups and a closed cluster, prove it. Refused when it exists and is otherwise."""
        return await provision(self._ports, self._watch, self._limits, spec, groups)

    def forget(self, cluster: ClusterId) -> None:
        """Drop the credential held of a cluster, and all else: call it when the cluster's way ends, well or not."""
        self._ports.vault.forget(cluster)
        self._memory.pop(cluster.key, None)

    def _of(self, cluster: ClusterId) -> _Memory:
        return self._memory.setdefault(cluster.key, _Memory())

    async def _apply(self, job: Job, step: Step) -> tuple[Evidence, ...]:  # noqa: PLR0911 - one per kind of step
        match step:
            case EnsureAdminGroup():
                return await self._ensure_admin_group(job, step)
            case EnableEntra() | UpdateEntra():
                return await self._set_entra(job, step)
            case ProveSignIn():
                return (await self._prove(job, await proofs.read(self._ports, job.plan.cluster), Moment.BEFORE),)
            case RecordBaseline():
                return await self._record_baseline(job, step)
            case DisableLocalAccounts():
                return await self._disable_local_accounts(job, step)
            case RotateCertificates():
                return await self._rotate(job, step)
            case VerifyOutcome():
                return (*await self._back(job), *await self._dead(job))
            case EnableLocalAccounts():
                return await self._enable_local_accounts(job, step)
            case VerifyRestored():
                return await self._verify_restored(job, step)
            case _:
                assert_never(step)

    async def _ensure_admin_group(self, job: Job, step: EnsureAdminGroup) -> tuple[Evidence, ...]:
        """Clusters side by side may want one group: it is made by one of them, under its unique name."""
        directory, group = self._ports.directory, step.group
        async with self._group_locks.setdefault(group.reference, asyncio.Lock()):
            group_id, created, request_id = await directory.ensure_group(group, job.prover.object_id)
        facts = await directory.group(group_id, prover=job.prover.object_id)
        if not facts.exists or facts.deleted_on is not None or not facts.security_enabled:
            raise Refused(
                f"group {group.display_name} ({group_id}) is deleted or not security-enabled",
                remedy="restore it, or name another under `admin_groups`",
            )
        if facts.members == 0:
            self._deadlines.later(
                job.plan.cluster, "members", self._limits.sign_in, f"group {group.display_name} has no members yet"
            )
        return (
            GroupEnsured(
                at=proofs.stamp(self._ports.clock),
                group_id=group_id,
                display_name=group.display_name,
                unique_name=group.unique_name or "",
                created=created,
                correlation_id=request_id,
            ),
        )

    async def _set_entra(self, job: Job, step: EnableEntra | UpdateEntra) -> tuple[Evidence, ...]:
        cluster = job.plan.cluster
        groups = await proofs.existing_groups(self._ports, job.plan)
        expected = self._expected(job, step, groups)
        wanted = expected.after(step).resolved(groups)
        unknown = [name for name in wanted.admin_groups if ":" in name]
        if unknown:
            raise Refused(f"admin group {unknown[0]} does not exist any more", remedy="plan again")
        posture = await self._watch.at_rest(cluster)
        if guards.entra_differences(wanted, posture):
            guards.as_expected(expected, posture)
            ids = proofs.object_ids(step.admin_groups, groups)
            if isinstance(step, EnableEntra):
                call = self._ports.arm.enable_entra(cluster, expected, step.tenant_id, ids, step.azure_rbac)
            else:
                call = self._ports.arm.update_entra(cluster, expected, ids, step.azure_rbac)
            await self._finish(job, step, await call)
            posture = await self._watch.at_rest(cluster)
            guards.effect_seen(
                guards.entra_differences(wanted, posture), "the update ended well, but ARM shows otherwise"
            )
        changed, correlation_id = self._own_write(job, step)
        return (
            EntraSet(
                at=proofs.stamp(self._ports.clock),
                changed=changed,
                admin_group_ids=posture.admin_group_ids,
                tenant_id=posture.tenant_id or "",
                azure_rbac=posture.azure_rbac,
                correlation_id=correlation_id,
            ),
        )

    async def _prove(self, job: Job, posture: Posture, moment: Moment) -> SignInProven:
        """A token newer than any cached one gets in, by way of an admin group or by role, and may do everything."""
        wait = partial(self._no_sign_in, job, posture, moment)
        try:
            proven = await proofs.sign_in(self._ports, job, posture, moment)
        except TryLater as error:
            wait(error.message, error)
        except (Rejected, Refused) as error:
            if error.status not in {_UNAUTHORIZED, _FORBIDDEN} or error.code.startswith("AADSTS"):
                raise  # not the API server's answer to a token, but no token at all, or something else
            wait(error.message, error)
        if not proven.by:
            wait(f"{proven.username} signed in, but not as a member of an admin group: another binding let it in")
        if not proven.everything:
            wait(f"{proven.username} signed in by {proven.by}, but is not allowed everything")
        self._deadlines.arrived(job.plan.cluster, "sign-in")
        self._of(job.plan.cluster).proven = True
        return proven

    def _no_sign_in(
        self, job: Job, posture: Posture, moment: Moment, message: str, cause: AksEntraError | None = None
    ) -> NoReturn:
        """Groups travel in tokens, and webhooks take a while. Past the limit: Refused while nothing is written yet."""
        remedy = (
            "let the prover be a member of an admin group, or name another under `prover`; "
            "`az aks update --aad-admin-group-object-ids` corrects the groups"
        )
        if moment is Moment.AFTER:
            remedy += ", `az aks update --enable-local-accounts` reopens a way in"
        untouched = not guards.differences(job.plan.before, posture)
        limit = self._limits.sign_in
        self._deadlines.later(
            job.plan.cluster,
            "sign-in",
            limit,
            message,
            remedy=remedy,
            cause=cause,
            last=Refused if untouched else Diverged,
        )

    async def _record_baseline(self, job: Job, step: RecordBaseline) -> tuple[Evidence, ...]:
        """The witness first, then the baseline into the journal. One stored before under this digest is kept."""
        cluster = job.plan.cluster
        refused: tuple[Evidence, ...] = ()
        if step.hold_credential and not self._ports.vault.holds(cluster):
            answer = await self._ports.arm.hold_admin_credential(cluster)
            if isinstance(answer, Witness):
                self._of(cluster).witness = answer
            else:
                refused = (answer,)
        await self._baseline(job, await proofs.read(self._ports, cluster))
        return refused

    async def _baseline(self, job: Job, posture: Posture) -> None:
        if await self._ports.journal.baseline(job.digest, posture.cluster) is not None:
            return
        baseline = Baseline(
            cluster=posture.cluster.key,
            at=proofs.stamp(self._ports.clock),
            ca=proofs.authority(posture).fingerprint,
            nodes=await self._ports.kubernetes.nodes(posture),
            workloads=await self._ports.kubernetes.workloads(posture),
            credential_held=self._ports.vault.holds(posture.cluster),
        )
        await self._ports.journal.store_baseline(job.digest, baseline)

    async def _disable_local_accounts(self, job: Job, step: DisableLocalAccounts) -> tuple[Evidence, ...]:
        cluster, arm = job.plan.cluster, self._ports.arm
        proven: tuple[Evidence, ...] = ()
        posture = await self._observe(cluster)
        if posture.local_accounts:
            expected = self._expected(job, step, await proofs.existing_groups(self._ports, job.plan))
            guards.as_expected(expected, posture)
            if not self._of(cluster).proven:
                proven = (await self._prove(job, posture, Moment.BEFORE),)
            await self._finish(job, step, await arm.set_local_accounts(cluster, expected, enabled=False))
            posture = await self._watch.at_rest(cluster)
            guards.effect_seen(
                ("local accounts are on",) if posture.local_accounts else (), "the update ended well, but"
            )
        refused = await arm.hold_admin_credential(cluster)
        if not isinstance(refused, AdminCredentialRefused):
            self._of(cluster).witness = refused
            text = "ARM shows local accounts off, but still hands out admin credentials"
            self._deadlines.later(cluster, "refusal", self._limits.refusal, text, remedy=guards.AGAIN)
        self._deadlines.arrived(cluster, "refusal")
        changed, correlation_id = self._own_write(job, step)
        at = proofs.stamp(self._ports.clock)
        return (*proven, LocalAccountsDisabled(at=at, changed=changed, correlation_id=correlation_id), refused)

    async def _enable_local_accounts(self, job: Job, step: EnableLocalAccounts) -> tuple[Evidence, ...]:
        """The way back: nothing has to be proven before a way in is opened."""
        cluster = job.plan.cluster
        posture = await self._observe(cluster)
        if not posture.local_accounts:
            expected = self._expected(job, step, {})
            guards.as_expected(expected, posture)
            await self._finish(job, step, await self._ports.arm.set_local_accounts(cluster, expected, enabled=True))
            posture = await self._watch.at_rest(cluster)
            guards.effect_seen(
                () if posture.local_accounts else ("local accounts are off",), "the update ended well, but"
            )
        changed, correlation_id = self._own_write(job, step)
        at = proofs.stamp(self._ports.clock)
        return (LocalAccountsEnabled(at=at, changed=changed, correlation_id=correlation_id),)

    async def _verify_restored(self, job: Job, step: VerifyRestored) -> tuple[Evidence, ...]:
        """The way in that a rollback leaves: a credential that Azure hands out works, or a member gets in."""
        cluster = job.plan.cluster
        posture = await self._observe(cluster)
        if step.local_accounts:
            seen = await proofs.admin_credential_works(self._ports, self._deadlines, self._limits, posture)
            self.forget(cluster)
        else:
            seen = (await self._prove(job, posture, Moment.AFTER),)
        return (*seen, proofs.state(self._ports.clock, await proofs.read(self._ports, cluster)))

    async def _rotate(self, job: Job, step: RotateCertificates) -> tuple[Evidence, ...]:
        """Pending while the CA is still the plan's. What is found running is waited for, and never started again."""
        cluster = job.plan.cluster
        attached = not (await self._ports.arm.cluster(cluster)).at_rest
        posture = await self._observe(cluster)
        if proofs.authority(posture).fingerprint == step.ca_before:
            attached = False
            expected = self._expected(job, step, await proofs.existing_groups(self._ports, job.plan))
            guards.as_expected(expected, posture)
            await self._baseline(job, posture)
            proven = await self._prove(job, posture, Moment.BEFORE)
            self._of(cluster).kept = (proven, *await self._try_credentials(job, posture, Moment.BEFORE))
            await self._finish(job, step, await self._ports.arm.rotate_certificates(cluster))
            posture = await self._observe(cluster)
            same = proofs.authority(posture).fingerprint == step.ca_before
            guards.effect_seen(("the CA is the one from before",) if same else (), "the rotation ended well, but")
        ca = proofs.authority(posture)
        changed, correlation_id = self._own_write(job, step)
        memory = self._of(cluster)
        memory.rotated = True
        kept, memory.kept = memory.kept, ()
        rotated = CertificatesRotated(
            at=proofs.stamp(self._ports.clock),
            ca_before=step.ca_before,
            ca_after=ca.fingerprint,
            ca_not_before=ca.not_before,
            changed=changed,
            attached=attached,
            correlation_id=correlation_id,
        )
        return (*kept, rotated)

    async def _back(self, job: Job) -> tuple[Evidence, ...]:
        """A member in, and nodes and workloads after a settling time."""
        posture = await self._observe(job.plan.cluster)
        rotated = self._rotation_by_earlier_run(job, posture)
        proven = await self._prove(job, posture, Moment.AFTER)
        return (*rotated, *await self._settled(job, posture), proven)

    async def _dead(self, job: Job) -> tuple[Evidence, ...]:
        """Old credentials tried beside the member, ARM's refusal, and the state at the end."""
        cluster, evidence = job.plan.cluster, list[Evidence]()
        posture = await self._observe(cluster)
        witness = self._of(cluster).witness
        older = witness is not None and witness.ca != posture.ca
        tried = await self._try_credentials(job, posture, Moment.AFTER if job.plan.rotates or older else Moment.BEFORE)
        if self._ports.vault.holds(cluster):
            evidence.append(await self._prove(job, posture, Moment.AFTER))  # beside the refusals, in the same minute
        evidence += tried
        if _closed(job):
            answer = await self._ports.arm.hold_admin_credential(cluster)
            if not isinstance(answer, AdminCredentialRefused):
                self.forget(cluster)
                raise Diverged(
                    "Azure hands out admin credentials again",
                    remedy="see who switched local accounts on, then plan again: a rotation is owed",
                )
            evidence.append(answer)
        evidence.append(proofs.state(self._ports.clock, await proofs.read(self._ports, cluster)))
        self.forget(cluster)
        return tuple(evidence)

    def _rotation_by_earlier_run(self, job: Job, posture: Posture) -> tuple[Evidence, ...]:
        """When this plan's rotation was done by a process that is gone, the CA itself is the evidence of it."""
        rotates, ca, memory = job.plan.rotates, proofs.authority(posture), self._of(job.plan.cluster)
        if rotates is None or memory.rotated:
            return ()
        if ca.fingerprint == rotates.ca_before:
            raise Diverged("the CA is the one from before the rotation", remedy=guards.AGAIN)
        return (
            CertificatesRotated(
                at=proofs.stamp(self._ports.clock),
                ca_before=rotates.ca_before,
                ca_after=ca.fingerprint,
                ca_not_before=ca.not_before,
                changed=False,
                attached=memory.attached,
            ),
        )

    async def _settled(self, job: Job, posture: Posture) -> tuple[Evidence, ...]:
        """Nodes and workloads, given time to come back; after that what is missing is evidence too."""
        seen: list[Evidence] = []
        try:
            nodes = await proofs.nodes(self._ports, posture)
            seen.append(nodes)
            trouble = nodes.missing
            baseline = await self._ports.journal.baseline(job.digest, posture.cluster)
            if baseline is not None:
                workloads = await proofs.workloads(self._ports, posture, baseline)
                seen.append(workloads)
                trouble += workloads.worse
        except TryLater as error:
            self._deadlines.later(
                job.plan.cluster, "settling", self._limits.nodes_settle, error.message, remedy=guards.AGAIN, cause=error
            )
        if trouble and self._deadlines.patient(job.plan.cluster, "settling", self._limits.nodes_settle):
            raise TryLater(f"still settling: {', '.join(trouble)}", after=self._limits.every)
        self._deadlines.arrived(job.plan.cluster, "settling")
        return tuple(seen)

    async def _try_credentials(self, job: Job, posture: Posture, moment: Moment) -> tuple[CredentialTried, ...]:
        """Each held credential alone. No answer is no proof: asked again for a while, then recorded as none."""
        tried = await proofs.tried(self._ports, posture, moment, self._of(posture.cluster).witness)
        silent = [one.credential for one in tried if one.status is None]
        what = f"credentials {moment}"
        if silent and self._deadlines.patient(job.plan.cluster, what, self._limits.credential):
            raise TryLater(f"no answer to the {' and the '.join(silent)} from before", after=self._limits.every)
        self._deadlines.arrived(job.plan.cluster, what)
        return tried

    async def _observe(self, cluster: ClusterId) -> Posture:
        """The cluster at rest, with its CA."""
        posture = await self._watch.at_rest(cluster)
        return posture.with_ca(await self._ports.arm.certificate_authority(cluster))

    async def _finish(self, job: Job, step: Step, operation: Operation) -> None:
        """Wait for the end of our own operation. Diverged when it did not end well; the effect is checked after it."""
        self._of(job.plan.cluster).written[step.kind] = operation.correlation_id
        await guards.ended_well(self._watch, operation)

    def _own_write(self, job: Job, step: Step) -> tuple[bool, str]:
        """Whether this run has written for the step, and under which correlation id."""
        correlation_id = self._of(job.plan.cluster).written.get(step.kind)
        return correlation_id is not None, correlation_id or ""

    def _expected(self, job: Job, step: Step, groups: dict[str, str]) -> Guarded:
        """The state that the approved steps before this one lead to. The CA is read and compared on its own."""
        state = job.plan.before
        for earlier in takewhile(lambda one: one != step, job.plan.steps):
            if writes(earlier):
                state = state.after(earlier)
        return replace(state.resolved(groups), ca=None)


def _closed(job: Job) -> bool:
    return job.plan.target.local_accounts is LocalAccounts.OFF or not job.plan.before.local_accounts
