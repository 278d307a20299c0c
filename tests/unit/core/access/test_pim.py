from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.access.pim import (
    ActivationPolicy,
    Kind,
    Membership,
    MembershipAsk,
    MembershipRequest,
    check_activation,
    check_policy,
    tokens_until,
)
from aks_entra.core.durations import stamp
from tests.support.access_cases import NOW
from tests.support.golden_files import approved, brief, cases

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
    existing = Membership(id="1", kind=Kind.ACTIVE, group_id="g", principal_id="p", end=NOW)
    assert existing.ends == "2026-11-24T10:00:00Z"
    always = Membership(id="1", kind=Kind.ACTIVE, group_id="g", principal_id="p")
    assert (always.begins, always.ends) == ("always", "never")
    assert replace(always, start=NOW).begins == stamp(NOW)
    assert MembershipRequest(id="1", status="PendingApproval").waits
    assert MembershipRequest(id="1", status="Denied").failed
    assert tokens_until(NOW, machine=False) < tokens_until(NOW, machine=True)


def test_golden_just_in_time() -> None:
    table = cases(test_what_pim_would_refuse_is_said_before)
    asked = [
        (f"{sorted(change)} · {brief(policy)}", check_activation(request(**change), policy, app_only=app))
        for change, policy, app, _ in [
            *table,
            ({"duration": timedelta(minutes=5)}, None, False, set()),
            ({"duration": timedelta(hours=8)}, ActivationPolicy(), True, set()),
            ({"activate": False}, ActivationPolicy(mfa=True), False, set()),
        ]
    ]
    lengths = (timedelta(minutes=4), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24), timedelta(hours=25))
    policies = [
        (f"at most {length}, owned by {owners}", check_policy(ActivationPolicy(max_duration=length), owners))
        for length in lengths
        for owners in ((), ("o",))
    ]
    kinds = [
        ActivationPolicy(),
        ActivationPolicy(max_duration=HOUR, justification=False, ticket=True, mfa=True),
        ActivationPolicy(justification=False, approvers=("a",)),
        ActivationPolicy(approver_groups=("a",)),
    ]
    compared = [(f"{brief(one)} · beside · {brief(other)}", one.differences(other)) for one in kinds for other in kinds]
    properties = [(brief(one), [str(one.approval), one.enabled_rules]) for one in kinds]
    approved("just-in-time", [*asked, *policies, *compared, *properties])


@pytest.mark.parametrize(
    ("status", "waits", "failed"),
    [
        *((word, True, False) for word in ("PendingApproval", "PendingAdminDecision")),
        *((word, False, True) for word in ("Denied", "Failed", "Canceled", "Revoked")),
        *((word, False, True) for word in ("TimedOut", "AdminDenied", "Invalid")),
        *((word, False, False) for word in ("Provisioned", "Granted", "PendingProvisioning", "")),
    ],
)
def test_what_a_request_s_status_means(status: str, waits: bool, failed: bool) -> None:
    request = MembershipRequest(id="1", status=status)
    assert (request.waits, request.failed) == (waits, failed)
