"""Azure's own SDKs against the sandbox's ARM: reads, writes and refusals."""

from __future__ import annotations

import dataclasses

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.evidence.observations import AdminCredentialRefused
from aks_entra.core.steps import Guarded
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.ports.migration import HeldCredential
from aks_entra.ports.operations import Operation
from aks_entra.wiring import Session
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, READER, SUBSCRIPTION, TENANT, Opener, cluster

WRITE = "Microsoft.ContainerService/managedClusters/write"
READ = "Microsoft.ContainerService/managedClusters/read"


async def settled(session: Session, operation: Operation) -> None:
    assert operation.url.startswith("https://management.azure.com/")
    assert operation.correlation_id
    assert (await session.watch.settled(operation)).succeeded


async def test_a_subscription_is_found_by_name_or_id_with_its_tenant(opened: Opener) -> None:
    async with opened() as session:
        arm = session.ports.arm
        assert await arm.subscription_id("PROD-eu") == SUBSCRIPTION
        assert await arm.subscription_id(SUBSCRIPTION) == SUBSCRIPTION
        assert await arm.tenant_of(SUBSCRIPTION) == TENANT
        with pytest.raises(Refused, match="no subscription is named 'prod-us'") as refused:
            await arm.subscription_id("prod-us")
        assert "prod-eu" in refused.value.remedy
        with pytest.raises(Refused) as refused:
            await arm.tenant_of("00000000-0000-4000-8000-000000000001")
        assert refused.value.status in {403, 404}


async def test_listed_clusters_have_the_properties_of_the_world(opened: Opener) -> None:
    async with opened() as session:
        found = {one.cluster.name: one async for one in session.ports.arm.list_clusters(SUBSCRIPTION)}
        here = [one.cluster.name async for one in session.ports.arm.list_clusters(SUBSCRIPTION, "shop-weu")]
        read = await session.ports.arm.cluster(cluster("plain"))
    assert sorted(here) == ["guarded", "legacy", "plain"]
    assert {name: one.identity for name, one in found.items()} == {
        "plain": Identity.NONE,
        "legacy": Identity.LEGACY,
        "guarded": Identity.MANAGED,
        "azure-rbac": Identity.MANAGED,
        "asleep": Identity.NONE,
    }
    guarded, plain = found["guarded"], found["plain"]
    assert (guarded.admin_group_ids, guarded.tenant_id, guarded.local_accounts) == ((ADMINS,), TENANT, False)
    assert found["azure-rbac"].azure_rbac
    assert found["asleep"].stopped
    assert (plain.local_accounts, plain.kubernetes_rbac, plain.nodes, plain.at_rest) == (True, True, 2, True)
    assert plain.tags == (("env", "prod"),)
    assert (plain.fqdn or "").endswith(".azmk8s.io")
    assert plain.node_resource_group
    assert read == plain


MANY = "".join(f"          - {{name: many-{number:03}, nodes: 0}}\n" for number in range(510))


@pytest.mark.parametrize("box", [{"more": f"      - name: many-weu\n        clusters:\n{MANY}"}], indirect=True)
async def test_a_long_list_is_read_to_its_last_page(opened: Opener) -> None:
    async with opened() as session:
        assert len([one async for one in session.ports.arm.list_clusters(SUBSCRIPTION, "many-weu")]) == 510
        assert len({one.cluster.key async for one in session.ports.arm.list_clusters(SUBSCRIPTION)}) == 515


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            Reply(200, {"value": [], "nextLink": "https://elsewhere.example/next"}),
            Refused,
            "leads to https://elsewhere.example",
        ),
        (Reply(200, "<html>Please sign in</html>"), Rejected, "the response is not JSON"),
        (Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}), Refused, "AuthorizationFailed"),
    ],
)
async def test_an_invalid_list_is_an_error(
    opened: Opener, box: Sandbox, answer: Reply, error: type[AksEntraError], words: str
) -> None:
    for _ in range(4 if error is Rejected else 1):  # a read is repeated three times
        box.faults.add("GET", "/managedClusters$", answer=answer)
    async with opened() as session:
        with pytest.raises(error) as raised:
            assert [one async for one in session.ports.arm.list_clusters(SUBSCRIPTION)]
    assert words in f"{raised.value} {raised.value.code}"
    assert box.faults.waiting == ()


