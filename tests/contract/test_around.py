"""What stands around a cluster, read from the sandbox's ARM and from a cluster in which something stands."""

from __future__ import annotations

import pytest

from aks_entra.core.debt import Sighting
from aks_entra.core.preflight import LOCAL_ACCOUNTS_POLICY, Policy
from aks_entra.ports import Witness

from .conftest import SUBSCRIPTION, WORLD, Opener, cluster

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ops-weu"
MORE = f"""\
      - name: ops-weu
        policies:
          - {{name: no-local, definition: {LOCAL_ACCOUNTS_POLICY}, effect: Deny, displayName: No local}}
        clusters:
          - name: ops-01
            identity: managed
            activity:
              - caller: dana@contoso.com
                operation: Microsoft.ContainerService/managedClusters/write
                at: 3 days ago
            adminGroups: [aks-admins]
            workloads: [{{name: web, replicas: 1}}]
            disruptionBudgets: [{{name: tight, workload: web, minAvailable: 1}}]
            webhooks: [{{name: policies, trustsCluster: true, namespace: default}}]
            maintenance:
              aksManagedAutoUpgradeSchedule:
                maintenanceWindow:
                  schedule: {{weekly: {{intervalWeeks: 1, dayOfWeek: Saturday}}}}
                  durationHours: 4
                  utcOffset: "+00:00"
                  startTime: "02:00"
"""
BOX = pytest.mark.parametrize("box", [{"more": MORE}], indirect=True)


@BOX
async def test_what_arm_says_around_a_cluster(opened: Opener) -> None:
    async with opened() as session:
        arm, ops = session.ports.arm, cluster("ops-01", "ops-weu")
        assert await arm.policies(ops) == (
            Policy(name="No local", scope=GROUP, definition=LOCAL_ACCOUNTS_POLICY, effect="Deny"),
        )
        assert await arm.policies(cluster("plain")) == ()
        (window,) = await arm.maintenance_windows(ops) or ()
        assert window.words == "aksManagedAutoUpgradeSchedule: weekly, Saturday, 02:00 for 4 h (+00:00)"
        assert await arm.maintenance_windows(cluster("plain")) == ()
        offered = await arm.supported_versions(SUBSCRIPTION, "westeurope")
        assert offered is not None
        assert "1.33" in offered
        assert [(one.name, one.application) for one in await arm.writers(ops) or ()] == [("dana@contoso.com", False)]
        assert await arm.writers(cluster("plain")) == ()


@BOX
async def test_when_an_admin_credential_was_handed_out(opened: Opener) -> None:
    async with opened() as session:
        arm, ops = session.ports.arm, cluster("ops-01", "ops-weu")
        assert await arm.handed_out(ops) == ()
        assert isinstance(await arm.hold_admin_credential(ops), Witness)
        (record,) = await arm.handed_out(ops) or ()
        assert (record.cluster, record.sighting) == (ops.key, Sighting.ACCOUNTS_ON)
        assert await arm.handed_out(cluster("plain")) == ()


@BOX
async def test_what_stands_in_a_cluster(opened: Opener) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("ops-01", "ops-weu"))
        posture = posture.with_ca(await session.ports.arm.certificate_authority(posture.cluster))
        there = await session.ports.kubernetes.inside(posture)
    assert there.unread == ()
    assert [one.label for one in there.controllers or ()] == ["Deployment default/web"]
    assert (there.budgets, there.webhooks) == (("default/tight",), ("policies",))


@pytest.mark.usefixtures("as_reader")
@BOX
async def test_without_a_right_it_is_unknown(opened: Opener) -> None:
    async with opened() as session:
        arm, ops = session.ports.arm, cluster("ops-01", "ops-weu")
        assert await arm.policies(ops) is None
        assert await arm.maintenance_windows(ops) is None
        assert await arm.supported_versions(SUBSCRIPTION, "westeurope") is None
        assert await arm.writers(ops) is None
        assert await arm.published_addresses(ops, "MC_ops-weu_ops-01_westeurope") is None
        assert (await arm.subnet(f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/s")).free is None


@pytest.mark.parametrize(
    "box",
    [{"world": WORLD.replace("name: prod-eu\n", "name: prod-eu\n    quotas: [{location: westeurope, limit: 26}]\n")}],
    indirect=True,
)
async def test_what_a_region_has_left(opened: Opener) -> None:
    async with opened() as session:
        left = {one.name: one.left for one in await session.ports.arm.quotas(SUBSCRIPTION, "westeurope") or ()}
        assert 0 <= left["cores"] < 26
        assert left["standardDSv5Family"] > 26
