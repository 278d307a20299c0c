"""Who will break: which callers of an audit log are named, and what a log cannot say."""

from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.preflight.audit_callers import Call, Holds, who_breaks

DANA = "66666666-6666-6666-6666-666666666666"
CERTIFICATE = "X509SHA256=ab12"


def call(username: str = "masterclient", **how: Any) -> Call:
    return Call(**{"username": username, "verb": "list", "at": "2026-11-20T08:00:00Z", "address": "10.2.0.7", **how})


@pytest.mark.parametrize(
    ("one", "holds"),
    [
        (call(), Holds.ADMIN_CERTIFICATE),
        (call("MasterClient", groups=("system:authenticated",)), Holds.ADMIN_CERTIFICATE),
        (call("break-glass", groups=("system:masters",), credential=CERTIFICATE), Holds.ADMIN_CERTIFICATE),
        (call("clusterAdmin"), Holds.STATIC_TOKEN),
        (call("clusterUser"), Holds.STATIC_TOKEN),
        (call("jenkins"), Holds.CERTIFICATE),
        (call("dana@contoso.com", credential=CERTIFICATE), Holds.CERTIFICATE),
        (call(DANA, credential=CERTIFICATE), Holds.CERTIFICATE),
        (call("system:serviceaccount:ci:deployer"), Holds.SERVICE_ACCOUNT),
        (call("system:serviceaccount:ci:deployer", in_pod=True), None),
        (call("dana@contoso.com", entra=True), None),
        (call(DANA), None),
        (call("dana@contoso.com", groups=(DANA,)), None),
        (call("system:node:aks-a-1"), None),
        (call("system:kube-scheduler"), None),
        (call("System:kube-scheduler", credential=CERTIFICATE), Holds.CERTIFICATE),
        (call("SYSTEM:node:aks-a-1", groups=("system:masters",)), Holds.ADMIN_CERTIFICATE),
        (call("system:anonymous"), None),
        (call("aksService", groups=("system:masters",)), None),
        (call(""), None),
        (call(status=401), None),
    ],
)
def test_who_breaks(one: Call, holds: Holds | None) -> None:
    found = who_breaks([one])
    assert found is not None
    assert [caller.holds for caller in found.callers] == ([holds] if holds else [])


def test_the_hours_of_requests_are_put_together() -> None:
    found = who_breaks([call(hours=("2026-11-20T08:00:00Z",)), call(hours=("2026-11-20T07:00:00Z",)), call()])
    assert found is not None
    assert found.hours == ("2026-11-20T07:00:00Z", "2026-11-20T08:00:00Z")


def test_a_service_account_at_a_nodes_address_is_inside() -> None:
    account = call("system:serviceaccount:ci:deployer", address="20.1.2.3")
    node = call("system:node:aks-a-1", address="20.1.2.3")
    found = who_breaks([account, node, call("system:serviceaccount:ci:deployer", address="8.8.8.8")])
    assert found is not None
    assert [(one.username, one.addresses) for one in found.callers] == [
        ("system:serviceaccount:ci:deployer", ("8.8.8.8",))
    ]


def test_calls_are_grouped_by_credential_program_and_name() -> None:
    found = who_breaks(
        [
            call("jenkins", user_agent="kubectl/1.30", verb="create", address=""),
            call(user_agent="helm/3.14", verb="get", at="2026-11-18T08:00:00Z", id="1"),
            call(user_agent="helm/3.14", verb="get", at="2026-11-18T08:00:00Z", id="1"),  # its second stage
            call(user_agent="helm/3.14", address="10.2.0.9", at="2026-11-22T08:00:00Z", id="2"),
        ]
    )
    assert found is not None
    assert (found.since, found.until, found.events, found.complete) == (
        "2026-11-18T08:00:00Z",
        "2026-11-22T08:00:00Z",
        3,
        True,
    )
    assert [one.words for one in found.callers] == [
        "2 requests by masterclient from 10.2.0.7, 10.2.0.9 (helm/3.14), last on 2026-11-22: get, list",
        "1 request by jenkins from an unknown address (kubectl/1.30), last on 2026-11-20: create",
    ]


