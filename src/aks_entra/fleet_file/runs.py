"""Which runs of a fleet are deployed, and what starts each. `aks-entra deploy` reads it; no plan depends on it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import StrictBool, model_validator

from aks_entra.fleet_file.errors import Mistake, Mistakes
from aks_entra.fleet_file.fields import Cron, Named, TimeZone
from aks_entra.fleet_file.part import Part


class RunFile(Part):
    """What starts one kind of run. A person can start it too."""

    cron: Cron | None = None
    """Five fields: minute, hour, day of the month, month, day of the week."""
    timezone: TimeZone = "UTC"
    """The IANA name of the time zone of `cron`, such as Europe/Amsterdam."""
    on_event: StrictBool = False
    """Whether `aks-entra request` and the same event from other programs start it."""

    @model_validator(mode="after")
    def _has_a_schedule(self) -> RunFile:
        if "timezone" in self.model_fields_set and self.cron is None:
            raise Mistakes(
                [Mistake("a time zone needs a schedule", "add `cron: …`, or remove `timezone`", at=("timezone",))]
            )
        return self


class RunsFile(Part):
    """The runs of the fleet that `aks-entra deploy` makes. A run without an entry is not deployed."""

    migrate: RunFile | None = None
    """Plans the fleet, waits at its gates, and migrates."""
    verify: RunFile | None = None
    """Verifies each cluster from outside. It only reads."""
    inventory: RunFile | None = None
    """Lists the clusters. It only reads."""

    def deployed(self) -> Iterator[tuple[str, RunFile]]:
        """Yield the runs to deploy: `migrate`, `verify` or `inventory`, and what starts it."""
        for name in type(self).model_fields:
            run = getattr(self, name)
            if run is not None:
                yield name, run


BY_HAND = RunsFile(migrate=RunFile(), verify=RunFile(), inventory=RunFile())
"""The runs of a fleet file without `runs`."""


class RequestFile(Part):
    """What the event that asks for a run can say about it. The gate shows it to the approver."""

    ticket: Named | None = None
    """Number of the change ticket."""
    reason: Named | None = None
    """The reason of the request."""
    by: Named | None = None
    """Who asks. It is a claim: nobody checks it."""

    def __str__(self) -> str:
        said = (("ticket ", self.ticket), ("", self.reason), ("by ", self.by))
        return ", ".join(f"{word}{value}" for word, value in said if value)
