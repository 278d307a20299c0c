"""The rollout of a fleet file, in AKS Fleet Manager's terms: stages, groups, gates and concurrency.

A gate can be written as `true` or `false`, or as what it waits for. The program uses only the last form.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, StrictBool, ValidationInfo, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from aks_entra.core.durations import moment, span, stamp
from aks_entra.core.planning.approvers import LONGEST_SIGN_IN, Approvers
from aks_entra.core.planning.fleet import GroupSpec, StageSpec
from aks_entra.core.planning.gates import DAY, Gate, Hours
from aks_entra.core.planning.rollout import Soak
from aks_entra.fleet_file.errors import Mistake, Mistakes, shown
from aks_entra.fleet_file.fields import (
    MAX_CLUSTERS,
    ClockTime,
    Day,
    Guid,
    Instant,
    Label,
    Names,
    Span,
    Tags,
    TimeZone,
    WorkQueue,
)
from aks_entra.fleet_file.hooks import HookFiles
from aks_entra.fleet_file.part import Part, once, pairs
from aks_entra.fleet_file.prover import ProverFile

MAX_STAGES: Final = 100
HOUR: Final = 3600
SHORTEST_SIGN_IN: Final = 300
LOG_DAYS: Final = 90


class OrBoolean:
    """Adds to the JSON Schema that `true` and `false` are valid too."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Pydantic asks an annotation for its schema under this name."""
        return {"anyOf": [{"type": "boolean"}, handler(schema)]}


def _approval(value: Any) -> Any:
    return value if value is None else _or_boolean(value, "approval", lambda wanted: {"required": wanted})


def _gate(value: Any, info: ValidationInfo) -> Any:
    return _or_boolean(value, info.field_name or "gate_before", lambda wanted: {"approval": wanted})


def _or_boolean(value: Any, key: str, meant: Callable[[bool], Any]) -> Any:
    if isinstance(value, bool):
        return meant(value)
    if value is None or isinstance(value, str | int | float | list | tuple):
        found = f"the text {shown(value)}" if isinstance(value, str) else "this value"
        raise Mistake(
            f"must be true or false, or say what the gate waits for, not {found}",
            f"write `{key}: true`, `{key}: false`, or keys and values below it",
        )
    return value


def _seconds(text: str) -> int:
    return int(span(text).total_seconds())


class GroupFile(Part):
    """The clusters with one of these names or resource groups, or with all these tags, or the rest."""

    name: Label
    """Name of the group, once per stage."""
    clusters: Names = ()
    """Cluster names, or `resource-group/name`."""
    resource_groups: Names = ()
    """All clusters of these resource groups."""
    tags: Tags | None = None
    """All clusters with all these tags."""
    rest: StrictBool = False
    """All clusters that are in no other group. Allowed once per rollout."""
    work_queue: WorkQueue | None = None
    """Name of a Prefect work queue. Its workers plan, migrate and prove these clusters. Default: the deployment's."""
    prover: ProverFile | None = None
    """The identity that proves sign-in at these clusters. Default: the fleet's prover."""

    @model_validator(mode="after")
    def _takes_some(self) -> GroupFile:
        if not (self.clusters or self.resource_groups or self.tags or self.rest):
            raise Mistakes(
                [Mistake("this group selects no cluster", "add `clusters`, `resource_groups`, `tags` or `rest: true`")]
            )
        return self

    def to_spec(self) -> GroupSpec:
        """Return the same as a core value."""
        return GroupSpec(
            name=self.name,
            clusters=self.clusters,
            resource_groups=self.resource_groups,
            tags=pairs(self.tags),
            rest=self.rest,
            work_queue=self.work_queue or "",
            prover=self.prover.to_spec() if self.prover else None,
        )


class Excluded(StrEnum):
    """Who may not approve, although the groups contain the person."""

    REQUESTER = "requester"


class ApproversFile(Part):
    """The people who have to sign an approval at Microsoft Entra ID."""

    tenant_id: Guid
    """Tenant in which they sign in."""
    client_id: Guid
    """The application through which they sign in. `aks-entra approvals setup` prints how to make it."""
    groups: Annotated[tuple[Guid, ...], Field(min_length=1, max_length=20)]
    """Object ids of the groups whose members may approve."""
    at_least: Annotated[int, Field(ge=1, le=10, strict=True)] = 1
    """How many different people have to sign."""
    not_: Annotated[Excluded | None, Field(alias="not")] = None
    """`requester`: the person who started the run may not approve it."""
    sign_in_expires_after: Span = "24h"
    """How long after a sign-in the person may sign with it, 5m to 24h."""

    @model_validator(mode="after")
    def _within_a_day(self) -> ApproversFile:
        if not SHORTEST_SIGN_IN <= _seconds(self.sign_in_expires_after) <= LONGEST_SIGN_IN:
            wrong = f"a sign-in cannot sign for {self.sign_in_expires_after}"
            raise Mistakes([Mistake(wrong, "write 5m to 24h", at=("sign_in_expires_after",))])
        return self

    @model_validator(mode="after")
    def _groups_once(self) -> ApproversFile:
        once("groups", list(self.groups), "this group is listed twice", "remove one of the two")
        return self

    def to_approvers(self) -> Approvers:
        """Return the same as a core value."""
        return Approvers(
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            groups=self.groups,
            at_least=self.at_least,
            not_requester=self.not_ is Excluded.REQUESTER,
            sign_in_expires_after=_seconds(self.sign_in_expires_after),
        )


