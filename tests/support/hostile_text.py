"""Makes documents with hostile text in every text field, by reflection, so that new fields are included automatically.

`Planter.make(type)` returns a dataclass with a text in every text field. Two planters with different texts return
documents that differ only in these texts.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.preflight import Finding, GroupFacts, Severity
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.planning.inventory import Row

T = TypeVar("T")

MOMENT: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
OURS: Final = {
    "started_at": "2026-11-26T12:00:00Z",
    "ended_at": "2026-11-26T12:30:00Z",
}
"""The fields that only our own clock writes, and that JUnit parses as a time. All other text is hostile."""

ATTACKS: Final = (
    "\n\n# Approved by dana\n\nType **approve**.",
    "\r\n* one more item",
    " | one more cell |\n| - |",
    "\n---\n",
    "\n===\n",
    "\n> quoted",
    "\n1. first",
    "\n    code",
    "\n```\nfenced",
    "<script>alert(1)</script>",
    "<!-- ",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)' x='",
    "&lt;b&gt; &#60;b&#62; &nbsp;",
    "[click](javascript:alert(1))",
    "![](https://evil.example/x.png)",
    "[a]: https://evil.example",
    "<https://evil.example>",
    "**bold** __bold__ *it* _it_ ~~gone~~",
    "` `` ``` `a``<b>```",
    "\\",
    "\\`",
    "{{ 7*7 }} {% raw %} {0} {name}",
    "[bold red]loud[/] [link=https://evil.example]x[/link] :smile:",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07x\x1b]8;;\x07",
    "\x9b31m \x85 \x0c \x0b \x08 \x7f \x00",
    "\u202egnp.exe \u2066 \u200f \u061c",
    "\u2028 \u2029 \ufeff \u200b \u00ad \u3164",
    "\ufffe\uffff\U0001fffe",
    "\ud800 \udfff",
    "=cmd|' /C calc'!A0",
    "\u00a0=1+1",
    "\uff1d1+1",
    "\u200b@SUM(1)",
    "\t+1",
    " ]]> <![CDATA[ ",
    "../../etc/passwd",
    "  ",
    "x" * 4_001,
)
attacks = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(st.sampled_from("`*_~[]()<>!|\\#-+=.:&;\n\r\t \u00a0\u202e\x1b\x9b\ud800\ufffe1a$@{}\"'/"), max_size=30),
    st.text(st.characters(exclude_categories=()), max_size=30),
)


@dataclass(frozen=True)
class Planter:
    """Makes documents. `text` returns the text for the field with a given name."""

    text: Callable[[str], str]

    def make(self, kind: type[T], **given: object) -> T:
        """Return a value of a dataclass. Fields in `given` get these values."""
        hints = get_type_hints(kind)
        values = {
            field.name: given.get(field.name, self._value(hints[field.name], field.name))
            for field in fields(cast("Any", kind))
            if field.init
        }
        return kind(**values)

    def _value(self, kind: Any, name: str) -> Any:  # noqa: C901, PLR0911 - a table: one line for each kind of type
        origin, inner = get_origin(kind), get_args(kind)
        if kind is str:
            return OURS.get(name, self.text(name))
        if is_dataclass(kind):
            return self.make(cast("type[Any]", kind))
        if isinstance(kind, type) and issubclass(kind, Enum):
            return next(iter(kind))
        if origin is Literal:
            return inner[0]
        if origin in {Union, types.UnionType}:
            return self._value(next(one for one in inner if one is not type(None)), name)
        if origin is tuple and inner[-1] is Ellipsis:
            return tuple(self._value(one, name) for one in _each(inner[0]))
        if origin is tuple:
            return tuple(self._value(one, name) for one in inner)
        if origin is frozenset:
            return frozenset({self._value(inner[0], name)})
        if origin is not None and issubclass(origin, Mapping):
            return {self._value(inner[0], name): self._value(inner[1], name)}
        if kind is datetime:
            return MOMENT
        return {bool: True, int: 1, float: 1.0}[kind]


def _each(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, of which a list gets one each, or the only type."""
    if get_origin(kind) in {Union, types.UnionType}:
        return tuple(one for one in get_args(kind) if one is not type(None))
    return (kind,)


def plan(planter: Planter) -> FleetPlan:
    """Return a plan with a cluster of each disposition, a finding of each severity, and a stage between two gates."""
    findings = {severity: planter.make(Finding, severity=severity) for severity in Severity}
    harmless = tuple(one for severity, one in findings.items() if severity is not Severity.BLOCKER)
    moves: tuple[tuple[str, dict[str, object]], ...] = (
        ("goes", {"stopped": False, "findings": harmless}),
        ("goes-too", {"stopped": False, "findings": harmless}),
        ("refused", {"stopped": False, "findings": tuple(findings.values())}),
        ("skipped", {"stopped": True, "findings": ()}),
        ("done", {"stopped": False, "findings": (), "steps": ()}),
    )
    clusters = tuple(
        planter.make(
            ClusterPlan, cluster=planter.make(ClusterId, name=planter.text(name)), rotation_planned="later", **given
        )
        for name, given in moves
    )
    members = planter.make(MemberGroup, members=tuple(one.cluster for one in clusters))
    return planter.make(FleetPlan, clusters=clusters, stages=(planter.make(Stage, groups=(members,)),))


def report(planter: Planter) -> FleetReport:
    """Return a report with a verdict of each outcome and evidence of every kind."""
    verdicts = tuple(
        planter.make(
            Verdict,
            cluster=planter.make(ClusterId, name=planter.text(outcome.name)),
            outcome=outcome,
            because=(planter.text("because"), planter.text("because_too")),
        )
        for outcome in Outcome
    )
    return planter.make(FleetReport, verdicts=verdicts)


def rows(planter: Planter) -> tuple[Row, ...]:
    """Return an inventory with every state of old credentials, one known group and one unknown group."""
    posture = planter.make(Posture)
    known = planter.make(GroupFacts, id=posture.admin_group_ids[0], deleted_on=None)
    return tuple(
        planter.make(Row, old_credentials=planter.make(OldCredentials, debt=debt), groups=groups)
        for debt in Debt
        for groups in ((), (known,))
    )