async def test_a_missing_cluster_is_refused(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match="nothing-here") as refused:
            await session.ports.arm.cluster(cluster("nothing-here"))
    assert (refused.value.code, refused.value.status) == ("ResourceNotFound", 404)


async def test_only_the_ca_is_kept_of_a_kubeconfig(opened: Opener) -> None:
    async with opened() as session:
        ca = await session.ports.arm.certificate_authority(cluster("plain"))
        assert not session.ports.vault.holds(cluster("plain"))
    assert len(bytes.fromhex(ca.fingerprint)) == 32
    assert ca.not_before.endswith("Z")


async def test_rights_are_read_in_advance(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        arm = session.ports.arm
        me = await session.ports.callers.runner()
        assert await arm.missing_permissions(cluster("plain"), (WRITE, READ)) == ()
        assert await arm.is_cluster_admin(cluster("plain"), me.object_id) is False
    box.arm.assign(
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop-weu",
        ADMINS,
        "Azure Kubernetes Service RBAC Cluster Admin",
    )
    async with opened() as session:
        arm = session.ports.arm
        assert await arm.is_cluster_admin(cluster("plain"), me.object_id) is True
        assert await arm.is_cluster_admin(cluster("azure-rbac", "pay-weu"), me.object_id) is False


@pytest.mark.usefixtures("as_reader")
async def test_a_missing_right_is_named_or_unknown_and_writes_are_refused(opened: Opener) -> None:
    async with opened() as session:
        arm = session.ports.arm
        missing = await arm.missing_permissions(cluster("plain"), (WRITE,))
        assert missing in {None, (WRITE,)}
        assert await arm.is_cluster_admin(cluster("plain"), READER["id"]) in {None, False}
        posture = await arm.cluster(cluster("legacy"))
        with pytest.raises(Refused, match=f"lacks {WRITE}") as refused:
            await arm.set_local_accounts(cluster("legacy"), Guarded.of(posture), enabled=False)
        assert refused.value.code == "AuthorizationFailed"
        with pytest.raises(Refused, match=r"lacks .*listClusterAdminCredential"):
            await arm.hold_admin_credential(cluster("guarded"))


async def test_a_lock_that_applies_to_a_cluster_is_read_and_its_write_rejected(opened: Opener) -> None:
    async with opened() as session:
        arm = session.ports.arm
        posture = await arm.cluster(cluster("azure-rbac", "pay-weu"))
        locks = await arm.locks(posture.cluster, posture.node_resource_group)
        assert locks is not None
        assert [(one.name, one.level) for one in locks] == [("keep", "ReadOnly")]
        assert await arm.locks(cluster("plain"), "MC_shop-weu_plain_westeurope") == ()
        with pytest.raises(Rejected, match="lock") as rejected:
            await arm.set_local_accounts(posture.cluster, Guarded.of(posture), enabled=False)
    assert rejected.value.code == "ScopeLocked"
    assert "remove the management lock" in rejected.value.remedy


@pytest.mark.parametrize("name", ["plain", "legacy"])
async def test_entra_id_is_enabled_local_accounts_disabled_and_the_admin_credential_refused(
    opened: Opener, name: str
) -> None:
    async with opened() as session:
        arm, me = session.ports.arm, cluster(name)
        before = await arm.cluster(me)
        assert isinstance(await arm.hold_admin_credential(me), HeldCredential)
        await settled(session, await arm.enable_entra(me, Guarded.of(before), TENANT, (ADMINS,), None))
        enabled = await arm.cluster(me)
        assert (enabled.identity, enabled.admin_group_ids, enabled.tenant_id) == (Identity.MANAGED, (ADMINS,), TENANT)
        assert enabled.tags == before.tags
        await settled(session, await arm.update_entra(me, Guarded.of(enabled), (ADMINS,), azure_rbac=True))
        updated = await arm.cluster(me)
        assert updated.azure_rbac
        await settled(session, await arm.set_local_accounts(me, Guarded.of(updated), enabled=False))
        refused = await arm.hold_admin_credential(me)
        assert isinstance(refused, AdminCredentialRefused)
        assert (refused.status, refused.code) == (400, "BadRequest")
        assert refused.message.startswith("Getting static credential is not allowed")
        assert refused.correlation_id
        closed = await arm.cluster(me)
        assert not closed.local_accounts
        await settled(session, await arm.set_local_accounts(me, Guarded.of(closed), enabled=True))
        assert (await arm.cluster(me)).local_accounts


async def test_a_changed_cluster_is_refused_with_the_differences_before_any_write(opened: Opener) -> None:
    async with opened() as session:
        arm = session.ports.arm
        now = await arm.cluster(cluster("guarded"))
        approved = dataclasses.replace(Guarded.of(now), local_accounts=True, admin_groups=(READER["id"],))
        with pytest.raises(Refused, match="local accounts: expected on, found off") as refused:
            await arm.set_local_accounts(cluster("guarded"), approved, enabled=False)
        assert f"admin groups: expected {READER['id']}, found {ADMINS}" in refused.value.message
        assert await arm.cluster(cluster("guarded")) == now


async def test_a_second_operation_at_the_same_time_is_refused(opened: Opener, box: Sandbox) -> None:
    box.clock.pace = 1.0
    async with opened() as session:
        arm, me = session.ports.arm, cluster("plain")
        expected = Guarded.of(await arm.cluster(me))
        operation = await arm.enable_entra(me, expected, TENANT, (ADMINS,), None)
        assert not (await arm.operation(operation)).terminal
        assert not (await arm.operation(Operation(cluster=me, url=""))).terminal
        with pytest.raises(TryLater) as later:
            await arm.rotate_certificates(me)
        assert later.value.code in {"OperationNotAllowed", "EtagMismatch"}
        assert later.value.status == 409
        with pytest.raises(TryLater, match="another operation is running") as later:
            await arm.set_local_accounts(me, Guarded.of(await arm.cluster(me)), enabled=False)
        assert later.value.code == "OperationNotAllowed"


async def test_a_token_for_arm_is_sent_to_arm_only(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match=r"leads to https://example\.com"):
            await session.ports.arm.operation(
                Operation(cluster=cluster("plain"), url="https://example.com/operations/1")
            )


async def test_a_cluster_is_created_once_with_local_accounts_disabled(opened: Opener) -> None:
    spec = NewCluster(
        cluster=cluster("fresh", "new-weu"),
        admin_group_ids=(ADMINS,),
        tenant_id=TENANT,
        body={
            "location": "westeurope",
            "tags": {"made": "by-test"},
            "properties": {"agentPoolProfiles": [{"name": "nodepool1", "mode": "System", "count": 2}]},
        },
    )
    async with opened() as session:
        arm = session.ports.arm
        with pytest.raises(Refused, match="new-weu"):
            await arm.create_cluster(spec)
        assert await arm.ensure_resource_group(SUBSCRIPTION, "new-weu", "westeurope") is True
        assert await arm.ensure_resource_group(SUBSCRIPTION, "new-weu", "westeurope") is False
        await settled(session, await arm.create_cluster(spec))
        made = await arm.cluster(spec.cluster)
        assert (made.identity, made.azure_rbac, made.local_accounts) == (Identity.MANAGED, True, False)
        assert (made.admin_group_ids, made.tenant_id, made.nodes) == ((ADMINS,), TENANT, 2)
        assert made.tags == (("made", "by-test"),)
        with pytest.raises(Rejected, match="exists already"):
            await arm.create_cluster(spec)
        etag = made.etag or ""
        await settled(session, await arm.create_cluster(spec, failed=etag))
        with pytest.raises(TryLater, match="somebody else changed it in between"):
            await arm.create_cluster(spec, failed=etag)
        await settled(session, await arm.create_cluster(spec, failed=""))
