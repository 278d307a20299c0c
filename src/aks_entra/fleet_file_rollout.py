"""The rollout of a fleet file, in AKS Fleet Manager's words: stages, groups, gates, how many at a time.

A gate is written as `true`, `false`, or as what it waits for; inside there is only the last form.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, StrictBool, ValidationInfo, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from aks_entra.core.durations import moment, span, stamp
from aks_entra.core.fleet import GroupSpec, StageSpec
from aks_entra.core.gates import Gate, Hours
from aks_entra.core.rollout import Soak
from aks_entra.fleet_file_errors import Mistake, Mistakes, shown
from aks_entra.fleet_file_fields import (
    MAX_CLUSTERS,
    ClockTime,
    Day,
    Instant,
    Label,
    Names,
    Span,
    Tags,
    TimeZone,
)
from aks_entra.fleet_file_part import Part, once, pairs

MAX_STAGES: Final = 100


class OrBoolean:
    """Says in the JSON Schema that `true` and `false` are understood as well."""

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
        found = f"the text {shown(value)}" if isinstance(value, str) else "what stands there"
        raise Mistake(
            f"must be true or false, or what is waited for, not {found}",
            f"write `{key}: true`, `{key}: false`, or keys and values below it",
        )
    return value


def _seconds(text: str) -> int:
    return int(span(text).total_seconds())


class GroupFile(Part):
    """Members of a stage: the clusters with one of these names, resource groups or all these tags; or the rest."""

    name: Label
    """Name of the group, once per stage."""
    clusters: Names = ()
    """Cluster names, or `resource-group/name`."""
    resource_groups: Names = ()
    """All clusters of these resource groups."""
    tags: Tags | None = None
    """All clusters that carry all these tags."""
    rest: StrictBool = False
    """All clusters that no other group takes. Once per rollout."""

    @model_validator(mode="after")
    def _takes_some(self) -> GroupFile:
        if not (self.clusters or self.resource_groups or self.tags or self.rest):
            raise Mistakes(
                [Mistake("a group that takes no cluster", "add `clusters`, `resource_groups`, `tags` or `rest: true`")]
            )
        return self

    def to_spec(self) -> GroupSpec:
        """The same in the core's words."""
        return GroupSpec(
            name=self.name,
            clusters=self.clusters,
            resource_groups=self.resource_groups,
            tags=pairs(self.tags),
            rest=self.rest,
        )


class ApprovalFile(Part):
    """A person's decision on exactly the plan, as it is when the stage begins."""

    required: StrictBool = True
    """`false`: nobody is asked. The same as `approval: false`."""
    expires_after: Span = "24h"
    """How long an approval counts until its stage begins; after that it is asked for again."""


class WindowFile(Part):
    """A time that comes back every week."""

    days: Annotated[tuple[Day, ...], Field(max_length=7)] = ()
    """On which days it begins. Default: every day."""
    start: ClockTime
    """When it opens, such as "02:00"."""
    end: ClockTime
    """When it closes; where that is earlier than `start`, on the next day."""
    timezone: TimeZone = "UTC"
    """IANA's name of the time zone, such as Europe/Amsterdam."""

    @model_validator(mode="after")
    def _lasts(self) -> WindowFile:
        if self.start == self.end:
            raise Mistakes([Mistake("a window that closes when it opens", "give it another `end`", at=("end",))])
        once("days", list(self.days), "this day stands here already", "name it once")
        return self

    def to_hours(self) -> Hours:
        """The same in the core's words."""
        return Hours(start=self.start, end=self.end, days=self.days, timezone=self.timezone)


class GateFile(Part):
    """What is waited for on one side of a stage: all of it."""

    approval: Annotated[ApprovalFile | None, BeforeValidator(_approval), OrBoolean()] = None
    """Whether a person decides. Default: `true` before a stage, `false` after one."""
    wait: Span | None = None
    """How long to wait once the gate was reached."""
    not_before: Instant | None = None
    """A moment with its offset, such as 2026-12-01T22:00Z."""
    window: WindowFile | None = None
    """No cluster is begun outside of it."""
    maintenance_window: StrictBool = False
    """No cluster is begun outside its own maintenance configuration in Azure; one that has none is not held up."""

    def to_gate(self, *, approval: bool) -> bool | Gate:
        """The same in the core's words; `approval`: what counts where nothing is said of it."""
        wanted = self.approval or ApprovalFile(required=approval)
        gate = Gate(
            approval=wanted.required,
            expires_after=_seconds(wanted.expires_after),
            wait=_seconds(self.wait) if self.wait else 0,
            not_before=stamp(moment(self.not_before)) if self.not_before else "",
            window=self.window.to_hours() if self.window else None,
            maintenance_window=self.maintenance_window,
        )
        return gate.approval if gate in {Gate(), Gate(approval=False)} else gate


