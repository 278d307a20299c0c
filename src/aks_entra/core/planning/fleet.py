"""A fleet as the fleet file describes it: clusters, target, prover and rollout."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.hooks.model import Hook
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.core.planning.rollout import MemberGroup, Soak, Stage
from aks_entra.core.preflight import Skip
from aks_entra.core.target import AzureRbac, Keep, LocalAccounts, RotationPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Selects clusters by the other fields, of a subscription (id or name), a management group or the whole tenant.

    ARM names ignore case. A selector that excludes clusters may name no subscription: then it counts everywhere.
    """

    subscription: str = ""
    management_group: str | None = None
    tenant: bool = False
    resource_group: str | None = None
    name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def wide(self) -> bool:
        """Whether the selector reaches over several subscriptions."""
        return self.tenant or self.management_group is not None

    @property
    def place(self) -> str:
        """Where it selects clusters, in words."""
        if self.management_group is not None:
            return f"management group {self.management_group}"
        return "the tenant" if self.tenant else f"subscription {self.subscription}"

    def matches(self, posture: Posture) -> bool:
        """Whether the selector selects a cluster of its place. Only tag values are case-sensitive."""
        cluster = posture.cluster
        tags = {name.casefold(): value for name, value in posture.tags}
        return (
            (self.resource_group is None or self.resource_group.casefold() == cluster.resource_group.casefold())
            and (self.name is None or self.name.casefold() == cluster.name.casefold())
            and all(tags.get(name.casefold()) == value for name, value in self.tags)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGroup:
    """An admin group by `id` or `name`, or one to create. Members and owners are ids or names."""

    id: str | None = None
    name: str | None = None
    create: bool = False
    unique_name: str | None = None
    description: str = ""
    members: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTarget:
    """The target before names became ids. `tenant_id` None: the tenant of the cluster's subscription."""

    tenant_id: str | None = None
    admin_groups: tuple[WantedGroup, ...] = ()
    azure_rbac: AzureRbac = AzureRbac.KEEP
    local_accounts: LocalAccounts = LocalAccounts.OFF
    rotation: RotationPolicy = RotationPolicy.AT_ONCE
    doors: tuple[str, ...] = ()  # ids of the kinds of doors that must be proven closed, sorted
    keep: Keep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """Clusters of a stage, by tags, names or resource groups. `rest` takes all other clusters."""

    name: str
    clusters: tuple[str, ...] = ()  # names, or resource-group/name
    resource_groups: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    rest: bool = False
    work_queue: str = ""  # whose workers read and prove these clusters; empty: the queue of the deployment
    prover: ProverSpec | None = None  # who proves sign-in there; None: the fleet's prover

    def takes(self, posture: Posture) -> bool:
        """Whether the group takes this cluster by name, resource group or tags. `rest` does not count."""
        own = {str(posture.cluster).casefold(), posture.cluster.name.casefold()}
        tags = {name.casefold(): value for name, value in posture.tags}
        return (
            bool(own & {name.casefold() for name in self.clusters})
            or posture.cluster.resource_group.casefold() in {name.casefold() for name in self.resource_groups}
            or (bool(self.tags) and all(tags.get(name.casefold()) == value for name, value in self.tags))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage of the rollout in the fleet file."""

    name: str
    groups: tuple[GroupSpec, ...]
    max_concurrency: int = 5
    max_allowed_failures: int = 0
    gate_before: bool | Gate = True
    gate_after: bool | Gate = False
    batch_size: int | None = None
    max_concurrency_per_subscription: int | None = None
    after: tuple[Hook, ...] = ()


class ReadAs(StrEnum):
    """With whose credential preflight reads the workloads of clusters in which the prover cannot read them."""

    PROVER = "prover"
    ADMIN_CREDENTIAL = "admin-credential"  # Azure hands it out for this one read


AUDIT_DAYS = 30
"""How many days of audit logs are read from Log Analytics."""

ONE_STAGE = (StageSpec(name="all", groups=(GroupSpec(name="all", rest=True),)),)
"""The default rollout: every cluster in one stage, behind one gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A whole fleet file."""

    name: str
    selectors: tuple[Selector, ...]
    target: WantedTarget
    excluded: tuple[Selector, ...] = ()  # clusters of these selectors are not in the fleet
    prover: ProverSpec | None = None
    stages: tuple[StageSpec, ...] = ONE_STAGE
    skip_rules: tuple[Skip, ...] = ()
    ticket_required: bool = False
    audit_days: int = AUDIT_DAYS  # days of audit logs to read from Log Analytics; 0: none
    read: ReadAs = ReadAs.PROVER
    rotation: Soak | None = None  # when the rotation follows, if the target says `later`
    after: tuple[Hook, ...] = ()  # what happens after the rotation of each cluster


def arrange(stages: tuple[StageSpec, ...], postures: tuple[Posture, ...]) -> tuple[Stage, ...]:
    """Put every cluster into the first group that takes it, or else into the group that takes the rest.

    Raises `ValueError` with the clusters that no group takes. Stages and groups without clusters are left out.
    The provers of groups are not in the result: only a sign-in shows their object ids.
    """
    rest = next((group for stage in stages for group in stage.groups if group.rest), None)
    members: dict[int, list[ClusterId]] = {}
    orphans = []
    for posture in sorted(postures, key=lambda one: one.cluster.key):
        taking = next((group for stage in stages for group in stage.groups if group.takes(posture)), rest)
        if taking is None:
            orphans.append(str(posture.cluster))
        else:
            members.setdefault(id(taking), []).append(posture.cluster)
    if orphans:
        raise ValueError(f"no group of the rollout takes {', '.join(orphans)}; add a group with `rest: true`")
    arranged = []
    for stage in stages:
        groups = tuple(
            MemberGroup(name=group.name, members=tuple(members[id(group)]), work_queue=group.work_queue)
            for group in stage.groups
            if id(group) in members
        )
        if groups:
            arranged.append(
                Stage(
                    name=stage.name,
                    groups=groups,
                    max_concurrency=stage.max_concurrency,
                    max_allowed_failures=stage.max_allowed_failures,
                    gate_before=stage.gate_before,
                    gate_after=stage.gate_after,
                    batch_size=stage.batch_size,
                    max_concurrency_per_subscription=stage.max_concurrency_per_subscription,
                    after=stage.after,
                )
            )
    return tuple(arranged)
