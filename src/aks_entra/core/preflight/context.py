"""The input of the rules: a cluster's posture and target, the facts about its surroundings, and its steps."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.cluster import Identity, Posture, same_id
from aks_entra.core.preflight.facts import Facts, GroupFacts
from aks_entra.core.steps import DisableLocalAccounts, Guarded, RotateCertificates, Step, writes
from aks_entra.core.target import AzureRbac, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cluster as the rules see it."""

    posture: Posture
    target: Target
    facts: Facts
    steps: tuple[Step, ...]

    def group(self, group_id: str) -> GroupFacts | None:
        """Return the facts about an admin group by its object id, or None if it was not read."""
        return next((group for group in self.facts.groups if same_id(group.id, group_id)), None)

    @property
    def admin_group_ids(self) -> tuple[str, ...]:
        """Object ids of existing groups that will be admin groups: the cluster's own and the target's."""
        wanted = tuple(group.id for group in self.target.admin_groups if group.id)
        own = self.posture.admin_group_ids if self.posture.identity is Identity.MANAGED else ()
        return tuple(dict.fromkeys(group_id.lower() for group_id in (*own, *wanted)))

    @property
    def creates_group(self) -> bool:
        """Whether the plan creates a group. The prover becomes its first member."""
        return any(group.id is None for group in self.target.admin_groups)

    @property
    def closes(self) -> bool:
        """Whether the plan closes or interrupts a way in."""
        return any(isinstance(step, DisableLocalAccounts | RotateCertificates) for step in self.steps)

    @property
    def rotates(self) -> bool:
        """Whether the plan rotates certificates, which recreates nodes and revokes old credentials."""
        return any(isinstance(step, RotateCertificates) for step in self.steps)

    @property
    def writes(self) -> bool:
        """Whether the plan changes the cluster."""
        return any(writes(step) for step in self.steps)

    @property
    def at_work(self) -> bool:
        """Whether the plan has steps and the cluster is running."""
        return bool(self.steps) and not self.posture.stopped

    @property
    def outcome(self) -> Guarded:
        """The state after all steps."""
        state = Guarded.of(self.posture)
        for step in self.steps:
            state = state.after(step)
        return state

    @property
    def azure_rbac(self) -> bool:
        """Whether role assignments count inside the cluster after the steps."""
        if self.target.azure_rbac is AzureRbac.KEEP:
            return self.posture.azure_rbac and self.posture.identity is Identity.MANAGED
        return self.target.azure_rbac is AzureRbac.ON

    @property
    def by_role(self) -> bool | None:
        """Whether the prover can sign in by role: it has Cluster Admin, and Azure RBAC will be on. None: unknown."""
        return self.facts.prover_is_cluster_admin if self.azure_rbac else False

    @property
    def living_groups(self) -> tuple[GroupFacts, ...]:
        """The admin groups that let their members in: they exist and are security-enabled."""
        found = (self.group(group_id) for group_id in self.admin_group_ids)
        return tuple(
            facts for facts in found if facts and facts.exists and facts.deleted_on is None and facts.security_enabled
        )

    @property
    def way_in(self) -> bool:
        """Whether somebody can sign in: a member of a working admin group, or the prover by role."""
        return self.creates_group or bool(self.by_role) or any(may_have_members(facts) for facts in self.living_groups)


def may_have_members(facts: GroupFacts) -> bool:
    """Whether a group has active or eligible members, as far as is known."""
    return facts.members != 0 or facts.eligible != 0


def named(facts: GroupFacts) -> str:
    """Return `aks-admins (id)`, or the id of a group without a name."""
    return f"{facts.display_name} ({facts.id})" if facts.display_name else facts.id


def listed(names: tuple[str, ...], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