GateOrBoolean = Annotated[GateFile, BeforeValidator(_gate), OrBoolean()]


class StageFile(Part):
    """One wave of the rollout. The next begins only when this one ended within its failure budget."""

    name: Label
    """Name of the stage."""
    groups: Annotated[tuple[GroupFile, ...], Field(min_length=1, max_length=MAX_STAGES)]
    """Who belongs to it."""
    max_concurrency: Annotated[int, Field(ge=1, le=100, strict=True)] = 5
    """How many clusters are worked on at a time."""
    max_allowed_failures: Annotated[int, Field(ge=0, le=MAX_CLUSTERS, strict=True)] = 0
    """With more failures than this the stages after it are not started."""
    max_concurrency_per_subscription: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    """How many clusters of one subscription are worked on at a time. Default: as many as `max_concurrency`."""
    batch_size: Annotated[int, Field(ge=1, le=MAX_CLUSTERS, strict=True)] | None = None
    """How many clusters one process works on. Default: all of the stage."""
    gate_before: GateOrBoolean = GateFile(approval=ApprovalFile())
    """What is waited for before it begins: `true` for an approval, `false` for nothing, or what the gate waits for."""
    gate_after: GateOrBoolean = GateFile(approval=ApprovalFile(required=False))
    """What is waited for after it ended."""

    @model_validator(mode="after")
    def _names_once(self) -> StageFile:
        names = [group.name.casefold() for group in self.groups]
        once("groups", names, "a second group of this name", "give each group of a stage a name of its own", "name")
        return self

    def to_spec(self) -> StageSpec:
        """The same in the core's words."""
        return StageSpec(
            name=self.name,
            groups=tuple(group.to_spec() for group in self.groups),
            max_concurrency=self.max_concurrency,
            max_allowed_failures=self.max_allowed_failures,
            gate_before=self.gate_before.to_gate(approval=True),
            gate_after=self.gate_after.to_gate(approval=False),
            batch_size=self.batch_size,
            max_concurrency_per_subscription=self.max_concurrency_per_subscription,
        )


class ChangeTicket(StrEnum):
    """Whether an approval has to name a change ticket."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class RotationFile(Part):
    """The rotation as a part of its own: after a soak, behind a gate, under a plan and an approval of its own."""

    after: Span
    """How long after the end of its stage a cluster is rotated, at the earliest."""
    gate: GateOrBoolean = GateFile(approval=ApprovalFile())
    """What else is waited for, as before a stage."""

    def to_soak(self) -> Soak:
        """The same in the core's words."""
        return Soak(after=_seconds(self.after), gate=self.gate.to_gate(approval=True))


class RolloutFile(Part):
    """In which order clusters are migrated."""

    stages: Annotated[tuple[StageFile, ...], Field(min_length=1, max_length=MAX_STAGES)]
    """The waves, in order."""
    change_ticket: ChangeTicket = ChangeTicket.OPTIONAL
    """Whether an approval has to name a change ticket."""
    rotation: RotationFile | None = None
    """When the certificates are rotated that the stages leave as they are: later in the same rollout."""

    @model_validator(mode="after")
    def _each_once(self) -> RolloutFile:
        found: list[Mistake] = []
        stages: set[str] = set()
        named: set[str] = set()
        rest = False
        for at, stage in enumerate(self.stages):
            if stage.name.casefold() in stages:
                remedy = "give each stage a name of its own"
                found.append(Mistake("a second stage of this name", remedy, at=("stages", at, "name")))
            stages.add(stage.name.casefold())
            for inner, group in enumerate(stage.groups):
                here = ("stages", at, "groups", inner)
                if group.rest and rest:
                    remedy = "keep `rest: true` in one group of the whole rollout"
                    found.append(Mistake("a second group that takes the rest", remedy, at=(*here, "rest")))
                rest = rest or group.rest
                for index, cluster in enumerate(group.clusters):
                    if cluster.casefold() in named:
                        message = f"{cluster} is in a group before this one already"
                        found.append(Mistake(message, "name it once", at=(*here, "clusters", index)))
                    named.add(cluster.casefold())
        if found:
            raise Mistakes(found)
        return self
