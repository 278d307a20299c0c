"""Preflight: one function per rule, each with an id, a severity, what was seen and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from aks_entra.core.cluster import Identity, Posture, same_id
from aks_entra.core.debt import OldCredentials
from aks_entra.core.steps import DisableLocalAccounts, RotateCertificates, Step, writes
from aks_entra.core.target import AzureRbac, Target


class Severity(StrEnum):
    """What a finding does to a plan: a blocker refuses the cluster, the others are shown at the gate."""

    BLOCKER = "blocker"
    WARNING = "warning"
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that preflight has to say about one cluster."""

    rule: str
    severity: Severity
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """What the directory says of one group. None means: could not be read, which is never the same as "none"."""

    id: str
    display_name: str = ""
    exists: bool = True
    security_enabled: bool = True
    deleted_on: str | None = None
    restorable_until: str | None = None
    members: int | None = None  # transitive, active
    people: int | None = None  # enabled users among them
    prover_is_member: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A management lock that reaches the cluster: level `CanNotDelete` or `ReadOnly`, and the scope it stands on."""

    name: str
    level: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read around a cluster for its plan. None means unknown."""

    tenant_id: str  # of the cluster's subscription
    old_credentials: OldCredentials
    groups: tuple[GroupFacts, ...] = ()
    prover: str = ""  # object id of the identity that proves sign-in
    prover_is_cluster_admin: bool | None = False  # Azure RBAC Cluster Admin on this cluster
    missing_permissions: tuple[str, ...] | None = ()
    locks: tuple[Lock, ...] | None = ()
    unreachable: str = ""  # why the API server cannot be reached from here; empty when it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cluster before the rules: what it is, should be, what was read around it, and the steps between."""

    posture: Posture
    target: Target
    facts: Facts
    steps: tuple[Step, ...]

    def group(self, group_id: str) -> GroupFacts | None:
        """What the directory says of an admin group, by object id."""
        return next((group for group in self.facts.groups if same_id(group.id, group_id)), None)

    @property
    def admin_group_ids(self) -> tuple[str, ...]:
        """Object ids of existing groups that will be admin groups: the cluster's own and the target's."""
        wanted = tuple(group.id for group in self.target.admin_groups if group.id)
        own = self.posture.admin_group_ids if self.posture.identity is Identity.MANAGED else ()
        return tuple(dict.fromkeys(group_id.lower() for group_id in (*own, *wanted)))

    @property
    def creates_group(self) -> bool:
        """Whether the plan makes a group of its own; the prover becomes its first member."""
        return any(group.id is None for group in self.target.admin_groups)

    @property
    def closes(self) -> bool:
        """Whether a way in is closed or interrupted."""
        return any(isinstance(step, DisableLocalAccounts | RotateCertificates) for step in self.steps)

    @property
    def writes(self) -> bool:
        """Whether anything is changed on the cluster."""
        return any(writes(step) for step in self.steps)

    @property
    def azure_rbac(self) -> bool:
        """Whether role assignments count inside the cluster once the steps are done."""
        if self.target.azure_rbac is AzureRbac.KEEP:
            return self.posture.azure_rbac and self.posture.identity is Identity.MANAGED
        return self.target.azure_rbac is AzureRbac.ON

    @property
    def by_role(self) -> bool | None:
        """Whether the prover gets in by role: it holds Cluster Admin, and Azure RBAC is on when it matters."""
        return self.facts.prover_is_cluster_admin if self.azure_rbac else False

    @property
    def living_groups(self) -> tuple[GroupFacts, ...]:
        """The admin groups that let their members in: they exist and are for security."""
        found = (self.group(group_id) for group_id in self.admin_group_ids)
        return tuple(
            facts for facts in found if facts and facts.exists and facts.deleted_on is None and facts.security_enabled
        )

    @property
    def way_in(self) -> bool:
        """Whether somebody gets in: by an admin group that lives and has members, or the prover by role."""
        return self.creates_group or bool(self.by_role) or any(facts.members != 0 for facts in self.living_groups)


