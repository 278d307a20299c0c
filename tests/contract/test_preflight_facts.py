"""The facts that preflight needs about a cluster, read from the sandbox's ARM and API server."""

from __future__ import annotations

import pytest

from aks_entra.core.access.deny_assignments import EVERYONE
from aks_entra.core.preflight import LOCAL_ACCOUNTS_POLICY, Policy
from aks_entra.errors import Refused
from aks_entra.planning.preflight_facts import denials_of
from aks_entra.planning.reader import Reading
from aks_entra.ports.migration import HeldCredential
from azure_sandbox.arm.authorization.deny_assignments import DenyAssignment
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, WORLD, Opener, cluster

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
async def test_arm_returns_policies_windows_versions_and_writers(opened: Opener) -> None:
    async with opened() as session:
        arm, ops = session.ports.arm, cluster("ops-01", "ops-weu")
        assert await arm.policies(ops) == (
            Policy(
                name="No local",
                scope=GROUP,
                definition=LOCAL_ACCOUNTS_POLICY,
                effect="Deny",
                assignment=f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/no-local",
            ),
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
async def test_reads_of_the_admin_credential_are_found(opened: Opener) -> None:
    async with opened() as session:
        arm, ops = session.ports.arm, cluster("ops-01", "ops-weu")
        before = await arm.handed_out(ops)
        assert before.handed_out == ()
        assert before.since < before.until <= before.at
        assert isinstance(await arm.hold_admin_credential(ops), HeldCredential)
        (told,) = (await arm.handed_out(ops)).handed_out
        assert told.ended
        assert (await arm.handed_out(cluster("plain"))).handed_out == ()


@BOX
async def test_workloads_budgets_and_webhooks_are_read(opened: Opener) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("ops-01", "ops-weu"))
        posture = posture.with_ca(await session.ports.arm.certificate_authority(posture.cluster))
        there = await session.ports.kubernetes.inside(posture)
    assert there.unread == ()
    assert [one.label for one in there.controllers or ()] == ["Deployment default/web"]
    assert (there.budgets, there.webhooks) == (("default/tight",), ("policies",))


@pytest.mark.usefixtures("as_reader")
@BOX
async def test_without_rights_each_fact_is_unknown(opened: Opener) -> None:
    async with opened() as session:
        arm, ops = session.ports.arm, cluster("ops-01", "ops-weu")
        assert await arm.policies(ops) is None
        assert await arm.deny_assignments(ops) is None
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
async def test_the_remaining_quota_of_a_region_is_read(opened: Opener) -> None:
    async with opened() as session:
        left = {one.name: one.left for one in await session.ports.arm.quotas(SUBSCRIPTION, "westeurope") or ()}
        assert 0 <= left["cores"] < 26
        assert left["standardDSv5Family"] > 26


FORBIDDEN = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action"
NO_ADMIN = {
    "denyAssignmentName": "no-admin",
    "permissions": [{"actions": [FORBIDDEN], "notActions": []}],
    "principals": [{"id": EVERYONE, "type": "SystemDefined"}],
    "excludePrincipals": [{"id": ADMINS.upper(), "type": "Group"}],
    "scope": f"/subscriptions/{SUBSCRIPTION}",
    "condition": None,
}


@BOX
async def test_a_deny_assignment_is_read_and_bars_the_way_back(opened: Opener, box: Sandbox) -> None:
    ops = cluster("ops-01", "ops-weu")
    async with opened() as session:
        assert await session.ports.arm.deny_assignments(ops) == ()
    made = DenyAssignment(scope=f"/subscriptions/{SUBSCRIPTION}", name="no", properties=dict(NO_ADMIN))
    box.arm.state.denials[made.id.lower()] = made
    async with opened() as session:
        ports = session.ports
        (found,) = await ports.arm.deny_assignments(ops) or ()
        assert (found.name, found.scope, found.conditional) == ("no-admin", f"/subscriptions/{SUBSCRIPTION}", False)
        assert found.denied((FORBIDDEN,)) == (FORBIDDEN,)
        assert found.groups == (ADMINS,)
        runner = await ports.callers.runner()
        assert found.applies(runner.object_id, {ADMINS: False}) is True
        (denial,) = await denials_of(ports, Reading(ports), ops, (FORBIDDEN,)) or ("none",)
        assert denial == "none", "the operator is in the group that is excluded"
        made.properties["excludePrincipals"] = []
        with pytest.raises(Refused) as refused:
            await ports.arm.hold_admin_credential(ops)
        assert refused.value.code == "DenyAssignmentAuthorizationFailed"
    made.properties["doNotApplyToChildScopes"] = True
    async with opened() as session:
        assert await session.ports.arm.deny_assignments(ops) == ()
