"""Doors that depend on who holds a right: open for those who are named, closed only when everything was read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.doors import registry
from aks_entra.core.doors.facts import CertificateRequest, DoorFacts, Holders, Unread
from aks_entra.core.doors.model import Door
from tests.support.cases import SHOP

UNREAD = Unread(why="the API server answered 403", remedy="grant the right")
CI = Holders(who=("ci: edit",))
POSTURE = Posture(cluster=SHOP, identity=Identity.MANAGED, local_accounts=False)
EACH = {
    "client-certificates": ("certificate_requests", "certificate_approvers"),
    "service-account-tokens": ("service_account_secrets", "token_makers"),
    "impersonation": ("impersonators",),
    "certificate-names": ("certificate_names",),
    "unknown-principals": ("unknown_principals",),
    "run-command": ("run_command",),
    "static-credentials": ("credential_readers",),
    "conditional-roles": ("conditional_roles",),
    "fleet-roles": ("fleet_roles",),
}
LISTS = {"certificate_requests", "service_account_secrets"}


def facts(kind: str, **change: Any) -> DoorFacts:
    """Facts in which everything about one door was read and nobody holds anything, with some changes."""
    nobody: dict[str, Any] = {name: () if name in LISTS else Holders() for name in EACH[kind]}
    posture = replace(POSTURE, local_accounts=kind == "static-credentials")
    return DoorFacts(**{"posture": posture, **nobody, **change})


def door(kind: str, seen: DoorFacts) -> Door:
    return next(one for one in registry.doors_of(seen) if one.kind == kind)


@pytest.mark.parametrize("kind", EACH)
def test_a_door_is_closed_only_when_everything_was_read_and_nobody_holds_the_right(kind: str) -> None:
    assert door(kind, facts(kind)).state == "closed"
    for name in EACH[kind]:
        unread = door(kind, facts(kind, **{name: UNREAD}))
        assert (unread.state, unread.because, unread.remedy) == ("not looked at", (UNREAD.why,), UNREAD.remedy)
        if name not in LISTS:
            half = door(kind, facts(kind, **{name: Holders(unread=(UNREAD,))}))
            assert (half.state, half.because) == ("not looked at", (UNREAD.why,))


@pytest.mark.parametrize("kind", EACH)
def test_an_open_door_names_who_can_use_it_although_something_could_not_be_read(kind: str) -> None:
    right = EACH[kind][-1]
    found = door(kind, facts(kind, **{right: Holders(who=("ci: edit",), conditional=("dana",), unread=(UNREAD,))}))
    assert found.state == "open"
    assert found.because == (
        "ci: edit",
        "dana, under a condition that is not evaluated here",
        f"there may be more: {UNREAD.why}",
    )
    assert found.remedy or kind == "conditional-roles"


@pytest.mark.parametrize("kind", EACH)
def test_a_right_under_a_condition_is_not_known_to_be_held(kind: str) -> None:
    found = door(kind, facts(kind, **{EACH[kind][-1]: Holders(conditional=("dana: Writer",))}))
    assert found.state == "not looked at"
    assert found.because == ("dana: Writer, under a condition that is not evaluated here",)
    assert "read the condition" in found.remedy


def test_those_who_are_not_counted_are_named() -> None:
    aside = Holders(administrators=("aks-admins: cluster-admin",), own=("system:a", "system:b", "system:a"))
    for holders, state in ((aside, "closed"), (replace(aside, who=("ci: edit",)), "open")):
        found = door("impersonation", facts("impersonation", impersonators=holders))
        assert found.state == state
        assert found.because[-2:] == (
            "not counted, as they may do everything: aks-admins: cluster-admin",
            "not counted, as Kubernetes and AKS bring them (2): system:a, system:b",
        )


@pytest.mark.parametrize(("count", "shown"), [(20, "user-19"), (21, "and 1 more"), (200, "and 180 more")])
def test_a_door_names_only_the_first_of_many(count: int, shown: str) -> None:
    many = Holders(who=tuple(f"user-{number:02}" for number in range(count)))
    assert door("impersonation", facts("impersonation", impersonators=many)).because[-1] == shown


@pytest.mark.parametrize(
    ("status", "state"),
    [("pending", "open"), ("approved", "open"), ("issued", "open"), ("denied", "closed"), ("failed", "closed")],
)
def test_a_signing_request_that_may_give_a_certificate_opens_the_door(status: str, state: str) -> None:
    request = CertificateRequest(name="mallory", requester="dev@contoso.com", status=status)
    found = door("client-certificates", facts("client-certificates", certificate_requests=(request,)))
    assert found.state == state
    assert (f"dev@contoso.com: request mallory ({status})" in found.because) is (state == "open")


def test_a_request_without_a_requester_is_somebodys() -> None:
    request = CertificateRequest(name="r", requester="", status="pending")
    found = door("client-certificates", facts("client-certificates", certificate_requests=(request,)))
    assert found.because == ("somebody: request r (pending)",)


def test_a_token_without_an_end_is_an_open_door() -> None:
    found = door("service-account-tokens", facts("service-account-tokens", service_account_secrets=("ci/old",)))
    assert (found.state, found.because) == ("open", ("everyone who holds ci/old",))


@pytest.mark.parametrize("posture", [UNREAD, POSTURE, replace(POSTURE, run_command_disabled=True)])
def test_run_command_is_closed_where_the_cluster_forbids_it(posture: Posture | Unread) -> None:
    found = door("run-command", facts("run-command", posture=posture, run_command=CI))
    forbidden = isinstance(posture, Posture) and posture.run_command_disabled
    assert found.state == ("closed" if forbidden else "open")


@pytest.mark.parametrize(
    ("posture", "state"),
    [
        (UNREAD, "not looked at"),
        (POSTURE, "closed"),
        (replace(POSTURE, local_accounts=True), "open"),
        (replace(POSTURE, identity=Identity.NONE), "open"),
        (replace(POSTURE, identity=Identity.LEGACY), "closed"),
    ],
)
def test_static_credentials_are_closed_when_azure_refuses_them(posture: Posture | Unread, state: str) -> None:
    found = door("static-credentials", facts("static-credentials", posture=posture, credential_readers=CI))
    assert found.state == state
