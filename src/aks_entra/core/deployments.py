"""A fleet's deployments at Prefect's server, and the automations that notify people: wanted, there, and the changes.

Pure: what is wanted and what is there come in as values, and changes go out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final


class ChangeKind(StrEnum):
    """What happens to a deployment or an automation."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    NOTHING = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment of a fleet. Two equal deployments need no change.

    `fleet` and `job_variables` are JSON with sorted keys. `runbook` names the flow's entrypoint and a checksum of
    what Prefect needs to run it. An empty `schedule` or `event` means that neither starts the deployment.
    """

    flow: str
    name: str  # of the fleet
    fleet: str
    schedule: str = ""
    event: str = ""
    pool: str = ""
    queue: str = ""
    job_variables: str = "{}"
    tags: tuple[str, ...] = ()
    description: str = ""
    runbook: str = ""

    @property
    def full_name(self) -> str:
        """The name under which Prefect knows it: `migrate-fleet/prod`."""
        return f"{self.flow}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """One automation that notifies people. Two equal automations need no change.

    `blocks` are the notification blocks as `TYPE/NAME`. `content` is a checksum of the trigger and of the messages.
    """

    name: str
    events: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    description: str = ""
    content: str = ""

    @property
    def full_name(self) -> str:
        """The name under which Prefect knows it: `aks-entra drift`."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that changes. An empty text means that the value is not set."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to one deployment or automation.

    `wanted` is None if it is removed, `found` is None if it is created.
    """

    kind: ChangeKind
    wanted: Deployment | Automation | None = None
    found: Deployment | Automation | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def name(self) -> str:
        """The name of the deployment, `migrate-fleet/prod`, or of the automation."""
        one = self.wanted or self.found
        return one.full_name if one else ""

    @property
    def of_automation(self) -> bool:
        """Whether an automation changes, and not a deployment."""
        return isinstance(self.wanted or self.found, Automation)


_NAMES: Final = frozenset({"flow", "name"})
_ORDER: Final = (ChangeKind.CREATE, ChangeKind.UPDATE, ChangeKind.NOTHING, ChangeKind.REMOVE)


def changes(wanted: Iterable[Deployment | Automation], found: Iterable[Deployment | Automation]) -> tuple[Change, ...]:
    """Return one change for each deployment or automation that is wanted or there. Removals come last."""
    there = {one.full_name: one for one in found}
    made = [_change(one, there.pop(one.full_name, None)) for one in wanted]
    made += [Change(kind=ChangeKind.REMOVE, found=one) for one in there.values()]
    return tuple(sorted(made, key=lambda one: (one.kind is ChangeKind.REMOVE, one.name)))


def summary(made: Iterable[Change]) -> str:
    """Return how many are created, updated, unchanged and removed, in one sentence."""
    kinds = [one.kind for one in made]
    words = {ChangeKind.CREATE: "to create", ChangeKind.UPDATE: "to update", ChangeKind.REMOVE: "to remove"}
    return ", ".join(f"{kinds.count(kind)} {words.get(kind, kind)}" for kind in _ORDER if kind in kinds) or "nothing"


def _change(wanted: Deployment | Automation, found: Deployment | Automation | None) -> Change:
    if found is None:
        return Change(kind=ChangeKind.CREATE, wanted=wanted)
    differences = tuple(
        Difference(field=one.name, before=_text(getattr(found, one.name)), after=_text(getattr(wanted, one.name)))
        for one in fields(wanted)
        if one.name not in _NAMES and getattr(found, one.name) != getattr(wanted, one.name)
    )
    kind = ChangeKind.UPDATE if differences else ChangeKind.NOTHING
    return Change(kind=kind, wanted=wanted, found=found, differences=differences)


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