@pytest.mark.parametrize(
    ("calls", "namespace"),
    [
        ([call("system:serviceaccount:ci:deployer")], "ci"),
        ([call("system:serviceaccount:ci:deployer", namespaces=("pay",))], "ci"),
        ([call("system:serviceaccount:../x:deployer")], ""),
        ([call("system:serviceaccount:")], ""),
        ([call(namespaces=("ci",)), call(), call(namespaces=("ci",))], "ci"),
        ([call(namespaces=("ci",)), call(namespaces=("pay",))], ""),
        ([call(namespaces=("ci", "pay"))], ""),
        ([call(namespaces=("ci",)), call(namespaces=("",))], ""),
        ([call(namespaces=("",))], ""),
        ([call(namespaces=("CI Team",))], ""),
        ([call()], ""),
    ],
)
def test_a_caller_belongs_to_the_namespace_of_its_account_or_to_the_only_one_that_it_touches(
    calls: list[Call], namespace: str
) -> None:
    found = who_breaks(calls)
    assert found is not None
    assert [one.namespace for one in found.callers] == [namespace]


def test_many_addresses_are_shortened() -> None:
    found = who_breaks([call(address=f"10.2.0.{number}") for number in range(5)])
    assert found is not None
    assert found.callers[0].words.startswith(
        "5 requests by masterclient from 10.2.0.0, 10.2.0.1, 10.2.0.2 … (no user agent)"
    )


@pytest.mark.parametrize(
    ("calls", "complete"),
    [
        ([call("system:node:a")], True),
        ([call("system:node:a", verb="create")], False),  # no read in it: they are left out
        ([call("system:node:a", reads=False)], False),  # of kube-audit-admin
    ],
)
def test_without_reads_silence_means_nothing(calls: list[Call], *, complete: bool) -> None:
    found = who_breaks(calls)
    assert found is not None
    assert found.complete is complete


def test_no_log_is_unknown() -> None:
    assert who_breaks([]) is None


def test_alike_requests_count_as_many_as_they_are() -> None:
    several = call(count=41, first="2026-11-01T08:00:00Z")
    found = who_breaks([several, call(verb="get", at="2026-11-21T08:00:00Z")])
    assert found is not None
    assert (found.events, found.since, found.until) == (42, "2026-11-01T08:00:00Z", "2026-11-21T08:00:00Z")
    assert [(one.count, one.last_seen) for one in found.callers] == [(42, "2026-11-21T08:00:00Z")]


@pytest.mark.parametrize(
    ("username", "agent", "named"),
    [
        ("system:serviceaccount:kube-system:job-controller", "kube-controller-manager/v1.33.5 (linux)", False),
        ("system:serviceaccount:kube-system:route-controller", "cloud-controller-manager/v1.33.1", False),
        ("system:serviceaccount:kube-system:job-controller", "curl/8.5", True),
        ("system:serviceaccount:ci:deployer", "kube-controller-manager/v1.33.5", True),
    ],
)
def test_the_control_planes_own_controllers_stay(username: str, agent: str, *, named: bool) -> None:
    found = who_breaks([call(username, user_agent=agent)])
    assert found is not None
    assert bool(found.callers) is named


def test_what_was_refused_does_not_hide_what_came_after_it() -> None:
    found = who_breaks([call("helm", status=401), call("jenkins"), call("helm"), call("helm")])
    assert found is not None
    assert [(one.username, one.count) for one in found.callers] == [("helm", 2), ("jenkins", 1)]


def test_a_request_that_was_read_twice_does_not_hide_what_came_after_it() -> None:
    found = who_breaks([call("helm", id="1"), call("helm", id="1"), call("jenkins", id="2")])
    assert found is not None
    assert [(one.username, one.count) for one in found.callers] == [("helm", 1), ("jenkins", 1)]


def test_every_service_account_from_outside_is_named() -> None:
    names = [f"system:serviceaccount:ci:{name}" for name in ("a", "b")]
    found = who_breaks([call(name) for name in names])
    assert found is not None
    assert [one.username for one in found.callers] == names
