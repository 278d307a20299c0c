"""What preflight says about a cluster: findings, and the rules that say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from aks_entra.core.preflight.case import Case


class Severity(StrEnum):
    """What a finding does to a plan: a blocker refuses the cluster, the others are shown at the gate."""

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
    """The severity that a rule's id begins with. Raises `KeyError` for what is no id."""
    return _SEVERITIES[rule[:1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that preflight has to say about one cluster. `evidence` names the property or answer that shows it."""

    rule: str
    severity: Severity
    message: str
    remedy: str = ""
    evidence: str = ""


def says(rule: str, message: str, remedy: str = "", *, evidence: str = "") -> Finding:
    """A finding of the severity that its id begins with: B blocker, W warning, I info, U unknown."""
    return Finding(rule=rule, severity=severity_of(rule), message=message, remedy=remedy, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A rule that somebody decided to pass over, and why: it stands in the plan, its digest and the report."""

    rule: str
    reason: str


def skipped(finding: Finding, skips: tuple[Skip, ...]) -> Finding:
    """The finding as an info that names the reason when its rule was skipped; else as it is."""
    skip = next((one for one in skips if one.rule == finding.rule), None)
    if skip is None:
        return finding
    return replace(finding, severity=Severity.INFO, message=f"skipped ({skip.reason}): {finding.message}")


Check: TypeAlias = "Callable[[Case], Iterator[Finding]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One question that is asked about every cluster, and the ids under which it may answer."""

    check: Check
    ids: tuple[str, ...]
    seen_in: str  # what is read for it
    remedy: str = ""  # what to do about it, in general
    skippable: tuple[str, ...] = ()  # ids that may be skipped with a reason

    @property
    def says(self) -> str:
        """What the rule looks for: its function's documentation, on one line."""
        return " ".join((self.check.__doc__ or "").split())


def rule(*ids: str, seen_in: str, remedy: str = "", firm: tuple[str, ...] = ()) -> Callable[[Check], Rule]:
    """Make a rule of a function. What keeps a way in open is `firm`: nobody can skip it."""

    def made(check: Check) -> Rule:
        soft = tuple(one for one in ids if one not in firm and one[0] != "I")
        return Rule(check=check, ids=ids, seen_in=seen_in, remedy=remedy, skippable=soft)

    return made
