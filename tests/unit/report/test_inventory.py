# ruff: noqa: E501, ISC004 - what is printed reads best as it is printed
"""An inventory's columns, and whether each cluster can be migrated."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from aks_entra.core.cluster import Depth, Identity
from aks_entra.core.doors.model import closed, opened
from aks_entra.core.doors.registry import KINDS
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.preflight import GroupFacts
from aks_entra.errors import Refused
from aks_entra.planning.inventory import Row
from aks_entra.report import doors_view, inventory_csv
from aks_entra.report import inventory_view as view
from aks_entra.report.inventory_summary import board, document
from aks_entra.report.inventory_text import render, render_board
from aks_entra.report.inventory_view import Prospect
from tests.support.report_samples import ADMINS, posture

LIVING = GroupFacts(id=ADMINS, display_name="aks-admins", members=14)
ALIVE = OldCredentials(debt=Debt.ALIVE, because="local accounts are on")
DEAD = OldCredentials(debt=Debt.NONE, because="rotated", since="2026-03-02T10:00:00Z")
OWED = OldCredentials(debt=Debt.OWED, because="CA from 2024-05-11, accounts were open on 2025-01-01")
UNKNOWN = OldCredentials(debt=Debt.UNKNOWN, because="local accounts are off; the CA was not read")

SHUT = tuple(closed(kind.id, "seen") for kind in KINDS)

ROWS = {
    "none": Row(posture=posture("none", identity=Identity.NONE), old_credentials=ALIVE),
    "legacy": Row(posture=posture("legacy", identity=Identity.LEGACY, private=True), old_credentials=ALIVE),
    "open": Row(posture=posture("open"), old_credentials=ALIVE, groups=(LIVING,)),
    "owed": Row(posture=posture("owed", local_accounts=False), old_credentials=OWED, groups=(LIVING,)),
    "done": Row(posture=posture("done", local_accounts=False), old_credentials=DEAD, groups=(LIVING,)),
    "deleted": Row(
        posture=posture("deleted"), old_credentials=ALIVE, groups=(replace(LIVING, deleted_on="2026-11-02"),)
    ),
    "rbac": Row(
        posture=posture("rbac", azure_rbac=True), old_credentials=ALIVE, groups=(replace(LIVING, members=0),)
    ),
    "no-rbac": Row(posture=posture("no-rbac", identity=Identity.NONE, kubernetes_rbac=False), old_credentials=ALIVE),
    "stopped": Row(
        posture=posture("stopped", local_accounts=False, power_state="Stopped"), old_credentials=UNKNOWN, groups=(LIVING,)
    ),
    "failed": Row(
        posture=posture("failed", provisioning_state="Failed"), old_credentials=ALIVE, problem="nobody answers"
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "prospect"),
    [
        ("none", Prospect.CAN_BE_MIGRATED),
        ("legacy", Prospect.CAN_BE_MIGRATED),
        ("open", Prospect.CAN_BE_MIGRATED),
        ("owed", Prospect.CAN_BE_MIGRATED),
        ("done", Prospect.AS_IT_SHOULD_BE),
        ("deleted", Prospect.NEEDS_GROUP),
        ("rbac", Prospect.CAN_BE_MIGRATED),
        ("no-rbac", Prospect.CANNOT_BE),
        ("stopped", Prospect.MUST_BE_STARTED),
        ("failed", Prospect.MUST_BE_REPAIRED),
    ],
)
def test_whether_a_cluster_can_be_migrated(name: str, prospect: Prospect) -> None:
    assert view.prospect(ROWS[name]) is prospect


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ((LIVING,), "aks-admins (14)"),
        ((replace(LIVING, deleted_on="2026-11-02"),), "aks-admins (deleted!)"),
        ((replace(LIVING, exists=False, display_name=""),), "2d1f6b0e… (does not exist!)"),
        ((replace(LIVING, security_enabled=False),), "aks-admins (not a security group!)"),
        ((replace(LIVING, members=0),), "aks-admins (empty!)"),
        ((replace(LIVING, members=None),), "aks-admins (members unread)"),
        ((), "2d1f6b0e… (unread)"),
    ],
)
def test_admin_groups_by_name_and_with_what_is_wrong(groups: tuple[GroupFacts, ...], words: str) -> None:
    assert view.groups(Row(posture=posture("a"), old_credentials=ALIVE, groups=groups)) == words


@pytest.mark.parametrize(
    ("groups", "wrong"),
    [
        ((replace(LIVING, display_name="look here!"),), False),
        ((replace(LIVING, members=None),), False),
        ((), False),
        ((replace(LIVING, members=0),), True),
    ],
)
def test_a_group_is_red_for_what_is_wrong_and_not_for_its_name(groups: tuple[GroupFacts, ...], wrong: bool) -> None:
    assert view.groups_are_wrong(Row(posture=posture("a"), old_credentials=ALIVE, groups=groups)) is wrong


def test_a_group_that_could_not_be_read_is_not_called_dead() -> None:
    assert view.prospect(Row(posture=posture("a"), old_credentials=ALIVE)) is Prospect.CAN_BE_MIGRATED


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ALIVE, "alive"),
        (DEAD, "dead since 2026-03-02"),
        (replace(DEAD, since=None), "dead: rotated"),
        (OWED, "OWED: CA from 2024-05-11, accounts were open on 2025-01-01"),
        (UNKNOWN, "unknown: local accounts are off; the CA was not read"),
    ],
)
def test_old_credentials(found: OldCredentials, words: str) -> None:
    assert view.old_credentials(Row(posture=posture("a"), old_credentials=found)) == words


def test_the_other_ways_in_name_what_is_open_and_count_what_nobody_looked_at() -> None:
    ajar = Row(
        posture=posture("a"), old_credentials=ALIVE, doors=(opened("node-ssh", "everyone", remedy="x"), *SHUT[1:])
    )
    assert doors_view.summary(SHUT) == "closed"
    assert doors_view.summary(()) == f"{len(KINDS)} not looked at"
    (shown,) = view.document((ajar,))["clusters"]
    assert shown["doors"][0] == {"kind": "node-ssh", "state": "open", "because": ("everyone",), "remedy": "x"}
    others = tuple(door for door in SHUT if door.kind not in {"node-ssh", "jwt-authenticators"})
    assert doors_view.summary((*others, ajar.doors[0])) == "1 open, 1 not looked at"


def test_a_whole_table() -> None:
    names = ("legacy", "owed", "rbac", "no-rbac", "failed")
    console = Console(width=220, no_color=True)
    with console.capture() as captured:
        for renderable in render(tuple(replace(ROWS[name], doors=SHUT) for name in names)):
            console.print(renderable)
    lines = [line.rstrip() for line in captured.get().splitlines()]

    assert lines == [
        "CLUSTER           IDENTITY            ADMIN GROUPS         LOCAL ACCOUNTS  "
        "OLD CREDENTIALS                                             OTHER WAYS IN  NODES  STATE",
        "shop-weu/legacy   legacy              –                    on              "
        "alive                                                       closed             3  Running, private",
        "shop-weu/owed     Entra               aks-admins (14)      off             "
        "OWED: CA from 2024-05-11, accounts were open on 2025-01-01  closed             3  Running",
        "shop-weu/rbac     Entra + Azure RBAC  aks-admins (empty!)  on              "
        "alive                                                       closed             3  Running",
        "shop-weu/no-rbac  none, no RBAC       –                    on              "
        "alive                                                       closed             3  Running",
        "shop-weu/failed   Entra               2d1f6b0e… (unread)   on              "
        "alive                                                       closed             3  Failed",
        "⚠ shop-weu/failed: nobody answers",
        "5 clusters · 3 can be migrated · 1 must be repaired first · 1 cannot be (no Kubernetes RBAC)",
        "read: ARM, the API servers' certificates and the clusters' CAs",
    ]


def test_two_subscriptions_are_told_apart() -> None:
    other = replace(ROWS["open"].posture.cluster, subscription_id="another")
    rows = (ROWS["open"], replace(ROWS["open"], posture=replace(ROWS["open"].posture, cluster=other)))
    console = Console(width=250, no_color=True)
    with console.capture() as captured:
        for renderable in render(rows):
            console.print(renderable)

    assert captured.get().startswith("SUBSCRIPTION")
    assert "another" in captured.get()


def test_the_depth_is_shown_with_the_option_that_reads_more() -> None:
    listed = Row(posture=posture("a", depth=Depth.LISTED), old_credentials=ALIVE)
    probed = Row(posture=posture("a", depth=Depth.PROBED), old_credentials=ALIVE)

    assert "--probe" in view.depth((listed,))
    assert "--read" in view.depth((listed, probed))
    assert "--" not in view.depth((listed, probed, ROWS["open"]))


def test_nothing_found() -> None:
    console = Console(width=80, no_color=True)
    with console.capture() as captured:
        for renderable in render(()):
            console.print(renderable)

    assert captured.get() == "0 clusters\n"


def test_an_inventory_as_json() -> None:
    found = json.loads(json.dumps(view.document((ROWS["done"], ROWS["failed"]))))

    assert found["kind"] == "aks-entra/inventory"
    assert found["counts"] == {"as it should be": 1, "must be repaired first": 1}
    assert [one["prospect"] for one in found["clusters"]] == ["as it should be", "must be repaired first"]
    first = found["clusters"][0]
    assert first["id"].endswith("/managedClusters/done")
    assert first["posture"]["depth"] == "read"
    assert first["posture"]["nodes"] == 3
    assert first["old_credentials"] == {"debt": "none", "because": "rotated", "since": "2026-03-02T10:00:00Z"}
    assert first["admin_groups"][0]["display_name"] == "aks-admins"
    assert found["clusters"][1]["problem"] == "nobody answers"


def test_a_cluster_that_break_glass_opened_shows_until_when() -> None:
    tags = (("aks-entra-break-glass-until", "2026-11-24T09:00:00Z"), ("aks-entra-break-glass-reason", "INC-77"))
    assert view.local_accounts(replace(posture("a"), tags=tags)) == "OPEN until 2026-11-24T09:00:00Z (INC-77)"
    assert view.local_accounts(replace(posture("a"), tags=tags, local_accounts=False)) == "off"


def test_a_board_counts_states_and_says_since_when_rotations_are_owed() -> None:
    rows = (
        *ROWS.values(),
        replace(ROWS["owed"], old_credentials=replace(OWED, since="2025-03-01T00:00:00Z")),
        replace(ROWS["owed"], old_credentials=replace(OWED, since="2025-01-01T00:00:00Z")),
    )
    shown = document(rows, "posture")
    assert [(one["name"], one["clusters"]) for one in shown["groups"]] == [
        ("Entra, local accounts off", 5),
        ("Entra, local accounts on", 3),
        ("Entra + Azure RBAC, local accounts on", 1),
        ("legacy, local accounts on", 1),
        ("none, local accounts on", 1),
        ("none, no RBAC, local accounts on", 1),
    ]
    total = shown["total"]
    assert total["clusters"] == len(rows)
    assert total["old_credentials"] == {"alive": 7, "none": 1, "owed": 3, "unknown": 1}
    assert total["owed_since"] == "2025-01-01T00:00:00Z"
    assert total["problems"] == 1
    assert sum(total["prospects"].values()) == len(rows)


def test_clusters_are_grouped_by_tag_and_subscription() -> None:
    one = replace(ROWS["open"], posture=replace(ROWS["open"].posture, tags=(("Team", "shop"),)))
    assert [(line.name, line.clusters) for line in board((one, ROWS["done"]), "tag:team")] == [
        ("(no such tag)", 1),
        ("shop", 1),
    ]
    assert [line.clusters for line in board(tuple(ROWS.values()), "subscription")] == [len(ROWS)]
    assert board((), "posture") == ()


@pytest.mark.parametrize("by", ["colour", "tag", "tag:", "subscription:x"])
def test_an_unknown_grouping_is_refused_also_without_clusters(by: str) -> None:
    with pytest.raises(Refused, match="cannot be grouped by"):
        board((), by)


def test_the_board_as_people_see_it() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    rows = (ROWS["open"], ROWS["owed"], ROWS["done"])
    console.print(*render_board(rows, "posture"), *render_board((), "posture"), sep="\n")
    assert [line.rstrip() for line in console.export_text().splitlines()] == [
        "POSTURE                    CLUSTERS  AS IT SHOULD BE  CAN BE MIGRATED  OWED  OWED SINCE  UNKNOWN",
        "Entra, local accounts off         2                1                1     1           –        –",
        "Entra, local accounts on          1                –                1     –           –        –",
        "total                             3                1                2     1           –        –",
        "read: ARM, the API servers' certificates and the clusters' CAs",
        "0 clusters",
    ]


def test_an_inventory_as_csv_has_a_line_for_each_cluster_and_no_formula() -> None:
    odd = replace(ROWS["open"], posture=replace(ROWS["open"].posture, tags=(("a", "b"),)), problem="=cmd()")
    lines = list(csv.DictReader(io.StringIO(inventory_csv.render((odd, ROWS["owed"])))))
    assert [line["identity"] for line in lines] == ["Entra", "Entra"]
    assert lines[0]["problem"] == "'=cmd()"
    assert lines[0]["tags"] == "a=b"
    assert lines[1]["old_credentials"].startswith("owed: CA from 2024-05-11")