Rule: TypeAlias = Callable[[Case], Iterator[Finding]]


def _tenant(case: Case) -> Iterator[Finding]:
    """B001: the tenant of the Entra profile must be that of the subscription."""
    for name, tenant in (("target", case.target.tenant_id), ("cluster", case.posture.tenant_id)):
        if tenant and not same_id(tenant, case.facts.tenant_id):
            yield Finding(
                rule="B001",
                severity=Severity.BLOCKER,
                message=f"the {name}'s tenant {tenant} is not the subscription's tenant {case.facts.tenant_id}",
                remedy="set `tenant_id` to the subscription's tenant, or leave it out",
            )


def _kubernetes_rbac(case: Case) -> Iterator[Finding]:
    """B003: Microsoft Entra ID cannot be enabled without Kubernetes RBAC, and RBAC cannot be added later."""
    if not case.posture.kubernetes_rbac:
        yield Finding(
            rule="B003",
            severity=Severity.BLOCKER,
            message="Kubernetes RBAC is off: Microsoft Entra ID cannot be enabled on this cluster",
            remedy="create a new cluster with `aks-entra provision` and move the workloads",
        )


def _no_group(case: Case) -> Iterator[Finding]:
    """B004: without an admin group of which something is known nobody could administer the cluster."""
    if not case.way_in and not any(case.group(group_id) for group_id in case.admin_group_ids):
        yield Finding(
            rule="B004",
            severity=Severity.BLOCKER,
            message="no admin group: nobody would get in after local accounts are closed",
            remedy="name a group under `admin_groups`",
        )


def _wanted_groups(case: Case) -> Iterator[Finding]:
    """B005: a group that the fleet file names must exist."""
    for wanted in case.target.admin_groups:
        if wanted.id is None:
            continue
        facts = case.group(wanted.id)
        if facts is None or not facts.exists:
            yield Finding(
                rule="B005",
                severity=Severity.BLOCKER,
                message=f"admin group {wanted.display_name or wanted.id} does not exist in the tenant",
                remedy="correct the id under `admin_groups`, or let the group be created with `create: true`",
            )


def _mail_groups(case: Case) -> Iterator[Finding]:
    """B006, W106: a group that is not for security admits nobody: a warning for the cluster's own beside others."""
    wanted = {group.id.lower() for group in case.target.admin_groups if group.id}
    for group_id in case.admin_group_ids:
        facts = case.group(group_id)
        if facts is None or not facts.exists or facts.deleted_on is not None or facts.security_enabled:
            continue
        harmless = case.way_in and group_id not in wanted
        yield Finding(
            rule="W106" if harmless else "B006",
            severity=Severity.WARNING if harmless else Severity.BLOCKER,
            message=f"{_named(facts)} is not security-enabled: its members get no access",
            remedy="name a security group under `admin_groups`",
        )


def _dead_groups(case: Case) -> Iterator[Finding]:
    """B007, W107: a deleted group admits nobody; alone it locks everybody out."""
    for group_id in case.admin_group_ids:
        facts = case.group(group_id)
        if facts is None or (facts.exists and facts.deleted_on is None):
            continue
        when = f"was deleted on {facts.deleted_on[:10]}" if facts.deleted_on else "does not exist"
        until = f" (possible until {facts.restorable_until[:10]})" if facts.restorable_until else ""
        yield Finding(
            rule="W107" if case.way_in else "B007",
            severity=Severity.WARNING if case.way_in else Severity.BLOCKER,
            message=f"admin group {_named(facts)} {when}"
            + ("" if case.way_in else ": closing local accounts would lock everybody out"),
            remedy=f"restore it{until}, or name another under `admin_groups`"
            if facts.deleted_on
            else "name another under `admin_groups`",
        )