class ApprovalFile(Part):
    """A person's decision about the exact plan when the stage begins."""

    required: StrictBool = True
    """`false`: nobody is asked, as with `approval: false`."""
    expires_after: Span = "24h"
    """How long an approval is valid before its stage begins. After that a new approval is needed."""
    approvers: ApproversFile | None = None
    """Who has to sign the approval. Default: the approvers of the rollout."""

    @model_validator(mode="after")
    def _asks_them(self) -> ApprovalFile:
        if self.approvers and not self.required:
            remedy = "remove `approvers`, or `required: false`"
            raise Mistakes([Mistake("nobody is asked, so nobody can sign", remedy, at=("approvers",))])
        return self


class WindowFile(Part):
    """A weekly window of time."""

    days: Annotated[tuple[Day, ...], Field(max_length=7)] = ()
    """The days on which the window opens. Default: every day."""
    start: ClockTime
    """When the window opens, such as "02:00"."""
    end: ClockTime
    """When the window closes. A time before `start` is on the next day."""
    timezone: TimeZone = "UTC"
    """The IANA name of the time zone, such as Europe/Amsterdam."""

    @model_validator(mode="after")
    def _lasts(self) -> WindowFile:
        if self.start == self.end:
            raise Mistakes([Mistake("the window closes when it opens", "write another `end`", at=("end",))])
        once("days", list(self.days), "this day is listed already", "list each day once")
        return self

    def to_hours(self) -> Hours:
        """Return the same as a core value."""
        return Hours(start=self.start, end=self.end, days=self.days, timezone=self.timezone)


class GateFile(Part):
    """What a gate before or after a stage waits for. All conditions must be met."""

    approval: Annotated[ApprovalFile | None, BeforeValidator(_approval), OrBoolean()] = None
    """Whether a person must approve. Default: `true` before a stage, `false` after one."""
    wait: Span | None = None
    """How long to wait after the gate is reached."""
    not_before: Instant | None = None
    """The earliest time, with its offset, such as 2026-12-01T22:00Z."""
    window: WindowFile | None = None
    """No cluster is started outside this window."""
    maintenance_window: StrictBool = False
    """No cluster is started outside its own maintenance window in Azure. A cluster without one does not wait."""
    quiet: Span | None = None
    """How long the clusters' audit logs must show no caller with an old credential. An unknown log never opens it."""

    @model_validator(mode="after")
    def _hears_enough(self) -> GateFile:
        if self.quiet and not HOUR <= _seconds(self.quiet) <= LOG_DAYS * DAY:
            remedy = f"write a time from 1h to {LOG_DAYS}d, such as `quiet: 7d`"
            raise Mistakes([Mistake(f"the audit logs cannot be judged for {self.quiet}", remedy, at=("quiet",))])
        return self

    def to_gate(self, *, approval: bool, approvers: ApproversFile | None = None) -> bool | Gate:
        """Return the same as a core value.

        `approval` is the default for a gate that does not say whether to ask, `approvers` for one that does not say
        who signs.
        """
        wanted = self.approval or ApprovalFile(required=approval)
        signers = (wanted.approvers or approvers) if wanted.required else None
        gate = Gate(
            approval=wanted.required,
            expires_after=_seconds(wanted.expires_after),
            wait=_seconds(self.wait) if self.wait else 0,
            not_before=stamp(moment(self.not_before)) if self.not_before else "",
            window=self.window.to_hours() if self.window else None,
            maintenance_window=self.maintenance_window,
            approvers=signers.to_approvers() if signers else None,
            quiet=_seconds(self.quiet) if self.quiet else 0,
        )
        return gate.approval if gate in {Gate(), Gate(approval=False)} else gate


GateOrBoolean = Annotated[GateFile, BeforeValidator(_gate), OrBoolean()]


