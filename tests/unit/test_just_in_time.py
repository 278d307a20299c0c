from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.conditional_access import (
    ENFORCED,
    REPORT_ONLY,
    Control,
    Runner,
    SeenSignIn,
    StandingPolicy,
    Surroundings,
    WantedPolicy,
    is_excluded,
    preflight,
)
from aks_entra.core.durations import stamp
from aks_entra.core.pim import (
    ActivationPolicy,
    Kind,
    Membership,
    MembershipAsk,
    MembershipRequest,
    check_activation,
    check_policy,
    tokens_until,
)
from tests.unit.access_cases import NOW

HOUR = timedelta(hours=1)


def request(**change: Any) -> MembershipAsk:
    whole: dict[str, Any] = {
        "kind": Kind.ACTIVE,
        "group_id": "g",
        "principal_id": "p",
        "start": NOW,
        "duration": HOUR,
        "justification": "on call",
        "activate": True,
        **change,
    }
    return MembershipAsk(**whole)


@pytest.mark.parametrize(
    ("change", "policy", "app", "rules"),
    [
        ({}, ActivationPolicy(), False, set()),
        ({}, None, True, {"P001"}),
        ({"duration": timedelta(minutes=4)}, None, False, {"P002"}),
        ({"duration": timedelta(hours=9)}, ActivationPolicy(), False, {"P003"}),
        ({"duration": None}, ActivationPolicy(), False, {"P003"}),
        ({"justification": " "}, ActivationPolicy(), False, {"P004"}),
        ({}, ActivationPolicy(ticket=True, mfa=True, approvers=("a",)), False, {"P005", "P101", "P102"}),
        ({"justification": ""}, ActivationPolicy(justification=False), False, set()),
        ({"activate": False, "duration": None}, ActivationPolicy(ticket=True), True, set()),
    ],
)
def test_what_pim_would_refuse_is_said_before(
    change: dict[str, Any], policy: ActivationPolicy | None, app: bool, rules: set[str]
) -> None:
    assert {one.rule for one in check_activation(request(**change), policy, app_only=app)} == rules


def test_a_policy_has_an_owner_and_a_bound() -> None:
    assert {one.rule for one in check_policy(ActivationPolicy(max_duration=timedelta(hours=25)), ())} == {
        "P010",
        "P011",
    }
    assert {one.rule for one in check_policy(ActivationPolicy(max_duration=timedelta(minutes=30)), ("o",))} == {"P110"}
    assert check_policy(ActivationPolicy(), ("o",)) == ()


def test_policies_are_compared_in_words() -> None:
    asked = ActivationPolicy(max_duration=HOUR, justification=False, approver_groups=("g",))
    assert asked.differences(ActivationPolicy()) == (
        "maximum duration PT8H instead of PT1H",
        "asks for Justification instead of nothing",
        "other approvers",
    )
    assert ActivationPolicy().differences(asked)[1] == "asks for nothing instead of Justification"
    assert asked.differences(asked) == ()


def test_states_and_ends_read_well() -> None:
    standing = Membership(id="1", kind=Kind.ACTIVE, group_id="g", principal_id="p", end=NOW)
    assert standing.ends == "2026-11-24T10:00:00Z"
    always = Membership(id="1", kind=Kind.ACTIVE, group_id="g", principal_id="p")
    assert (always.begins, always.ends) == ("always", "never")
    assert replace(always, start=NOW).begins == stamp(NOW)
    assert MembershipRequest(id="1", status="PendingApproval").waits
    assert MembershipRequest(id="1", status="Denied").failed
    assert tokens_until(NOW, machine=False) < tokens_until(NOW, machine=True)


WANTED = WantedPolicy(name="aks", groups=("g",), controls=(Control.MFA,), break_glass_users=("glass",))
STANDING = StandingPolicy(
    id="1", name="aks", state=REPORT_ONLY, groups=("G",), controls=("mfa",), excluded_users=("glass",)
)
AUTOMATION = Runner(id="r", name="robot", user=False, covered=True, excluded=False)
DANA = Runner(id="d", name="dana", user=True, covered=True, excluded=False)


def around(**change: Any) -> Surroundings:
    return Surroundings(**{"runners": (AUTOMATION,), "break_glass_missing": (), **change})


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
        (WANTED, around(standing=STANDING), False, set()),
        (WANTED, around(), True, {"C009"}),
        (wanted(groups=("h",)), around(standing=STANDING, sign_ins=()), True, {"C010", "C105"}),
        (WANTED, around(standing=STANDING), True, {"C104"}),
        (WANTED, around(standing=STANDING, sign_ins=(seen("reportOnlyNotApplied"),)), True, {"C105"}),
        (WANTED, around(standing=STANDING, sign_ins=(seen("reportOnlySuccess"),)), True, set()),
        (WANTED, around(standing=STANDING, sign_ins=(seen("reportOnlyFailure"),) * 2), True, {"C106"}),
        (WANTED, around(standing=STANDING, sign_ins=(seen("reportOnlyInterrupted"),)), True, {"C107"}),
    ],
)
def test_a_policy_that_locks_out_is_refused(
    policy: WantedPolicy, place: Surroundings, enforce: bool, rules: set[str]
) -> None:
    assert {one.rule for one in preflight(policy, place, enforce=enforce)} == rules


def test_an_enforced_policy_is_not_opened_by_mistake() -> None:
    enforced = around(standing=StandingPolicy(**{**_fields(STANDING), "state": ENFORCED}), sign_ins=())
    assert {one.rule for one in preflight(WANTED, enforced, enforce=False)} == {"C011"}
    assert preflight(WANTED, enforced, enforce=True) == ()


def test_policies_differ_in_words() -> None:
    other = StandingPolicy(**{**_fields(STANDING), "operator": "OR", "groups": ()})
    assert other.differences(WANTED) == ("groups: none", "operator: OR")
    assert STANDING.differences(WANTED) == ()


def test_who_is_excluded_is_left_alone() -> None:
    assert is_excluded(WANTED, "GLASS", frozenset())
    assert is_excluded(wanted(break_glass_groups=("b",)), "d", frozenset({"B"}))
    assert not is_excluded(WANTED, "d", frozenset())


def _fields(policy: StandingPolicy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in StandingPolicy.__dataclass_fields__}
