"""Which other ways in remain, and do they agree with the fleet file?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.doors.model import Door, DoorState
from aks_entra.core.doors.registry import complete, title_of, unproven
from aks_entra.core.doors.role_assignments import STATIC_CREDENTIALS
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says
from aks_entra.core.target import LocalAccounts

_SHORT: Final = 120
"""Characters of a remedy that a plan shows beside others. The command that lists the doors shows each in full."""


@rule(
    "W170",
    "U170",
    seen_in="`target.doors` of the fleet file, and the doors of the cluster (`aks-entra doors`)",
    remedy="close the door, or take it out of `target.doors`",
)
def doors_that_must_be_closed(case: Case) -> Iterator[Finding]:
    """A door that the fleet file wants closed is open, or nobody could look at it: the verdict will say so."""
    for door in unproven(case.facts.doors or (), case.target.doors):
        if not _stays(case, door):
            continue
        opened = door.state is DoorState.OPEN
        outcome = "fails" if opened else "is not verified"
        yield says(
            "W170" if opened else "U170",
            f"{title_of(door.kind)} ({door.kind}) must be closed, and is {door.state}: {'; '.join(door.because)}; "
            f"the cluster {outcome} unless that changes",
            door.remedy,
            evidence=f"target.doors.{door.kind}",
        )


@rule("I170", "I171", seen_in="the doors of the cluster (`aks-entra doors`)")
def open_doors(case: Case) -> Iterator[Finding]:
    """Ways in that stay open, or that nobody could look at. The fleet file does not say that they must be closed."""
    if case.facts.doors is None:
        return
    others = [door for door in complete(case.facts.doors) if door.kind not in case.target.doors and _stays(case, door)]
    for door in others:
        if door.state is DoorState.OPEN:
            yield says(
                "I170", f"{title_of(door.kind)} ({door.kind}) stays open: {'; '.join(door.because)}", door.remedy
            )
    if unread := [door for door in others if door.state is DoorState.NOT_LOOKED_AT]:
        kinds = ", ".join(door.kind for door in unread)
        reasons = {"; ".join(door.because) for door in unread}
        remedies = {door.remedy for door in unread}
        if len(reasons) == len(remedies) == 1:
            yield says("I171", f"ways in that nobody looked at: {kinds} ({reasons.pop()})", remedies.pop())
        else:
            rights = sorted(remedy for remedy in remedies if remedy and len(remedy) <= _SHORT)
            command = f"`aks-entra doors {case.posture.cluster}`"
            why = () if any(command in one for one in rights) else (f"see why, and which rights would help: {command}",)
            yield says("I171", f"ways in that nobody looked at: {kinds}", "; ".join((*rights, *why)))


def _stays(case: Case, door: Door) -> bool:
    """Whether a migration leaves a door as it is. Turning local accounts off closes the one of static credentials."""
    return door.kind != STATIC_CREDENTIALS or case.target.local_accounts is LocalAccounts.KEEP


RULES: tuple[Rule, ...] = (doors_that_must_be_closed, open_doors)
