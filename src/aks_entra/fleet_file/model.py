"""The fleet file: its clusters, their target, the prover, the rollout and its runs. Frozen, bounded and versioned.

The flow `migrate_fleet` takes the same model as its parameter. So this module checks everything that can be checked
without the file: allowed keys, bounds, and keys that exclude each other. `errors` adds the file, line and remedy.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, StrictBool, StrictInt, model_validator

from aks_entra.core.planning.fleet import ONE_STAGE, Fleet, ReadAs, WantedGroup, WantedTarget
from aks_entra.core.preflight import Skip, skip_refused
from aks_entra.core.target import AzureRbac, Keep, LocalAccounts, RotationPolicy
from aks_entra.fleet_file.clusters import ClustersFile, ExcludedFile
from aks_entra.fleet_file.errors import PAGE, Mistake, Mistakes
from aks_entra.fleet_file.fields import (
    MAX_CLUSTERS,
    Doors,
    Guid,
    Label,
    Named,
    Principals,
    RuleId,
    UniqueName,
    Version,
)
from aks_entra.fleet_file.hooks import HookFiles, listed_twice
from aks_entra.fleet_file.parsing import Kind, load, parse, schema_of, schema_text
from aks_entra.fleet_file.part import Part as _Part
from aks_entra.fleet_file.part import once
from aks_entra.fleet_file.prover import ProverFile
from aks_entra.fleet_file.rollout import ChangeTicket, RolloutFile
from aks_entra.fleet_file.runs import BY_HAND, RunsFile

_KIND: Final = Kind(name="fleet file", page=PAGE)


class AdminGroupFile(_Part):
    """An admin group: an existing group, by `id` or `name`, or a group to create."""

    id: Guid | None = None
    """Object id of an existing group."""
    name: Named | None = None
    """Display name of an existing group (only one group may have it), or of the group to create."""
    create: StrictBool = False
    """Create the group, unless a group with this `unique_name` exists."""
    unique_name: UniqueName | None = None
    """The `uniqueName` of the group, which never changes. Default: made from `name`."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """Description of the group to create."""
    members: Principals = ()
    """First members of the group to create: object ids or user principal names. The prover is added."""
    owners: Principals = ()
    """Owners of the group to create: object ids or user principal names."""

    @model_validator(mode="after")
    def _exists_or_is_created(self) -> AdminGroupFile:
        found = []
        if self.id is None and self.name is None:
            missing = "a group to create needs a name" if self.create else "this group has neither `id` nor `name`"
            remedy = "add `name: <group>`" if self.create else "add `id: <object id>` or `name: <group>`"
            raise Mistakes([Mistake(missing, remedy)])
        if self.create and self.id is not None:
            found.append(Mistake("a group with an id exists already", "remove `create: true` or `id`", at=("create",)))
        elif self.create and self.unique_name is None and not self.key:
            found.append(Mistake("no uniqueName can be made from this name", "add `unique_name: …`", at=("name",)))
        elif self.id is not None and self.name is not None:
            found.append(Mistake("a group has an id or a name, not both", "remove `name`", at=("name",)))
        if not self.create:
            found += [
                Mistake(
                    "this key is only for a group to create: existing groups are never changed",
                    f"add `create: true`, or remove `{name}`",
                    at=(name,),
                )
                for name in ("unique_name", "description", "members", "owners")
                if getattr(self, name)
            ]
        if found:
            raise Mistakes(found)
        return self

    @property
    def key(self) -> str:
        """The `uniqueName` of the group to create. It is empty if none can be made from the group's name."""
        made = re.sub(r"[^a-z0-9]+", "-", (self.name or "").casefold()).strip("-")
        return self.unique_name or (f"aks-entra-{made}"[:64] if made else "")

    def to_wanted(self) -> WantedGroup:
        """Return the same as a core value."""
        return WantedGroup(
            id=self.id,
            name=self.name,
            create=self.create,
            unique_name=self.key if self.create else None,
            description=self.description or "",
            members=self.members,
            owners=self.owners,
        )


