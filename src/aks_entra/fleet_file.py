"""The fleet file: which clusters, what each should be, who proves it, and in which order. Frozen, bounded, versioned.

The same model is what the flow `migrate_fleet` takes as its parameters, so everything that can be said without the
file (allowed keys, bounds, what excludes what) is checked here; `fleet_file_errors` adds file, line and remedy.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, StrictBool, StrictInt, ValidationError, model_validator

from aks_entra.core.cluster import ClusterId
from aks_entra.core.fleet import (
    ONE_STAGE,
    Fleet,
    ProverSpec,
    Selector,
    WantedGroup,
    WantedTarget,
)
from aks_entra.core.preflight import Skip, skip_refused
from aks_entra.core.target import AzureRbac, LocalAccounts, RotationPolicy
from aks_entra.errors import Refused
from aks_entra.fleet_file_errors import Mistake, Mistakes, problems_of, refusal, unwritten
from aks_entra.fleet_file_fields import (
    MAX_CLUSTERS,
    ClusterResourceId,
    Guid,
    Label,
    Named,
    Principals,
    RuleId,
    Tags,
    UniqueName,
    Variable,
    Version,
)
from aks_entra.fleet_file_part import Part as _Part
from aks_entra.fleet_file_part import once, pairs
from aks_entra.fleet_file_rollout import ChangeTicket, RolloutFile
from aks_entra.yaml_lines import Problem, path_of, read

MAX_BYTES: Final = 1_048_576

_BEGIN: Final = "begin a fleet file with `version: 1`; docs/reference/fleet-file.md shows a whole one"


class ClustersFile(_Part):
    """Clusters of one subscription, narrowed by what else is set; or one cluster by its id."""

    id: ClusterResourceId | None = None
    """The ARM id of one cluster. Excludes the other keys."""
    subscription: Named | None = None
    """Id or display name of a subscription: all its clusters, unless narrowed."""
    resource_group: Named | None = None
    """Only clusters of this resource group."""
    name: Named | None = None
    """Only the cluster of this name."""
    tags: Tags | None = None
    """Only clusters that carry all these tags."""

    @model_validator(mode="after")
    def _one_way(self) -> ClustersFile:
        others = [name for name in ("subscription", "resource_group", "name", "tags") if getattr(self, name)]
        if self.id and others:
            raise Mistakes(
                Mistake("a cluster's id says it all", f"remove `{name}`, or `id`", at=(name,)) for name in others
            )
        if not self.id and not self.subscription:
            raise Mistakes([Mistake("no subscription is named", "add `subscription: <name or id>`, or use `id`")])
        return self

    def to_selector(self) -> Selector:
        """The same in the core's words."""
        if self.id:
            cluster = ClusterId.parse(self.id)
            return Selector(
                subscription=cluster.subscription_id.lower(), resource_group=cluster.resource_group, name=cluster.name
            )
        return Selector(
            subscription=self.subscription or "",
            resource_group=self.resource_group,
            name=self.name,
            tags=pairs(self.tags),
        )


