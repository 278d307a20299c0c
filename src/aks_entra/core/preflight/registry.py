"""Every rule there is, asked in turn; what may be skipped; and the page that documents them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.preflight import declared, groups, lockout, moment, ownership, possible, rotation
from aks_entra.core.preflight.case import Case
from aks_entra.core.preflight.finding import Finding, Rule, Severity, Skip, severity_of, skipped

SECTIONS: Final[tuple[tuple[str, tuple[Rule, ...]], ...]] = (
    ("Can it be done", possible.RULES),
    ("Will anybody be locked out", (*groups.RULES, *declared.RULES, *lockout.RULES)),
    ("Is it a good moment", moment.RULES),
    ("What will the rotation hurt", rotation.RULES),
    ("Who would undo it", ownership.RULES),
)
RULES: Final[tuple[Rule, ...]] = tuple(rule for _, rules in SECTIONS for rule in rules)
SKIPPABLE: Final = frozenset(one for rule in RULES for one in rule.skippable)
IDS: Final = frozenset(one for rule in RULES for one in rule.ids)

_INTRODUCTION: Final = """\
# Preflight rules

Made from the rules themselves: `make docs` (`python -m aks_entra.report.preflight_page`). Do not edit.

An id begins with its severity: **B** blocker (the cluster is refused), **W** warning and **U** unknown (could not be
read, which is never taken for "fine"; both are shown at the gate), **I** info. Rules look at what is read for a plan
and again before each cluster; those about a rotation are silent where none is planned.

A rule can be passed over with a reason, which stands in the plan, its digest and the report:
`aks-entra plan fleet.yaml --skip-rule W127=CHG-1042` or, in the fleet file,
`skip_rules: [{rule: W127, reason: CHG-1042}]`. Rules that keep a way in open cannot be skipped.
"""


def preflight(case: Case, skips: tuple[Skip, ...] = ()) -> tuple[Finding, ...]:
    """All findings about one cluster, blockers first, then by rule. A skipped one is an info that says why."""
    order = list(Severity)
    found = [skipped(finding, skips) for rule in RULES for finding in rule.check(case)]
    return tuple(sorted(found, key=lambda finding: (order.index(finding.severity), finding.rule, finding.message)))


def skip_refused(skip: Skip) -> str:
    """Why a rule cannot be skipped so, in words; empty when it can."""
    if skip.rule not in IDS:
        return f"there is no rule {skip.rule}"
    if skip.rule not in SKIPPABLE:
        why = "it only informs" if severity_of(skip.rule) is Severity.INFO else "it keeps a way in open"
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
        yield "| ids | what it looks for | seen in | what to do | skippable |"
        yield "|---|---|---|---|---|"
        for rule in rules:
            ids = ", ".join(f"{one} {severity_of(one)}" for one in rule.ids)
            cells = (ids, rule.says, rule.seen_in, rule.remedy or "said with each finding", _skips(rule))
            yield f"| {' | '.join(cells)} |"
        yield ""
    yield f"{len(IDS)} ids of {len(RULES)} rules."


def _skips(rule: Rule) -> str:
    return ", ".join(rule.skippable) or "no"
