"""A plan: the steps for each cluster, under one digest. Planning is the dry run. An approval names the digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, Posture
from aks_entra.core.digests import Memoized, sha256, without_empty
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.hooks.model import Hook, bound
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import MemberGroup, Soak, Stage, hooks_of, joined
from aks_entra.core.preflight import Case, Facts, Finding, Severity, Skip, denies_local_accounts, preflight
from aks_entra.core.steps import (
    AssignDenyPolicy,
    DisableLocalAccounts,
    EnableEntra,
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
from aks_entra.core.target import AzureRbac, Keep, LocalAccounts, RotationPolicy, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """The steps for one cluster, and the state in which it must be when they begin."""

    cluster: ClusterId
    target: Target
    before: Guarded
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...] = ()
    tier: str = "Free"
    debt: Debt = Debt.UNKNOWN
    debt_because: str = ""
    stopped: bool = False
    rotation_planned: str = ""  # when the rotation follows that these steps leave owed, in words
    debt_through: str = ""  # until when `debt` was proven (ISO 8601); empty: in a plan of an earlier version
    maintenance_windows: tuple[MaintenanceWindow, ...] | None = ()  # None: they could not be read
    etag: str = ""  # the cluster's ETag before its CA was read; empty: ARM shows none, or an operation was running
    admin_read: AdminRead | None = None  # what this plan called with the cluster's admin credential

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """The findings that refuse this cluster."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.BLOCKER)

    @property
    def disposition(self) -> Literal["migrate", "refused", "skipped", "nothing to do"]:
        """What happens to the cluster when the plan is carried out."""
        if self.stopped:
            return "skipped"
        if self.blockers:
            return "refused"
        return "migrate" if self.steps else "nothing to do"

    @property
    def after(self) -> Guarded:
        """The state that all steps lead to."""
        state = self.before
        for step in self.steps:
            state = state.after(step)
        return state

    def authority_of(self, posture: Posture) -> CertificateAuthority | None:
        """Return the CA of a posture that was read now, if nobody wrote the cluster since the plan was made.

        The ETag changes with every write, and a rotation is a write. None: the CA has to be read. Of the CA, a plan
        knows the fingerprint alone.
        """
        if not self.etag or self.etag != posture.etag or not posture.at_rest or self.before.ca is None:
            return None
        return CertificateAuthority(fingerprint=self.before.ca, not_before="")

    @property
    def restores(self) -> bool:
        """Whether this is a rollback. It is judged by what was restored, not by what was closed."""
        return any(isinstance(step, VerifyRestored) for step in self.steps)

    @property
    def rotates(self) -> RotateCertificates | None:
        """The rotation among the steps, or None."""
        return next((step for step in self.steps if isinstance(step, RotateCertificates)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a cluster changed since the plan before, in words. `cluster` is its name for people."""

    cluster: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan(Memoized):
    """A fleet's plan. Findings, debts, `created_at` and changes are not part of `digest`, but of `facts_digest`."""

    name: str
    created_at: str
    prover: Prover
    clusters: tuple[ClusterPlan, ...]
    stages: tuple[Stage, ...]
    skip_rules: tuple[Skip, ...] = ()  # rules that a person skipped, each with a reason
    ticket_required: bool = False  # an approval has to name a change ticket
    replaces: str = ""  # digest of the plan that this one replaces
    changes: tuple[Change, ...] = ()  # what had changed since then
    rotation: Soak | None = None  # when the rotations follow that this plan leaves owed
    follows: str = ""  # digest of the plan that left these rotations owed
    after: tuple[Hook, ...] = ()  # what happens after the rotation of each cluster
    version: Literal[1] = 1
    unsealed: bool = False  # its document has no `facts_digest`: somebody may have changed its findings

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits over prover, rollout, skips, hooks, and each cluster's target, state and steps.

        Clusters are named by their key, because ARM returns one id in varying case.
        """
        return self.once("digest", lambda: sha256(self._binding()))

    @property
    def facts_digest(self) -> str:
        """`sha256:` and 64 hex digits over the whole plan: also findings, debts, changes and times.

        Two plans with one `digest` may have different ones, because only this digest covers what drifts by the hour.
        Empty fields are left out, so that plans of earlier versions keep their digests.
        """
        return self.once("facts", lambda: sha256(asdict(self, dict_factory=without_empty)))

    def _binding(self) -> dict[str, Any]:
        """Return what `digest` covers."""
        binding: dict[str, Any] = {
            "version": self.version,
            "prover": self.prover.bound(),
            "stages": [stage.bound() for stage in self.stages],
            "clusters": [
                {
                    "cluster": plan.cluster.key,
                    "target": plan.target.bound(),
                    "before": asdict(plan.before),
                    "steps": [asdict(step) for step in plan.steps],
                    "disposition": plan.disposition,
                    "debt": plan.debt,
                }
                for plan in sorted(self.clusters, key=lambda plan: plan.cluster.key)
            ],
        }
        if self.skip_rules:
            binding["skip_rules"] = [asdict(skip) for skip in sorted(self.skip_rules, key=lambda skip: skip.rule)]
        if self.ticket_required:
            binding["ticket_required"] = True
        if self.replaces:
            binding["replaces"] = self.replaces
        if self.rotation:
            binding["rotation"] = self.rotation.bound()
        if self.follows:
            binding["follows"] = self.follows
        if self.after:
            binding["after"] = [bound(hook) for hook in self.after]
        return binding

    def plan_for(self, cluster: ClusterId) -> ClusterPlan:
        """Return one cluster's plan. Raises `KeyError`."""
        by_key = self.once("by key", lambda: {plan.cluster.key: plan for plan in reversed(self.clusters)})
        return by_key[cluster.key]

    def hooks_of(self, cluster: ClusterId) -> tuple[Hook, ...]:
        """Return the hooks after the rotation of a cluster: the plan's, then those of its stage."""
        by_key = self.once("hooks", lambda: hooks_of(self.stages, self.after))
        return by_key.get(cluster.key, self.after)

    def prover_of(self, cluster: ClusterId) -> Prover:
        """Return who proves sign-in at a cluster: the prover of its group, or the plan's."""
        (group,) = self.groups_of((cluster,))
        return group.prover or self.prover

    def groups_of(self, clusters: tuple[ClusterId, ...]) -> tuple[MemberGroup, ...]:
        """Return clusters in one group for each work queue and prover. Those of no stage have neither."""
        groups = [group for stage in self.stages for group in stage.groups]
        of = self.once("groups", lambda: {member.key: group for group in groups for member in group.members})
        none = MemberGroup(name="all", members=())
        return joined(replace(of.get(one.key, none), members=(one,)) for one in clusters)

    def planned_again(self, plans: tuple[ClusterPlan, ...], changes: tuple[Change, ...], *, at: str) -> FleetPlan:
        """Return the plan with some clusters planned again because of `changes`. `at` is ISO 8601."""
        fresh = {plan.cluster.key: plan for plan in plans}
        return replace(
            self,
            created_at=at,
            clusters=tuple(fresh.get(plan.cluster.key, plan) for plan in self.clusters),
            replaces=self.digest,
            changes=changes,
        )

    def rotations(self, plans: tuple[ClusterPlan, ...], *, at: str) -> FleetPlan:
        """Return the second part: the rotations that this plan left owed, by stage, behind the gate of the soak."""
        if self.rotation is None:
            raise ValueError("this plan leaves no rotation for later")
        mine = {plan.cluster.key for plan in plans}
        gate = self.rotation.before
        narrowed = (stage.only(mine, gate_before=gate) for stage in self.stages)
        return replace(
            self,
            created_at=at,
            clusters=plans,
            stages=tuple(stage for stage in narrowed if stage.members),
            replaces="",
            changes=(),
            rotation=None,
            follows=self.digest,
        )

    @property
    def step_count(self) -> int:
        """The number of steps that the plan carries out."""
        return sum(len(plan.steps) for plan in self.clusters if plan.disposition == "migrate")


def plan_cluster(posture: Posture, target: Target, facts: Facts, skips: tuple[Skip, ...] = ()) -> ClusterPlan:
    """Decide the steps from a posture to a target, with preflight's findings about them."""
    steps = _steps(posture, target, facts)
    case = Case(posture=posture, target=target, facts=facts, steps=steps)
    return ClusterPlan(
        cluster=posture.cluster,
        target=target,
        before=Guarded.of(posture),
        steps=steps,
        findings=preflight(case, skips),
        tier=posture.tier,
        debt=facts.old_credentials.debt,
        debt_because=facts.old_credentials.because,
        debt_through=facts.old_credentials.through,
        etag=(posture.etag or "") if posture.at_rest else "",
        stopped=posture.stopped,
        maintenance_windows=facts.maintenance_windows,
        admin_read=facts.admin_read,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The cluster's state matches no point of the approved steps. `differences` are in words."""

    differences: tuple[str, ...]


def remaining(plan: ClusterPlan, now: Guarded, groups: dict[str, str]) -> tuple[Step, ...] | Moved:
    """Return what is left of the approved steps: a suffix, from the state that the earlier steps lead to.

    `groups` maps `uniqueName:…` references to the object ids of groups that exist by now. Steps that only look are
    repeated before the next write, because their evidence may be lost with an earlier process.
    """
    state = plan.before
    ca_before = plan.before.ca
    first: tuple[str, ...] = ()
    candidates = [(0, state)]
    for index, step in enumerate(plan.steps):
        state = state.after(step)
        if writes(step):
            candidates.append((index + 1, state))
    for index, candidate in candidates:
        found = candidate.resolved(groups).differences(now, ca_before=ca_before)
        if not found:
            return plan.steps[index:]
        first = first or found
    return Moved(differences=first)


def _steps(posture: Posture, target: Target, facts: Facts) -> tuple[Step, ...]:
    if posture.identity is Identity.UNKNOWN:
        return ()
    steps: list[Step] = []
    wanted = _merged((), tuple(group.reference for group in target.admin_groups))
    missing = dict.fromkeys(group for group in target.admin_groups if group.id is None)
    new_groups = tuple(EnsureAdminGroup(group=group) for group in missing)
    groups = wanted
    if posture.identity is Identity.MANAGED:
        groups = _merged(posture.admin_group_ids, wanted)
        rbac = {AzureRbac.KEEP: posture.azure_rbac, AzureRbac.ON: True, AzureRbac.OFF: False}[target.azure_rbac]
        if len(groups) != len(_merged(posture.admin_group_ids, ())) or rbac != posture.azure_rbac:
            steps += [*new_groups, UpdateEntra(admin_groups=groups, azure_rbac=rbac)]
    else:
        sent = {AzureRbac.KEEP: None, AzureRbac.ON: True, AzureRbac.OFF: False}[target.azure_rbac]
        steps += [
            *new_groups,
            EnableEntra(tenant_id=target.tenant_id, admin_groups=groups, azure_rbac=sent, was=posture.identity),
        ]
    closes = posture.local_accounts and target.local_accounts is LocalAccounts.OFF
    closed = closes or not posture.local_accounts
    rotates = (
        closed
        and target.rotation is RotationPolicy.AT_ONCE
        and facts.old_credentials.debt is not Debt.NONE
        and posture.ca is not None
    )
    if steps or closes or rotates:
        steps.append(ProveSignIn(admin_groups=groups))
    if closes or rotates:
        steps.append(RecordBaseline(hold_credential=posture.local_accounts))
    if closes:
        steps.append(DisableLocalAccounts())
    if rotates and posture.ca is not None:
        steps.append(RotateCertificates(ca_before=posture.ca.fingerprint))
    keeps = closed and (rotates or facts.old_credentials.debt is Debt.NONE) and _asks_to_keep(target, facts)
    if steps or keeps:
        steps.append(VerifyOutcome(rotated=rotates, local_accounts_off=closed))
    if keeps:
        steps.append(AssignDenyPolicy())
    return tuple(steps)


def _asks_to_keep(target: Target, facts: Facts) -> bool:
    """Whether the target asks for the deny policy, and no assignment is known to deny local accounts already."""
    return target.keep is Keep.DENY and not any(denies_local_accounts(one) for one in facts.policies or ())


def _merged(own: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return a cluster's own groups, in lower case, and then the wanted ones."""
    return tuple(dict.fromkeys(name if ":" in name else name.lower() for name in (*own, *wanted)))