def _empty_groups(case: Case) -> Iterator[Finding]:
    """B008, W108, U108: a group without members admits nobody."""
    for group_id in case.admin_group_ids:
        facts = case.group(group_id)
        if facts is None or not facts.exists or facts.deleted_on is not None or not facts.security_enabled:
            continue
        if facts.members is None:
            yield Finding(
                rule="U108",
                severity=Severity.UNKNOWN,
                message=f"the members of {_named(facts)} could not be read",
                remedy="grant GroupMember.Read.All, or check the members yourself before you approve",
            )
        elif facts.members == 0:
            yield Finding(
                rule="W108" if case.way_in else "B008",
                severity=Severity.WARNING if case.way_in else Severity.BLOCKER,
                message=f"{_named(facts)} has no members"
                + ("" if case.way_in else ": closing local accounts would lock everybody out"),
                remedy="add members to the group, or name another under `admin_groups`",
            )
        elif facts.people == 0:
            yield Finding(
                rule="W109",
                severity=Severity.WARNING,
                message=f"{_named(facts)} has no enabled user among its members: only automation would get in",
                remedy="add the people who administer the cluster",
            )


def _prover(case: Case) -> Iterator[Finding]:
    """B009: without somebody who proves sign-in nothing is closed."""
    if not case.steps or case.creates_group or case.by_role:
        return
    member = [facts.prover_is_member for facts in case.living_groups]
    if True in member:
        return
    if None in member or case.by_role is None:
        yield Finding(
            rule="U109",
            severity=Severity.UNKNOWN,
            message="whether the prover is in an admin group could not be read",
            remedy="grant GroupMember.Read.All; sign-in is proven before anything is closed in any case",
        )
    elif case.way_in:
        yield Finding(
            rule="B009",
            severity=Severity.BLOCKER,
            message=f"the prover {case.facts.prover} is in no admin group: sign-in could not be proven",
            remedy="add it to an admin group, give it Azure Kubernetes Service RBAC Cluster Admin on the cluster, "
            "or name another under `prover`",
        )


def _stopped(case: Case) -> Iterator[Finding]:
    """B010: nothing can be proven on a stopped cluster; its debt stays as it is."""
    if case.posture.stopped:
        yield Finding(
            rule="B010",
            severity=Severity.BLOCKER,
            message="the cluster is stopped: skipped, and what it owes stays owed",
            remedy="start it (`az aks start`) and plan again",
        )
    for pool in case.posture.pools:
        if pool.power_state == "Stopped" and not case.posture.stopped:
            yield Finding(
                rule="W110",
                severity=Severity.WARNING,
                message=f"pool {pool.name} is stopped: its nodes are not checked",
            )


def _permissions(case: Case) -> Iterator[Finding]:
    """B011, U111: the runner needs the ARM actions of its steps, and the one that reopens local accounts."""
    if not case.steps:
        return
    if case.facts.missing_permissions is None:
        yield Finding(
            rule="U111",
            severity=Severity.UNKNOWN,
            message="the runner's rights on the cluster could not be read",
            remedy="grant Microsoft.Authorization/permissions/read",
        )
    else:
        for action in case.facts.missing_permissions:
            yield Finding(
                rule="B011",
                severity=Severity.BLOCKER,
                message=f"the runner lacks {action}",
                remedy="assign the role of deployments/roles/migrate.json on the cluster or its resource group",
            )


def _locks(case: Case) -> Iterator[Finding]:
    """B012, W112, U112: a read-only lock refuses every write, the way back among them."""
    if not case.writes:
        return
    if case.facts.locks is None:
        yield Finding(
            rule="U112",
            severity=Severity.UNKNOWN,
            message="management locks could not be read",
            remedy="grant Microsoft.Authorization/locks/read",
        )
        return
    for lock in case.facts.locks:
        if lock.level.casefold() == "readonly":
            yield Finding(
                rule="B012",
                severity=Severity.BLOCKER,
                message=f"lock {lock.name} (ReadOnly) on {lock.scope} refuses every change, also the way back",
                remedy="remove the lock for the time of the migration",
            )
        elif any(isinstance(step, RotateCertificates) for step in case.steps):
            yield Finding(
                rule="W112",
                severity=Severity.WARNING,
                message=f"lock {lock.name} ({lock.level}) on {lock.scope}: rotation recreates nodes and may be refused",
                remedy="remove the lock for the time of the rotation",
            )


