"""The body of a new cluster's PUT, and what a creation would do beside what exists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.creation.check import Problem
from aks_entra.core.creation.preview import Course, Preview
from tests.support.new_clusters import ADMINS, LOGS, TENANT, WINDOW, new_cluster


def test_every_cluster_is_closed_whatever_its_body_says() -> None:
    new = new_cluster(disableLocalAccounts=False, aadProfile={"managed": False}, enableRBAC=False)
    properties = new.document()["properties"]
    assert properties["disableLocalAccounts"] is True
    assert properties["enableRBAC"] is True
    assert properties["aadProfile"] == {
        "managed": True,
        "enableAzureRBAC": True,
        "adminGroupObjectIDs": [ADMINS],
        "tenantID": TENANT,
    }
    assert new.closing()["properties"] == {
        key: properties[key] for key in ("enableRBAC", "aadProfile", "disableLocalAccounts")
    }


def test_the_dns_prefix_is_made_from_the_names_unless_one_is_asked_for() -> None:
    assert new_cluster().document()["properties"]["dnsPrefix"] == "pay-01-pay-weu"
    assert new_cluster(dnsPrefix="mine").document()["properties"]["dnsPrefix"] == "mine"
    assert "dnsPrefix" not in new_cluster(fqdnSubdomain="mine").document()["properties"]


def test_zones_are_added_to_pools_that_name_none() -> None:
    new = new_cluster()
    assert [pool["availabilityZones"] for pool in new.with_zones(("1", "2")).pools] == [["1", "2"]]
    without = new_cluster(pool={"availabilityZones": []})
    assert without.with_zones(("1",)) == without
    assert new.with_zones(()) is new
    automatic = replace(new, body={**new.body, "sku": {"name": "Automatic"}})
    assert automatic.with_zones(("1",)) is automatic


def test_children_are_named_for_people() -> None:
    assert [str(WINDOW), str(LOGS)] == [
        "maintenance window aksManagedAutoUpgradeSchedule",
        "diagnostic setting audit",
    ]


@pytest.mark.parametrize(
    ("found", "course"),
    [
        ({}, Course.CREATE),
        ({"state": "Creating"}, Course.WAIT),
        ({"state": "Failed"}, Course.REPEAT),
        ({"state": "Canceled", "missing": (WINDOW,)}, Course.REPEAT),
        ({"state": "Succeeded", "missing": (WINDOW,)}, Course.COMPLETE),
        ({"state": "Succeeded"}, Course.NOTHING),
        ({"state": "Succeeded", "differences": ("a",)}, Course.REFUSE),
        ({"problems": (Problem(field="", message="", remedy=""),)}, Course.REFUSE),
        ({"problems": (Problem(field="", message="", remedy="", unknown=True),)}, Course.CREATE),
    ],
)
def test_what_a_creation_would_do(found: dict[str, object], course: Course) -> None:
    preview = Preview(new=new_cluster(), **found)  # type: ignore[arg-type]  # a table
    assert preview.course is course
    assert preview.exists is bool(preview.state)
    assert len(preview.unknown) + len(preview.blockers) == len(preview.problems)