class TargetFile(_Part):
    """The target state of each cluster."""

    tenant_id: Guid | None = None
    """Tenant of the admin groups. Default: the tenant of the cluster's subscription."""
    admin_groups: Annotated[tuple[AdminGroupFile, ...], Field(max_length=20)] = ()
    """Groups whose members administer the clusters. A cluster also keeps its present admin groups."""
    azure_rbac: AzureRbac = AzureRbac.KEEP
    """Azure RBAC for Kubernetes authorization."""
    local_accounts: LocalAccounts = LocalAccounts.OFF
    """Whether local accounts are turned off."""
    rotation: RotationPolicy = RotationPolicy.AT_ONCE
    """When the certificates are rotated. Only a rotation revokes old credentials; with `later` it stays owed."""
    doors: Doors = Field(default_factory=dict)
    """Other ways in that must be proven closed, such as `node-ssh: closed`. If one is open, the cluster fails."""
    keep: Keep | None = None
    """With `deny`, an Azure Policy assignment on each verified cluster denies that local accounts are turned on."""

    @model_validator(mode="after")
    def _keeps_what_is_off(self) -> TargetFile:
        if self.keep is not None and self.local_accounts is not LocalAccounts.OFF:
            remedy = "remove `keep`, or set `local_accounts: off`"
            raise Mistakes([Mistake("only local accounts that are off can be kept off", remedy, at=("keep",))])
        return self

    @model_validator(mode="after")
    def _groups_once(self) -> TargetFile:
        names = [group.id or (group.key if group.create else f"name:{group.name}") for group in self.admin_groups]
        once("admin_groups", names, "this group is listed twice", "remove one of the two")
        return self

    def to_wanted(self) -> WantedTarget:
        """Return the same as a core value."""
        return WantedTarget(
            tenant_id=self.tenant_id,
            admin_groups=tuple(group.to_wanted() for group in self.admin_groups),
            azure_rbac=self.azure_rbac,
            local_accounts=self.local_accounts,
            rotation=self.rotation,
            doors=tuple(sorted(self.doors)),
            keep=self.keep,
        )


class SkipFile(_Part):
    """A preflight rule to skip, and the reason."""

    rule: RuleId
    """Id of the rule, as docs/reference/preflight.md lists it. Rules that keep a way in open cannot be skipped."""
    reason: Named
    """The reason, such as a ticket. The plan, its digest and the report contain it."""

    @model_validator(mode="after")
    def _may_be(self) -> SkipFile:
        if why := skip_refused(self.to_skip()):
            raise Mistakes([Mistake(why, "see docs/reference/preflight.md", at=("rule",))])
        return self

    def to_skip(self) -> Skip:
        """Return the same as a core value."""
        return Skip(rule=self.rule, reason=self.reason)