class AdminGroupFile(_Part):
    """An admin group: one that exists, by `id` or `name`, or one to be created."""

    id: Guid | None = None
    """Object id of a group that exists."""
    name: Named | None = None
    """Display name: of a group that exists (only one may have it), or of the one to create."""
    create: StrictBool = False
    """Create the group unless it exists under `unique_name`."""
    unique_name: UniqueName | None = None
    """The alternate key under which the group is created, once and for all. Default: made from `name`."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """Description of the group to create."""
    members: Principals = ()
    """First members of the group to create: object ids or user principal names. The prover is added to them."""
    owners: Principals = ()
    """Owners of the group to create: object ids or user principal names."""

    @model_validator(mode="after")
    def _exists_or_is_created(self) -> AdminGroupFile:
        found = []
        if self.id is None and self.name is None:
            missing = "a group to create needs a name" if self.create else "a group with neither `id` nor `name`"
            remedy = "add `name: <group>`" if self.create else "add `id: <object id>` or `name: <group>`"
            raise Mistakes([Mistake(missing, remedy)])
        if self.create and self.id is not None:
            found.append(
                Mistake("a group with an id exists already", "remove `create: true`, or the id", at=("create",))
            )
        elif self.create and self.unique_name is None and not self.key:
            found.append(Mistake("no uniqueName can be made from this name", "add `unique_name: …`", at=("name",)))
        elif self.id is not None and self.name is not None:
            found.append(Mistake("a group has an id or a name, not both", "remove `name`", at=("name",)))
        if not self.create:
            found += [
                Mistake(
                    "only a group that is created gets this; existing groups are never changed",
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
        """The `uniqueName` under which the group is created; empty when none can be made from its name."""
        made = re.sub(r"[^a-z0-9]+", "-", (self.name or "").casefold()).strip("-")
        return self.unique_name or (f"aks-entra-{made}"[:64] if made else "")

    def to_wanted(self) -> WantedGroup:
        """The same in the core's words."""
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
    """What each cluster should be."""

    tenant_id: Guid | None = None
    """Tenant of the admin groups. Default: the tenant of the cluster's subscription."""
    admin_groups: Annotated[tuple[AdminGroupFile, ...], Field(max_length=20)] = ()
    """Groups whose members administer the clusters. A cluster's own groups are kept beside them."""
    azure_rbac: AzureRbac = AzureRbac.KEEP
    """Azure RBAC for Kubernetes authorization."""
    local_accounts: LocalAccounts = LocalAccounts.OFF
    """Whether local accounts are closed."""
    rotation: RotationPolicy = RotationPolicy.AT_ONCE
    """When the certificates are rotated, which alone ends old credentials. `later` leaves that owed, and says so."""

    @model_validator(mode="after")
    def _groups_once(self) -> TargetFile:
        names = [group.id or (group.key if group.create else f"name:{group.name}") for group in self.admin_groups]
        once("admin_groups", names, "this group is named twice", "remove one of the two")
        return self

    def to_wanted(self) -> WantedTarget:
        """The same in the core's words."""
        return WantedTarget(
            tenant_id=self.tenant_id,
            admin_groups=tuple(group.to_wanted() for group in self.admin_groups),
            azure_rbac=self.azure_rbac,
            local_accounts=self.local_accounts,
            rotation=self.rotation,
        )


class ProverFile(_Part):
    """The service principal that proves sign-in, if not the identity that runs."""

    client_id: Guid
    """Application (client) id."""
    tenant_id: Guid
    """Its tenant."""
    client_secret_env: Variable
    """Name of the environment variable that holds its secret, where the work is done. Never the secret."""

    def to_spec(self) -> ProverSpec:
        """The same in the core's words."""
        return ProverSpec(client_id=self.client_id, tenant_id=self.tenant_id, secret_from=self.client_secret_env)


class SkipFile(_Part):
    """A preflight rule that is passed over, and why."""

    rule: RuleId
    """Id of the rule, as docs/reference/preflight.md lists it. Rules that keep a way in open cannot be skipped."""
    reason: Named
    """Why, such as a ticket: it stands in the plan, its digest and the report."""

    @model_validator(mode="after")
    def _may_be(self) -> SkipFile:
        if why := skip_refused(self.to_skip()):
            raise Mistakes([Mistake(why, "see docs/reference/preflight.md", at=("rule",))])
        return self

    def to_skip(self) -> Skip:
        """The same in the core's words."""
        return Skip(rule=self.rule, reason=self.reason)


