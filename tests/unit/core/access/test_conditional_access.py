"""Conditional Access policies that we write: what is refused, and how they differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.access.conditional_access import (
    ENFORCED,
    REPORT_ONLY,
    Control,
    ExistingPolicy,
    PolicyFacts,
    Runner,
    SeenSignIn,
    WantedPolicy,
    is_excluded,
    preflight,
)
from tests.support.golden_files import approved, brief, cases

WANTED = WantedPolicy(name="aks", groups=("g",), controls=(Control.MFA,), break_glass_users=("glass",))
EXISTING = ExistingPolicy(
    id="1", name="aks", state=REPORT_ONLY, groups=("G",), controls=("mfa",), excluded_users=("glass",)
)
AUTOMATION = Runner(id="r", name="robot", user=False, covered=True, excluded=False)
DANA = Runner(id="d", name="dana", user=True, covered=True, excluded=False)


def around(**change: Any) -> PolicyFacts:
    return PolicyFacts(**{"runners": (AUTOMATION,), "break_glass_missing": (), **change})


def wanted(**change: Any) -> WantedPolicy:
    return WantedPolicy(
        **{"name": "aks", "groups": ("g",), "controls": (Control.MFA,), "break_glass_users": ("x",), **change}
    )


def runner(**change: Any) -> Runner:
    return Runner(**{"id": "d", "name": "", "user": True, "covered": True, "excluded": False, **change})


def seen(result: str) -> SeenSignIn:
    return SeenSignIn(at="", user="dana", result=result)


@pytest.mark.parametrize(
    ("policy", "place", "enforce", "rules"),
    [
        (WANTED, around(), False, set()),
        (wanted(break_glass_users=()), around(), False, {"C001"}),
        (wanted(break_glass_users=(), break_glass_groups=("b",)), around(), False, set()),
        (WANTED, around(break_glass_missing=None), False, {"C102"}),
        (WANTED, around(break_glass_missing=("x",)), False, {"C002"}),
        (wanted(groups=(), controls=()), around(), False, {"C003", "C004"}),
        (wanted(controls=(Control.BLOCK,)), around(), False, {"C005"}),
        (wanted(controls=(Control.BLOCK,), trusted_locations=("l",)), around(), False, set()),
        (wanted(controls=(Control.COMPLIANT_DEVICE,)), around(), False, {"C103"}),
        (WANTED, around(runners=(DANA,)), False, {"C006"}),
        (WANTED, around(runners=(runner(excluded=True),)), False, set()),
        (WANTED, around(runners=(runner(covered=False),)), False, set()),
        (WANTED, around(runners=(runner(covered=None),)), False, {"C007"}),
        (WANTED, around(runners=(runner(excluded=None),)), False, {"C006"}),
        (WANTED, around(namesakes=2), False, {"C008"}),
        (WANTED, around(existing=EXISTING), False, set()),
        (WANTED, around(), True, {"C009"}),
        (wanted(groups=("h",)), around(existing=EXISTING, sign_ins=()), True, {"C010", "C105"}),
        (WANTED, around(existing=EXISTING), True, {"C104"}),
        (WANTED, around(existing=EXISTING, sign_ins=(seen("reportOnlyNotApplied"),)), True, {"C105"}),
        (WANTED, around(existing=EXISTING, sign_ins=(seen("reportOnlySuccess"),)), True, set()),
        (WANTED, around(existing=EXISTING, sign_ins=(seen("reportOnlyFailure"),) * 2), True, {"C106"}),
        (WANTED, around(existing=EXISTING, sign_ins=(seen("reportOnlyInterrupted"),)), True, {"C107"}),
    ],
)
def test_a_policy_that_locks_out_is_refused(
    policy: WantedPolicy, place: PolicyFacts, enforce: bool, rules: set[str]
) -> None:
    assert {one.rule for one in preflight(policy, place, enforce=enforce)} == rules


def test_an_enforced_policy_is_not_opened_by_mistake() -> None:
    enforced = around(existing=ExistingPolicy(**{**_fields(EXISTING), "state": ENFORCED}), sign_ins=())
    assert {one.rule for one in preflight(WANTED, enforced, enforce=False)} == {"C011"}
    assert preflight(WANTED, enforced, enforce=True) == ()


def test_policies_differ_in_words() -> None:
    other = ExistingPolicy(**{**_fields(EXISTING), "operator": "OR", "groups": ()})
    assert other.differences(WANTED) == ("groups: none", "operator: OR")
    assert EXISTING.differences(WANTED) == ()


def test_who_is_excluded_is_left_alone() -> None:
    assert is_excluded(WANTED, "GLASS", frozenset())
    assert is_excluded(wanted(break_glass_groups=("b",)), "d", frozenset({"B"}))
    assert not is_excluded(WANTED, "d", frozenset())


def _fields(policy: ExistingPolicy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in ExistingPolicy.__dataclass_fields__}


def test_golden_conditional_access() -> None:
    table = cases(test_a_policy_that_locks_out_is_refused)
    enforced = replace(EXISTING, state=ENFORCED)
    both = (Control.MFA, Control.DOMAIN_JOINED)
    more = [
        (WANTED, around(existing=enforced, sign_ins=()), False, {"C011"}),
        (WANTED, around(namesakes=1), False, set[str]()),
        (WANTED, around(existing=replace(enforced, operator="OR", groups=())), True, {"C010"}),
        (WANTED, around(existing=EXISTING, break_glass_missing=("x", "y")), False, {"C002"}),
        (WANTED, around(runners=(*around().runners, runner(name="dana"))), False, {"C006"}),
        (
            WANTED,
            around(runners=(runner(covered=None, excluded=True, name="dana"),)),
            False,
            {"C007"},
        ),
        (wanted(controls=(*both, Control.BLOCK)), around(), False, {"C005", "C103"}),
        (
            WANTED,
            around(
                existing=EXISTING,
                sign_ins=tuple(
                    SeenSignIn(at="", user=user, result=result)
                    for user, result in (("zoe", "failure"), ("amy", "reportOnlyFailure"), ("bob", "success"))
                ),
            ),
            True,
            {"C106"},
        ),
    ]
    words = [
        (
            f"{' '.join(sorted(rules)) or 'silent'} · {brief(policy)} · enforce {enforce}",
            preflight(policy, place, enforce=enforce),
        )
        for policy, place, enforce, rules in [*table, *more]
    ]
    others = [
        replace(EXISTING, controls=("mfa", "block"), excluded_users=("b", "a"), excluded_groups=("g",)),
        replace(EXISTING, trusted_locations=("l",), groups=("h", "g"), operator="OR"),
    ]
    approved("conditional-access", [*words, *((brief(one), one.differences(WANTED)) for one in others)])


@pytest.mark.parametrize(
    ("result", "applied", "would_fail"),
    [
        *((word, False, False) for word in ("", "notApplied", "reportOnlyNotApplied", "notEnabled")),
        ("unknownFutureValue", False, False),
        *((word, True, True) for word in ("failure", "reportOnlyFailure")),
        *((word, True, False) for word in ("success", "reportOnlySuccess", "reportOnlyInterrupted")),
    ],
)
def test_what_a_policy_s_result_means(result: str, applied: bool, would_fail: bool) -> None:
    sign_in = SeenSignIn(at="", user="dana", result=result)
    assert (sign_in.applied, sign_in.would_fail) == (applied, would_fail)


def test_only_members_of_an_excluded_group_are_left_alone() -> None:
    policy = WantedPolicy(name="p", groups=("g",), controls=(), break_glass_groups=("b",))
    assert is_excluded(policy, "d", frozenset({"B", "c"}))
    assert not is_excluded(policy, "d", frozenset({"c"}))
    assert not is_excluded(policy, "d", frozenset())