class StageFile(Part):
    """One stage of the rollout. The next stage starts only if this one ended within its failure budget."""

    name: Label
    """Name of the stage."""
    groups: Annotated[tuple[GroupFile, ...], Field(min_length=1, max_length=MAX_STAGES)]
    """The clusters of the stage, in groups."""
    max_concurrency: Annotated[int, Field(ge=1, le=1000, strict=True)] = 5
    """How many clusters are migrated at a time."""
    max_allowed_failures: Annotated[int, Field(ge=0, le=MAX_CLUSTERS, strict=True)] = 0
    """With more failures than this, the following stages are not started."""
    max_concurrency_per_subscription: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    """How many clusters of one subscription are migrated at a time. Default: `max_concurrency`."""
    batch_size: Annotated[int, Field(ge=1, le=MAX_CLUSTERS, strict=True)] | None = None
    """How many clusters one process migrates. Default: all clusters of the stage."""
    gate_before: GateOrBoolean = GateFile(approval=ApprovalFile())
    """The gate before the stage: `true` for an approval, `false` for no gate, or what the gate waits for."""
    gate_after: GateOrBoolean = GateFile(approval=ApprovalFile(required=False))
    """The gate after the stage."""
    after: HookFiles = ()
    """What happens after the rotation of each cluster of the stage, in addition to the hooks of the fleet."""

    @model_validator(mode="after")
    def _listens_before(self) -> StageFile:
        if self.gate_after.quiet:
            remedy = "write it below `gate_before`, or below `gate` of `rotation`"
            raise Mistakes([Mistake("a gate after a stage cannot wait for this", remedy, at=("gate_after", "quiet"))])
        return self

    @model_validator(mode="after")
    def _names_once(self) -> StageFile:
        names = [group.name.casefold() for group in self.groups]
        once(
            "groups",
            names,
            "another group of the stage has this name",
            "give each group of a stage its own name",
            "name",
        )
        return self

    def to_spec(self, approvers: ApproversFile | None = None) -> StageSpec:
        """Return the same as a core value. `approvers`: those of the rollout."""
        return StageSpec(
            name=self.name,
            groups=tuple(group.to_spec() for group in self.groups),
            max_concurrency=self.max_concurrency,
            max_allowed_failures=self.max_allowed_failures,
            gate_before=self.gate_before.to_gate(approval=True, approvers=approvers),
            gate_after=self.gate_after.to_gate(approval=False, approvers=approvers),
            batch_size=self.batch_size,
            max_concurrency_per_subscription=self.max_concurrency_per_subscription,
            after=tuple(hook.to_hook() for hook in self.after),
        )


class ChangeTicket(StrEnum):
    """Whether an approval must name a change ticket."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class RotationFile(Part):
    """A separate rotation: after a soak period, with its own gate, plan and approval."""

    after: Span
    """The soak period: the minimum time between the end of a stage and the rotation of its clusters."""
    gate: GateOrBoolean = GateFile(approval=ApprovalFile())
    """The gate before the rotation, as before a stage."""

    def to_soak(self, approvers: ApproversFile | None = None) -> Soak:
        """Return the same as a core value. `approvers`: those of the rollout."""
        return Soak(after=_seconds(self.after), gate=self.gate.to_gate(approval=True, approvers=approvers))


class RolloutFile(Part):
    """The order in which the clusters are migrated."""

    stages: Annotated[tuple[StageFile, ...], Field(min_length=1, max_length=MAX_STAGES)]
    """The stages, in order."""
    change_ticket: ChangeTicket = ChangeTicket.OPTIONAL
    """Whether an approval must name a change ticket."""
    approvers: ApproversFile | None = None
    """Who has to sign the approvals of all gates at Microsoft Entra ID. Default: nobody; a typed name is a claim."""
    rotation: RotationFile | None = None
    """Rotates the certificates later in the same rollout, instead of in the stages."""

    @model_validator(mode="after")
    def _each_once(self) -> RolloutFile:
        found: list[Mistake] = []
        stages: set[str] = set()
        named: set[str] = set()
        rest = False
        for at, stage in enumerate(self.stages):
            if stage.name.casefold() in stages:
                remedy = "give each stage its own name"
                found.append(Mistake("another stage has this name", remedy, at=("stages", at, "name")))
            stages.add(stage.name.casefold())
            for inner, group in enumerate(stage.groups):
                here = ("stages", at, "groups", inner)
                if group.rest and rest:
                    remedy = "keep `rest: true` in only one group of the rollout"
                    found.append(Mistake("another group already takes the rest", remedy, at=(*here, "rest")))
                rest = rest or group.rest
                for index, cluster in enumerate(group.clusters):
                    if cluster.casefold() in named:
                        message = f"{cluster} is already in an earlier group"
                        found.append(Mistake(message, "list each cluster once", at=(*here, "clusters", index)))
                    named.add(cluster.casefold())
        if found:
            raise Mistakes(found)
        return self
