"""All preflight rules: they are run in turn, some can be skipped, and a page documents them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from aks_entra.core.preflight import (
    approvers,
    deny_assignments,
    deny_policy,
    doors,
    feasibility,
    group_drift,
    groups,
    hooks,
    lockout,
    ownership,
    policy_evaluations,
    readiness,
    rotation,
)
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, Severity, Skip, severity_of, skipped

SECTIONS: Final[tuple[tuple[str, tuple[Rule, ...]], ...]] = (
    ("Can it be done", (*feasibility.RULES, *policy_evaluations.RULES, *approvers.RULES)),
    ("Will anybody be locked out", (*groups.RULES, *group_drift.RULES, *lockout.RULES, *deny_assignments.RULES)),
    ("Is it a good moment", readiness.RULES),
    ("What will the rotation break", (*rotation.RULES, *hooks.RULES)),
    ("Who would undo it", (*ownership.RULES, *deny_policy.RULES)),
    ("Which other ways in remain", doors.RULES),
)
RULES: Final[tuple[Rule, ...]] = tuple(rule for _, rules in SECTIONS for rule in rules)
SKIPPABLE: Final = frozenset(one for rule in RULES for one in rule.skippable)
IDS: Final = frozenset(one for rule in RULES for one in rule.ids)
BARS: Final = frozenset(one for rule in RULES for one in rule.bars)
HELD: Final = frozenset(one for one in BARS if severity_of(one) is Severity.UNKNOWN)
"""Unknowns that block a cluster until a person accepts them with a reason."""

AGAIN: Final[tuple[Rule, ...]] = tuple(rule for rule in RULES if rule.again)

_INTRODUCTION: Final = """\
# Preflight rules

Made from the rules themselves: `make docs` (`python -m aks_entra.report.preflight_page`). Do not edit.

The first letter of an id is its severity: **B** blocker (the cluster is refused), **W** warning, **U** unknown (a fact
could not be read, which never counts as "fine"), **I** info. Warnings and unknowns are shown at the gate. Rules about
rotation report nothing if no rotation is planned.

Every rule runs when a cluster is planned. The rules under "asked again" can block a way in or a way back. They run
again at each gate before a stage: a new finding is shown there, in a new plan. They also run again for each cluster,
just before the first write that enables Microsoft Entra ID, disables local accounts or rotates certificates: a new
finding refuses this cluster, and the other clusters continue. An **unknown** among them refuses the cluster until a
person accepts it by its id, with a reason. A declared group (150) must be as the plan showed it.

A rule can be skipped with a reason. The plan, its digest and the report contain the reason:
`aks-entra plan fleet.yaml --skip-rule W127=CHG-1042` or, in the fleet file,
`skip_rules: [{rule: W127, reason: CHG-1042}]`. Rules that keep a way in open cannot be skipped.
"""


def preflight(case: Case, skips: tuple[Skip, ...] = ()) -> tuple[Finding, ...]:
    """Return all findings about one cluster, blockers first. A skipped finding is an info with the reason."""
    order = list(Severity)
    found = [_held(skipped(finding, skips)) for rule in RULES for finding in rule.check(case)]
    return tuple(sorted(found, key=lambda finding: (order.index(finding.severity), finding.rule, finding.message)))


def barring(case: Case, skips: tuple[Skip, ...], shown: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return what blocks a way in or a way back now and was not accepted, and what differs from the plan.

    Runs only the rules that are asked again. `shown` holds the findings of the approved plan. Findings are compared by
    their evidence. Plans of earlier versions hold none for these rules: theirs are compared by their message.
    """
    accepted = {skip.rule for skip in skips}
    said = {(one.rule, one.evidence or one.message) for one in shown}
    found = [finding for rule in AGAIN for finding in rule.check(case) if finding.rule not in accepted]
    return tuple(_held(one) for one in found if _stops(one, said))


def _stops(finding: Finding, said: set[tuple[str, str]]) -> bool:
    if finding.rule in BARS:
        return True
    as_shown = any(finding.rule in rule.as_shown for rule in AGAIN)
    return as_shown and said.isdisjoint({(finding.rule, finding.evidence), (finding.rule, finding.message)})


def _held(finding: Finding) -> Finding:
    """Turn an unknown about a way in or a way back into a blocker that a person can accept."""
    if finding.rule not in HELD or finding.severity is not Severity.UNKNOWN:
        return finding
    accept = f"accept it with a reason: `--skip-rule {finding.rule}=REASON`, or `skip_rules` in the fleet file"
    remedy = f"{finding.remedy}; or {accept}" if finding.remedy else accept
    return replace(finding, severity=Severity.BLOCKER, remedy=remedy)


def skip_refused(skip: Skip) -> str:
    """Say why a rule cannot be skipped. Returns an empty text if it can."""
    if skip.rule not in IDS:
        return f"there is no rule {skip.rule}"
    if skip.rule not in SKIPPABLE:
        why = "it is only information" if severity_of(skip.rule) is Severity.INFO else "it keeps a way in open"
        return f"{skip.rule} cannot be skipped: {why}"
    return "" if skip.reason.strip() else f"{skip.rule} is skipped without a reason"


def reference() -> str:
    """The page docs/reference/preflight.md."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    for title, rules in SECTIONS:
        yield f"## {title}"
        yield ""
        yield "| ids | what it looks for | seen in | what to do | skippable | asked again |"
        yield "|---|---|---|---|---|---|"
        for rule in rules:
            ids = ", ".join(f"{one} {severity_of(one)}" for one in rule.ids)
            cells = (ids, rule.says, rule.seen_in, rule.remedy or "see the finding", _skips(rule), _again(rule))
            yield f"| {' | '.join(cells)} |"
        yield ""
    yield f"{len(RULES)} rules with {len(IDS)} ids."


def _skips(rule: Rule) -> str:
    return ", ".join(rule.skippable) or "no"


def _again(rule: Rule) -> str:
    return ", ".join(rule.again) or "no"