class FleetFile(_Part):
    """A fleet: its clusters, their target, the prover and the rollout."""

    version: Version
    """Version of this format: 1."""
    name: Label
    """Name of the fleet, shown in plans, runs and reports."""
    clusters: Annotated[tuple[ClustersFile, ...], Field(min_length=1, max_length=MAX_CLUSTERS)]
    """The clusters of the fleet."""
    exclude: Annotated[tuple[ExcludedFile, ...], Field(max_length=MAX_CLUSTERS)] = ()
    """Clusters that `clusters` selects and that are left out. A name that matches no cluster is an error."""
    target: TargetFile
    """The target state of each cluster."""
    prover: ProverFile | None = None
    """The identity that proves sign-in. Default: the identity that runs the program."""
    rollout: RolloutFile | None = None
    """The order of the migration. Default: one stage with all clusters, behind one gate."""
    after: HookFiles = ()
    """What happens after the rotation of each cluster: hooks, in this order."""
    skip_rules: Annotated[tuple[SkipFile, ...], Field(max_length=100)] = ()
    """Preflight rules to skip, each with a reason."""
    audit_days: Annotated[StrictInt, Field(ge=0, le=730)] = 30
    """How many days of the clusters' audit logs to read from Log Analytics. 0: none."""
    read: ReadAs = ReadAs.PROVER
    """Who reads the workloads of a cluster before its migration. `admin-credential`: where the prover cannot, Azure
    hands out the cluster's admin credential for one read."""
    runs: RunsFile | None = None
    """The runs that `aks-entra deploy` makes, and what starts them. Default: all three, started by hand."""

    @model_validator(mode="after")
    def _rotates_once(self) -> FleetFile:
        soaks = self.rollout is not None and self.rollout.rotation is not None
        if soaks and "rotation" in self.target.model_fields_set and self.target.rotation is RotationPolicy.AT_ONCE:
            remedy = "remove it, or `rollout.rotation`"
            raise Mistakes(
                [Mistake("`rollout.rotation` already says when to rotate", remedy, at=("target", "rotation"))]
            )
        return self

    @model_validator(mode="after")
    def _hooks_once(self) -> FleetFile:
        found = [*listed_twice(self.after)]
        for at, stage in enumerate(self.rollout.stages if self.rollout else ()):
            found += listed_twice(stage.after, *self.after, at=("rollout", "stages", at, "after"))
        if found:
            raise Mistakes(found)
        return self

    @model_validator(mode="after")
    def _skips_once(self) -> FleetFile:
        rules = [skip.rule for skip in self.skip_rules]
        once("skip_rules", rules, "this rule is listed twice", "remove one of the two", "rule")
        return self

    @model_validator(mode="after")
    def _one_first_member(self) -> FleetFile:
        creates = [at for at, group in enumerate(self.target.admin_groups) if group.create]
        others = any(group.prover for stage in (self.rollout.stages if self.rollout else ()) for group in stage.groups)
        if creates and others:
            remedy = "create it first, with all provers as members, or remove `prover` from the groups of the rollout"
            at = ("target", "admin_groups", creates[0], "create")
            raise Mistakes([Mistake("a group to create gets one prover as its first member", remedy, at=at)])
        return self

    @property
    def deployed_runs(self) -> RunsFile:
        """The runs to deploy."""
        return self.runs or BY_HAND

    def to_parameter(self) -> dict[str, Any]:
        """Return the fleet as the parameter of a flow: its own values without `runs`, as JSON."""
        return self.model_dump(mode="json", exclude={"runs"}, exclude_defaults=True, by_alias=True)

    def to_fleet(self) -> Fleet:
        """Return the same as a core value."""
        soak = self.rollout.rotation.to_soak(self.rollout.approvers) if self.rollout and self.rollout.rotation else None
        target = self.target.to_wanted()
        return Fleet(
            name=self.name,
            selectors=tuple(entry.to_selector() for entry in self.clusters),
            excluded=tuple(entry.to_selector() for entry in self.exclude),
            target=replace(target, rotation=RotationPolicy.LATER) if soak else target,
            prover=self.prover.to_spec() if self.prover else None,
            stages=tuple(stage.to_spec(self.rollout.approvers) for stage in self.rollout.stages)
            if self.rollout
            else ONE_STAGE,
            skip_rules=tuple(skip.to_skip() for skip in self.skip_rules),
            ticket_required=bool(self.rollout and self.rollout.change_ticket is ChangeTicket.REQUIRED),
            audit_days=self.audit_days,
            read=self.read,
            rotation=soak,
            after=tuple(hook.to_hook() for hook in self.after),
        )


def load_fleet_file(path: Path) -> FleetFile:
    """Read and check a fleet file (`-`: standard input). Raises `Refused` with every problem: line, field, remedy."""
    return load(path, FleetFile, _KIND)


def parse_fleet_file(text: str, source: str) -> FleetFile:
    """Check the text of a fleet file. Errors call it `source`. Raises `Refused` as `load_fleet_file` does."""
    return parse(text, source, FleetFile, _KIND)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the fleet file, as in docs/reference/fleet-file.schema.json."""
    return schema_of(FleetFile, _KIND)


def json_schema_text() -> str:
    """Return the schema as the file contains it. `make docs` writes the file."""
    return schema_text(FleetFile, _KIND)


if __name__ == "__main__":
    sys.stdout.write(json_schema_text())
