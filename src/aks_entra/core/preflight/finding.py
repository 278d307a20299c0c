"""Preflight findings about a cluster, and the rules that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from aks_entra.core.preflight.context import Case


class Severity(StrEnum):
    """How a finding affects a plan: a blocker refuses the cluster, the others are shown at the gate."""

    BLOCKER = "blocker"
    WARNING = "warning"
    INFO = "info"
    UNKNOWN = "unknown"


_SEVERITIES: Final = {
    "B": Severity.BLOCKER,
    "W": Severity.WARNING,
    "I": Severity.INFO,
    "U": Severity.UNKNOWN,
}


def severity_of(rule: str) -> Severity:
    """Return the severity that a rule's id begins with. Raises `KeyError` for a text that is not an id."""
    return _SEVERITIES[rule[:1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding about one cluster. `evidence` names the property or the value that shows it."""

    rule: str
    severity: Severity
    message: str
    remedy: str = ""
    evidence: str = ""


def says(rule: str, message: str, remedy: str = "", *, evidence: str = "") -> Finding:
    """Make a finding. The first letter of its id is its severity: B blocker, W warning, I info, U unknown."""
    return Finding(rule=rule, severity=severity_of(rule), message=message, remedy=remedy, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A rule that somebody decided to skip, and why. The plan, its digest and the report contain it."""

    rule: str
    reason: str


def skipped(finding: Finding, skips: tuple[Skip, ...]) -> Finding:
    """Return the finding as an info with the reason if its rule was skipped. Otherwise return it unchanged."""
    skip = next((one for one in skips if one.rule == finding.rule), None)
    if skip is None:
        return finding
    return replace(finding, severity=Severity.INFO, message=f"skipped ({skip.reason}): {finding.message}")


Check: TypeAlias = "Callable[[Case], Iterator[Finding]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One check of every cluster, and the ids of its findings."""

    check: Check
    ids: tuple[str, ...]
    seen_in: str  # what the rule reads
    remedy: str = ""  # the usual remedy
    skippable: tuple[str, ...] = ()  # ids that a person may skip with a reason
    bars: tuple[str, ...] = ()  # ids that block a way in or a way back, or leave it unknown
    as_shown: tuple[str, ...] = ()  # ids whose findings must be the same before a write as in the plan

    @property
    def again(self) -> tuple[str, ...]:
        """The ids that are checked again at the gate and just before a write."""
        return (*self.bars, *self.as_shown)

    @property
    def says(self) -> str:
        """What the rule looks for: the docstring of its function, on one line."""
        return " ".join((self.check.__doc__ or "").split())


def rule(
    *ids: str,
    seen_in: str,
    remedy: str = "",
    firm: tuple[str, ...] = (),
    bars: tuple[str, ...] = (),
    as_shown: tuple[str, ...] = (),
) -> Callable[[Check], Rule]:
    """Make a rule of a function. Nobody can skip the ids in `firm`: they keep a way in open.

    `bars` names the ids that block a way in or a way back. They are checked again at the gate and just before a write.
    An unknown among them refuses the cluster until a person accepts it with a reason. Ids in `as_shown` are checked
    again too: the findings must be those that the plan showed.
    """

    def made(check: Check) -> Rule:
        soft = tuple(one for one in ids if one not in firm and one[0] != "I")
        return Rule(check=check, ids=ids, seen_in=seen_in, remedy=remedy, skippable=soft, bars=bars, as_shown=as_shown)

    return made