def _reachable(case: Case) -> Iterator[Finding]:
    """B013: what cannot be reached from here cannot be proven from here."""
    if case.facts.unreachable and not case.posture.stopped:
        where = "private API server" if case.posture.private else "API server"
        yield Finding(
            rule="B013",
            severity=Severity.BLOCKER,
            message=f"the {where} cannot be reached from here: {case.facts.unreachable}",
            remedy="run the worker inside a network that reaches it",
        )


def _certificate_authority(case: Case) -> Iterator[Finding]:
    """B014: a rotation is only planned from a CA that was seen."""
    if case.posture.ca is None and not case.posture.stopped:
        yield Finding(
            rule="B014",
            severity=Severity.BLOCKER,
            message="the cluster's CA could not be read, so a rotation could not be proven",
            remedy="grant Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
        )


def _state(case: Case) -> Iterator[Finding]:
    """B015, W115: a failed cluster is repaired first; one that is being updated is waited for."""
    if case.posture.provisioning_state.casefold() == "failed":
        yield Finding(
            rule="B015",
            severity=Severity.BLOCKER,
            message="the cluster's last operation failed (provisioningState Failed)",
            remedy="repair it first: `az aks update` with no change reconciles it",
        )
    elif not case.posture.at_rest:
        yield Finding(
            rule="W115",
            severity=Severity.WARNING,
            message=f"another operation is running ({case.posture.provisioning_state}); it is waited for",
        )


def _azure_rbac(case: Case) -> Iterator[Finding]:
    """W102: the flag decides whose rights count inside the cluster."""
    if (wanted := case.azure_rbac) is not case.posture.azure_rbac:
        yield Finding(
            rule="W102",
            severity=Severity.WARNING,
            message=f"Azure RBAC for Kubernetes is switched {'on' if wanted else 'off'}: "
            + ("role assignments start to count" if wanted else "role assignments stop to count"),
        )


def _unproven_person(case: Case) -> Iterator[Finding]:
    """W103: the prover is an automation; it says nothing about people."""
    if case.closes:
        yield Finding(
            rule="W103",
            severity=Severity.WARNING,
            message="no person's sign-in has been proven yet: the prover is an automation",
            remedy="let one member of an admin group run `kubectl get nodes` before you approve",
        )


def _free_tier(case: Case) -> Iterator[Finding]:
    """W104: the Free tier has no redundant API server."""
    if case.posture.tier == "Free" and case.posture.identity is Identity.LEGACY:
        yield Finding(
            rule="W104",
            severity=Severity.WARNING,
            message="Free tier: the API server may be down while legacy integration is upgraded",
        )


RULES: Final[tuple[Rule, ...]] = (
    _tenant,
    _kubernetes_rbac,
    _no_group,
    _wanted_groups,
    _mail_groups,
    _dead_groups,
    _empty_groups,
    _prover,
    _stopped,
    _permissions,
    _locks,
    _reachable,
    _certificate_authority,
    _state,
    _azure_rbac,
    _unproven_person,
    _free_tier,
)


def preflight(case: Case) -> tuple[Finding, ...]:
    """All findings about one cluster, blockers first, then by rule."""
    order = list(Severity)
    found = [finding for rule in RULES for finding in rule(case)]
    return tuple(sorted(found, key=lambda finding: (order.index(finding.severity), finding.rule, finding.message)))


def _named(facts: GroupFacts) -> str:
    return f"{facts.display_name} ({facts.id})" if facts.display_name else facts.id
