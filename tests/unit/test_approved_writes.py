"""The log of approvals finds each kind of write that nobody approved and nobody typed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from azure_sandbox.front.traffic_report import Exchange
from tests.flows.approved_writes import (
    ApprovalLog,
    ApprovedStage,
    SignedByPerson,
    Signers,
    TypedCommand,
    Write,
    credential_reads_in,
    writes_in,
)

AT = datetime(2026, 11, 26, 10, tzinfo=UTC)
CLUSTER = "/subscriptions/s/resourcegroups/shop/providers/microsoft.containerservice/managedclusters/one"
RUN = UUID(int=1)
APPROVED = ApprovedStage(
    run=RUN,
    plan="sha256:1",
    stage="all",
    changed=frozenset({CLUSTER}),
    rotated=frozenset({CLUSTER}),
    at=AT,
    valid=timedelta(hours=1),
)


def exchange(method: str, path: str = CLUSTER, *, host: str = "management.azure.com", seconds: float = 1) -> Exchange:
    return Exchange(at=AT + timedelta(seconds=seconds), host=host, method=method, path=path, status=200)


def unapproved(writes: Iterable[Exchange], log: ApprovalLog) -> list[str]:
    log.deleted[RUN] = log.deleted.get(RUN, AT + timedelta(days=1))
    return asyncio.run(log.unapproved(writes_in(writes)))


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (exchange("PUT"), True),
        (exchange("PATCH"), True),
        (exchange("DELETE"), True),
        (exchange("GET"), False),
        (exchange("POST", f"{CLUSTER}/rotateClusterCertificates"), True),
        (exchange("POST", f"{CLUSTER}/somethingNew"), True),
        (exchange("POST", f"{CLUSTER}/listClusterAdminCredential"), False),
        (exchange("POST", "/v1.0/groups", host="graph.microsoft.com"), True),
        (exchange("POST", "/v1.0/me/checkMemberGroups", host="graph.microsoft.com"), False),
        (exchange("POST", "/t/oauth2/v2.0/token", host="login.microsoftonline.com"), False),
    ],
)
def test_what_changes_something_is_a_write_and_what_is_unknown_too(one: Exchange, counts: bool) -> None:
    assert bool(writes_in([one])) is counts
    assert writes_in([one], "another") == []


def test_reads_of_an_admin_credential_are_listed_on_their_own() -> None:
    path = f"{CLUSTER}/listClusterAdminCredential"
    assert [one.cluster for one in credential_reads_in([exchange("POST", path)], "shop")] == [CLUSTER]
    assert credential_reads_in([replace(exchange("POST", path), status=400)]) == []
    assert credential_reads_in([exchange("POST", f"{CLUSTER}/listClusterUserCredential")]) == []


def test_an_approved_write_is_covered_and_one_before_or_elsewhere_is_not() -> None:
    log = ApprovalLog(stages=[APPROVED])
    assert unapproved([exchange("PUT"), exchange("POST", f"{CLUSTER}/rotateClusterCertificates")], log) == []
    assert len(unapproved([exchange("PUT", seconds=-1)], log)) == 1
    assert len(unapproved([exchange("PUT", f"{CLUSTER}-other")], log)) == 1
    assert len(unapproved([exchange("POST", "/v1.0/groups", host="graph.microsoft.com")], log)) == 1
    assert len(unapproved([exchange("PUT")], ApprovalLog())) == 1


def test_an_approval_covers_only_what_its_plan_does() -> None:
    log = ApprovalLog(stages=[replace(APPROVED, rotated=frozenset())])
    assert len(unapproved([exchange("POST", f"{CLUSTER}/rotateClusterCertificates")], log)) == 1


def test_an_approval_counts_until_the_stage_begins_and_then_to_its_end() -> None:
    log = ApprovalLog(stages=[APPROVED])
    assert unapproved([exchange("PUT"), exchange("PUT", seconds=7200)], log) == []
    assert len(unapproved([exchange("PUT", seconds=3601)], log)) == 1


def test_an_approval_ends_with_its_run() -> None:
    log = ApprovalLog(stages=[APPROVED], deleted={RUN: AT + timedelta(seconds=30)})
    assert unapproved([exchange("PUT")], log) == []
    assert len(unapproved([exchange("PUT", seconds=60)], log)) == 1


def test_a_typed_command_covers_its_clusters_while_it_runs_and_an_opening_voids_approvals() -> None:
    log = ApprovalLog(stages=[APPROVED])
    with log.open(CLUSTER):
        now = Write(at=datetime.now(UTC), what=f"PUT {CLUSTER}", cluster=CLUSTER, status=200)
        log.deleted[RUN] = now.at + timedelta(days=1)
        assert asyncio.run(log.unapproved([now])) == [str(now)]
    with log.typing("aks-entra break-glass", CLUSTER):
        typed = replace(now, at=datetime.now(UTC))
    assert asyncio.run(log.unapproved([typed])) == []
    late = replace(now, at=log.commands[0].since - timedelta(seconds=1))
    assert asyncio.run(ApprovalLog(commands=list[TypedCommand](log.commands)).unapproved([late])) == [str(late)]


DANA = SignedByPerson(who="dana", run=RUN, plan="sha256:1", stage="all")
GLASS = replace(DANA, who="glass")


@pytest.mark.parametrize(
    ("second", "requester", "counts"),
    [
        (GLASS, "", True),
        (DANA, "", False),
        (replace(GLASS, who="mallory"), "", False),
        (replace(GLASS, run=UUID(int=2)), "", False),
        (replace(GLASS, plan="sha256:2"), "", False),
        (replace(GLASS, stage="rest"), "", False),
        (GLASS, "dana", False),
    ],
)
def test_an_approval_is_signed_when_enough_people_signed_it_for_this_stage_and_run(
    second: SignedByPerson, requester: str, counts: bool
) -> None:
    two = Signers(people=frozenset({"dana", "glass"}), at_least=2)
    log = ApprovalLog(signers=two, signed=[DANA, second], requesters={RUN: requester})
    assert log.is_signed(RUN, "sha256:1", "all") is counts
    assert ApprovalLog().is_signed(RUN, "sha256:1", "all")
