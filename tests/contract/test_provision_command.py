"""`aks-entra provision --dry-run`: what would be created, what stands against it, and where that is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.command_line import serving, typed
from tests.contract.small_world import ADMINS, UNLOCKED, cluster

pytestmark = pytest.mark.usefixtures("quick")
FILE = """\
version: 1
kind: cluster
subscription: prod-eu
resource_group: pay-new
name: pay-01
location: westeurope
admin_groups: [{name: aks-admins}]
kubernetes_version: "1.34"
node_pools: [{name: system, vm_size: Standard_D4s_v5}]
maintenance_windows: [{name: aksManagedAutoUpgradeSchedule, day: sat, start_time: "02:00"}]
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path, UNLOCKED)


def test_a_dry_run_shows_the_cluster_and_names_the_line_of_what_stands_against_it(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE)
    shown = typed("provision", str(file), "--dry-run")
    assert shown.exit_code == 0, shown.output
    for said in (
        "Microsoft Entra ID with Azure RBAC; local accounts are off",
        "public, for every address",
        "overlay, data plane azure",
        "System: 3 nodes of Standard_D4s_v5, zones 1, 2, 3",
        "maintenance window aksManagedAutoUpgradeSchedule  weekly Saturday 02:00 for 4 h (+00:00)",
        "it does not exist, and will be created",
    ):
        assert said in shown.stdout, shown.stdout
    document = json.loads(typed("provision", str(file), "--dry-run", "-o", "json").stdout)
    assert (document["course"], document["problems"]) == ("create", [])
    assert document["body"]["properties"]["aadProfile"]["adminGroupObjectIDs"] == [ADMINS]
    assert [one["missing"] for one in document["children"]] == [True]

    file.write_text(FILE.replace('"1.34"', '"1.19"'))
    refused = typed("provision", str(file), "--dry-run")
    assert refused.exit_code == 2
    assert f"! {file}:8: kubernetes_version: westeurope does not offer Kubernetes 1.19" in refused.stdout
    assert "→ use one of" in refused.stdout
    file.write_text(FILE.replace("resource_group: pay-new", "resource_group: shop-weu").replace("pay-01", "plain"))
    differs = typed("provision", str(file), "--dry-run")
    assert (
        "the existing cluster differs: properties.aadProfile.managed: asked for true, found nothing" in differs.stdout
    )


def test_a_cluster_like_another_is_closed_and_that_is_said(tmp_path: Path) -> None:
    shown = {
        "id": cluster("plain").resource_id,
        "name": "plain",
        "location": "westeurope",
        "properties": {"agentPoolProfiles": [{"name": "system", "count": 1, "mode": "System"}], "enableRBAC": True},
    }
    file = tmp_path / "plain.json"
    file.write_text(json.dumps(shown))
    words = ("provision", "--from", str(file), "-n", "plain-02", "--admin-group", "aks-admins", "--dry-run")
    dry = typed(*words)
    assert dry.exit_code == 0, dry.output
    assert "note: local accounts are turned off: the document leaves them on" in dry.stdout
    assert "note: Microsoft Entra ID is turned on" in dry.stdout
    assert "? it is not known how many vCPUs the nodes need" in dry.stdout
    body = json.loads(typed(*words, "-o", "json").stdout)["body"]
    assert body["properties"]["disableLocalAccounts"] is True
    assert body["properties"]["dnsPrefix"] == "plain-02-shop-weu"
