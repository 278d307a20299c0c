"""Drift of a declared group in inventory, plan and verify, which report it and write nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.command_line import serving, typed
from tests.contract.small_world import ADMINS, UNLOCKED

pytestmark = pytest.mark.usefixtures("quick")
WORLD = UNLOCKED.replace(
    f"{{name: aks-admins, id: {ADMINS}, members: [operator, dana, left]}}",
    f"{{name: aks-admins, id: {ADMINS}, uniqueName: aks-entra-admins, members: [operator, dana, left]}}",
)
FLEET = """\
version: 1
name: guarded
clusters: [{subscription: prod-eu, resource_group: shop-weu, name: guarded}]
target:
  admin_groups:
    - name: Administrators
      create: true
      unique_name: aks-entra-admins
      description: opens every cluster
      owners: [dana@contoso.com]
      members: [dana@contoso.com]
"""
DRIFT = "it is called 'aks-admins' now; its description is gone; owner dana@contoso.com is missing"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path, WORLD)


def test_inventory_plan_and_verify_report_drift_and_write_nothing(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(FLEET)

    inventory = typed("inventory", str(fleet))
    assert "aks-admins (3, not as declared!)" in inventory.stdout, inventory.output
    assert f"⚠ admin group Administrators: {DRIFT}" in inventory.stdout
    plain = typed("inventory", "--subscription", "prod-eu", "-o", "json")
    assert not [one for one in json.loads(plain.stdout)["clusters"] if one["drifts"]]

    plan = typed("plan", str(fleet), "-o", "json")
    assert plan.exit_code == 0, plan.output
    (cluster,) = json.loads(plan.stdout)["plan"]["clusters"]
    (time,) = json.loads(plan.stdout)["expected_time"]["stages"]
    assert (time["clusters"], time["at_a_time"], time["approvals"]) == (1, 1, 1)
    assert time["work"]["likely"] > 0
    said = {one["rule"]: one["message"] for one in cluster["findings"]}
    assert said["W150"] == f"admin group Administrators differs from the fleet file: {DRIFT}"
    also = "also has 2 members that the fleet file does not declare: they stay"
    assert said["I150"] == f"admin group Administrators {also}"
    assert "ensure-admin-group" not in {step["kind"] for step in cluster["steps"]}

    verified = typed("verify", str(fleet), "-o", "json")
    assert verified.exit_code == 1
    (verdict,) = json.loads(verified.stdout)["report"]["verdicts"]
    assert "admin group Administrators: owner dana@contoso.com is missing" in verdict["because"]