class FleetFile(_Part):
    """A fleet: its clusters, what they should be, who proves it, and the rollout."""

    version: Version
    """Version of this format: 1."""
    name: Label
    """Name of the fleet, shown in plans, runs and reports."""
    clusters: Annotated[tuple[ClustersFile, ...], Field(min_length=1, max_length=MAX_CLUSTERS)]
    """Which clusters belong to the fleet."""
    target: TargetFile
    """What each cluster should be."""
    prover: ProverFile | None = None
    """Who proves sign-in. Default: the identity that runs."""
    rollout: RolloutFile | None = None
    """The order. Default: one stage with every cluster, behind one gate."""
    skip_rules: Annotated[tuple[SkipFile, ...], Field(max_length=100)] = ()
    """Preflight rules that are passed over, each with a reason."""
    audit_days: Annotated[StrictInt, Field(ge=0, le=730)] = 30
    """How many days of the clusters' audit logs are asked in Log Analytics; 0: none."""

    @model_validator(mode="after")
    def _rotates_once(self) -> FleetFile:
        soaks = self.rollout is not None and self.rollout.rotation is not None
        if soaks and "rotation" in self.target.model_fields_set and self.target.rotation is RotationPolicy.AT_ONCE:
            remedy = "remove it, or `rollout.rotation`"
            raise Mistakes([Mistake("`rollout.rotation` says when", remedy, at=("target", "rotation"))])
        return self

    @model_validator(mode="after")
    def _skips_once(self) -> FleetFile:
        rules = [skip.rule for skip in self.skip_rules]
        once("skip_rules", rules, "this rule is skipped twice", "keep one of the two", "rule")
        return self

    def to_fleet(self) -> Fleet:
        """The same in the core's words."""
        soak = self.rollout.rotation.to_soak() if self.rollout and self.rollout.rotation else None
        target = self.target.to_wanted()
        return Fleet(
            name=self.name,
            selectors=tuple(entry.to_selector() for entry in self.clusters),
            target=replace(target, rotation=RotationPolicy.LATER) if soak else target,
            prover=self.prover.to_spec() if self.prover else None,
            stages=tuple(stage.to_spec() for stage in self.rollout.stages) if self.rollout else ONE_STAGE,
            skip_rules=tuple(skip.to_skip() for skip in self.skip_rules),
            ticket_required=bool(self.rollout and self.rollout.change_ticket is ChangeTicket.REQUIRED),
            audit_days=self.audit_days,
            rotation=soak,
        )


def load_fleet_file(path: Path) -> FleetFile:
    """Read and check a fleet file (`-`: standard input). Raises `Refused` with every problem: line, field, remedy."""
    return parse_fleet_file(_text_of(path), "standard input" if str(path) == "-" else str(path))


def parse_fleet_file(text: str, source: str) -> FleetFile:
    """Check the text of a fleet file; `source` is what errors call it. Raises `Refused` as `load_fleet_file` does."""
    document = read(text)
    problems = list(document.problems)
    if not document.readable:
        raise refusal(source, problems)
    if not isinstance(document.value, dict):
        if not problems:
            what = "is empty" if document.value is None else "is not a mapping: a fleet file is made of `key: value`"
            problems = [Problem(line=1, where="", message=what, remedy=_BEGIN)]
        raise refusal(source, problems)
    fleet = None
    try:
        fleet = FleetFile.model_validate(document.value)
    except ValidationError as error:
        problems += problems_of(error, FleetFile, document)
    problems += unwritten(document, [problem.where for problem in problems])
    if fleet is None or problems:
        raise refusal(source, problems)
    return fleet


def line_of(path: Path, field: str) -> int | None:
    """The line of a field such as `clusters[0].name`; None when the file cannot be read a second time."""
    if str(path) == "-":
        return None
    try:
        return read(_text_of(path)).line(path_of(field))
    except Refused:
        return None


def json_schema() -> dict[str, Any]:
    """The fleet file's JSON Schema (2020-12), as it stands in docs/reference/fleet-file.schema.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **FleetFile.model_json_schema(),
        "title": "aks-entra fleet file",
    }


def json_schema_text() -> str:
    """The schema as the file has it: `python -m aks_entra.fleet_file > docs/reference/fleet-file.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _text_of(path: Path) -> str:
    """A file's text. Refused when it is not there, not UTF-8, or larger than `MAX_BYTES`."""
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise Refused(f"{path}: larger than {MAX_BYTES // 1024} KiB", remedy="split the fleet into several files")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise Refused(f"{path}: no such file", remedy=_BEGIN) from None
    except IsADirectoryError:
        raise Refused(f"{path}: is a folder", remedy="name the file in it") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refused(f"{path}:{line}: is not UTF-8 text", remedy="save it with the encoding UTF-8") from None
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}", remedy="check its permissions") from None


if __name__ == "__main__":
    sys.stdout.write(json_schema_text())
