"""Who gets into a cluster with what: certificates, static tokens, service accounts, Entra; and after a rotation."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from azure_sandbox.arm.spec import ClusterSpec, PoolSpec, WorkloadSpec
from tests.sandbox.arm_desk import ADMINS, LONG, OTHERS, OUTSIDER, TENANT, Desk, cluster_id

UNAUTHORIZED = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "Unauthorized",
    "reason": "Unauthorized",
    "code": 401,
}
NODES = "/api/v1/nodes"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
MAY = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
MANAGED = {"managed": True, "adminGroupObjectIDs": [ADMINS], "tenantID": TENANT}
REFUSED = "Getting static credential is not allowed because this cluster is set to disable local accounts."


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(
        ClusterSpec(
            name="plain",
            pools=(PoolSpec(name="system", count=2), PoolSpec(name="work", count=1, mode="User")),
            workloads=(WorkloadSpec(name="ledger", namespace="pay", kind="StatefulSet", replicas=2),),
        ),
        ClusterSpec(name="legacy", identity="legacy"),
        ClusterSpec(name="guarded", identity="managed", admin_groups=(ADMINS,)),
        ClusterSpec(name="closed", identity="managed", admin_groups=(ADMINS,), local_accounts=False),
        ClusterSpec(name="foreign", identity="managed", admin_groups=(ADMINS,), entra_tenant="other"),
        ClusterSpec(name="azure", identity="managed", azure_rbac=True),
        ClusterSpec(name="norbac", kubernetes_rbac=False),
    )


async def whoami(desk: Desk, name: str, **credential: Any) -> Any:
    reply = await desk.kube(name, "POST", WHO, {"kind": "SelfSubjectReview"}, **credential)
    assert isinstance(reply.body, dict)
    return reply.body["status"]["userInfo"] if reply.status == 201 else reply.status


async def test_nobody_is_nobody(desk: Desk) -> None:
    reply = await desk.kube("plain", "GET", NODES)
    assert (reply.status, reply.body) == (401, UNAUTHORIZED)
    assert (await desk.kube("plain", "GET", NODES, token="made-up")).status == 401  # that is the point
    assert (await desk.kube("plain", "GET", NODES, token=desk.entra(desk.alice))).status == 401


async def test_the_admins_kubeconfig_holds_two_keys_and_each_opens_alone(desk: Desk) -> None:
    certificate, token = await desk.held("plain")
    by_certificate = await whoami(desk, "plain", certificate=certificate)
    number = by_certificate.pop("extra")["authentication.kubernetes.io/credential-id"][0]
    assert number.startswith("X509SHA256=")
    assert by_certificate == {"username": "masterclient", "groups": ["system:masters", "system:authenticated"]}
    assert "system:masters" in (await whoami(desk, "plain", token=token))["groups"]
    assert len(token) == 128
    assert token.isalnum()


async def test_kubeconfigs_say_how_one_signs_in(desk: Desk) -> None:
    plain = await desk.kubeconfig("plain", "User")
    assert plain["current-context"] == "plain"
    assert plain["users"][0]["name"] == "clusterUser_shop-weu_plain"
    assert set(plain["users"][0]["user"]) == {"client-certificate-data", "client-key-data", "token"}
    admin = await desk.kubeconfig("guarded")
    assert admin["users"][0]["name"] == "clusterAdmin_shop-weu_guarded"
    plugin = (await desk.kubeconfig("closed", "User"))["users"][0]["user"]["exec"]
    assert plugin["command"] == "kubelogin"
    assert plugin["args"][-4:] == ["--tenant-id", TENANT, "--login", "devicecode"]
    assert "kubelogin is not installed which is required" in plugin["installHint"]
    old = (await desk.kubeconfig("guarded", "User", "?format=azure"))["users"][0]["user"]["auth-provider"]
    assert old["config"]["apiserver-id"] == "6dae42f8-4368-4678-94ff-3960e28e3630"
    legacy = (await desk.kubeconfig("legacy", "User"))["users"][0]["user"]["exec"]
    assert "--legacy" in legacy["args"]
    assert (await desk.send("POST", f"{cluster_id('guarded')}/listClusterUserCredential?format=odd")).status == 400


async def test_disabled_accounts_are_refused_by_azure_and_nobody_else(desk: Desk) -> None:
    certificate, token = await desk.held("guarded")
    desk.clock.advance(LONG)
    await desk.finish(await desk.change("guarded", disableLocalAccounts=True))
    assert await desk.refused("POST", f"{cluster_id('guarded')}/listClusterAdminCredential") == (
        400,
        "BadRequest",
        REFUSED,
    )
    profile = f"{cluster_id('guarded')}/accessProfiles/clusterAdmin/listCredential"
    assert (await desk.refused("POST", profile))[2] == REFUSED
    assert (await desk.kube("guarded", "GET", NODES, certificate=certificate)).status == 200
    assert (await desk.kube("guarded", "GET", NODES, token=token)).status == 200


async def test_a_member_of_the_admin_group_gets_in_by_entra(desk: Desk) -> None:
    token = desk.entra(desk.alice)
    assert await whoami(desk, "guarded", token=token) == {
        "username": "alice@contoso.onmicrosoft.com",
        "groups": [ADMINS, "system:authenticated"],
        "extra": {"oid": [desk.alice.id]},
    }
    assert (await desk.kube("guarded", "GET", NODES, token=token)).status == 200
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/aks-cluster-admin-binding-aad"
    bound = (await desk.kube("guarded", "GET", binding, token=token)).body
    assert isinstance(bound, dict)
    assert [it["name"] for it in bound["subjects"]] == [ADMINS]


async def test_groups_travel_in_the_token(desk: Desk) -> None:
    before = desk.entra(desk.outsider)
    group = desk.directory.group(ADMINS)
    assert group is not None
    group.members.add(OUTSIDER)
    assert (await desk.kube("guarded", "GET", NODES, token=before)).status == 403
    assert (await desk.kube("guarded", "GET", NODES, token=desk.entra(desk.outsider))).status == 200


async def test_who_is_no_member_is_known_but_forbidden(desk: Desk) -> None:
    reply = await desk.kube("guarded", "GET", NODES, token=desk.entra(desk.outsider))
    assert (reply.status, reply.body) == (
        403,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f'nodes is forbidden: User "{OUTSIDER}" cannot list resource "nodes" in API group "" at the '
            "cluster scope",
            "reason": "Forbidden",
            "details": {"kind": "nodes"},
            "code": 403,
        },
    )


async def test_a_token_of_the_wrong_audience_or_tenant_is_no_token(desk: Desk) -> None:
    wrong = desk.entra(desk.alice, "https://management.azure.com")
    assert (await desk.kube("guarded", "GET", NODES, token=wrong)).status == 401
    assert (await desk.kube("foreign", "GET", NODES, token=desk.entra(desk.alice))).status == 401


async def test_a_legacy_cluster_knows_only_its_own_server_application(desk: Desk) -> None:
    app = (await desk.get(cluster_id("legacy")))["properties"]["aadProfile"]["serverAppID"]
    assert (await desk.kube("legacy", "GET", WHO, token=desk.entra(desk.alice))).status == 401
    legacy = desk.entra(desk.alice, f"spn:{app}")
    assert (await whoami(desk, "legacy", token=legacy))["username"] == desk.alice.upn
    assert (await desk.kube("guarded", "GET", WHO, token=legacy)).status == 401


async def test_an_application_in_too_many_groups_is_refused(desk: Desk) -> None:
    from azure_sandbox.entra.directory import Group  # noqa: PLC0415  # one test crowds the directory

    for number in range(201):
        now = desk.clock.now()
        crowd = f"eeeeeeee-0000-4000-8000-{number:012d}"
        group = Group(id=crowd, display_name=crowd, mail_nickname=crowd, created_at=now, visible_at=now)
        group.members |= {OUTSIDER, desk.alice.id}
        desk.directory.add(group)
    assert (await desk.kube("guarded", "GET", NODES, token=desk.entra(desk.outsider))).status == 401
    assert (await desk.kube("guarded", "GET", NODES, token=desk.entra(desk.alice))).status == 200


async def test_azure_rbac_asks_azure_and_says_so(desk: Desk) -> None:
    reply = await desk.kube("azure", "GET", NODES, token=desk.entra(desk.alice))
    assert reply.status == 403
    assert isinstance(reply.body, dict)
    assert reply.body["message"].endswith(
        "at the cluster scope: User does not have access to the resource in Azure. Update role assignment to allow "
        "access."
    )
    desk.arm.assign(f"{cluster_id('azure')}/namespaces/pay", ADMINS, "Azure Kubernetes Service RBAC Reader")
    token = desk.entra(desk.alice)
    assert (await desk.kube("azure", "GET", "/api/v1/namespaces/pay/pods", token=token)).status == 200
    assert (await desk.kube("azure", "GET", "/api/v1/namespaces/pay/secrets", token=token)).status == 403
    assert (await desk.kube("azure", "GET", "/api/v1/namespaces/other/pods", token=token)).status == 403
    desk.arm.assign(cluster_id("azure"), ADMINS, "Azure Kubernetes Service RBAC Cluster Admin")
    everything = {"spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}}
    may = (await desk.kube("azure", "POST", MAY, everything, token=token)).body
    assert isinstance(may, dict)
    assert may["status"]["allowed"] is True


async def test_azure_roles_mean_nothing_to_a_cluster_that_does_not_ask(desk: Desk) -> None:
    desk.arm.assign(cluster_id("guarded"), OUTSIDER, "Azure Kubernetes Service RBAC Cluster Admin")
    assert (await desk.kube("guarded", "GET", NODES, token=desk.entra(desk.outsider))).status == 403


async def test_without_kubernetes_rbac_everybody_known_may_everything(desk: Desk) -> None:
    _, token = await desk.held("norbac")
    assert (await desk.kube("norbac", "GET", NODES, token=token)).status == 200


async def test_entra_reaches_the_cluster_during_the_operation(desk: Desk) -> None:
    changed = await desk.change("plain", aadProfile=MANAGED)
    token = desk.entra(desk.alice)
    assert (await desk.kube("plain", "GET", NODES, token=token)).status == 401
    desk.clock.advance(desk.clock.real(100))
    assert await desk.status_of(changed) == "InProgress"
    assert (await desk.kube("plain", "GET", NODES, token=token)).status == 200
    desk.clock.advance(LONG)
    other = {**MANAGED, "adminGroupObjectIDs": [OTHERS]}
    await desk.finish(await desk.change("plain", aadProfile=other))
    assert (await desk.kube("plain", "GET", NODES, token=desk.entra(desk.alice))).status == 403


async def test_a_rotation_replaces_everything_and_what_was_held_is_dead(desk: Desk) -> None:
    certificate, token = await desk.held("plain")
    account = "/api/v1/namespaces/default/serviceaccounts/default/token"
    bound = (await desk.kube("plain", "POST", account, {"spec": {}}, token=token)).body
    assert isinstance(bound, dict)
    service = bound["status"]["token"]
    assert (await whoami(desk, "plain", token=service))["username"] == "system:serviceaccount:default:default"
    ca = (await desk.kubeconfig("plain"))["clusters"][0]["cluster"]["certificate-authority-data"]
    before = await nodes(desk, token)
    context = desk.server("plain").ssl_context()

    started = await desk.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert not desk.server("plain").reachable
    assert (await desk.kube("plain", "GET", NODES, token=token)).status == 503
    seen: list[tuple[int, int]] = []
    for _ in range(30):
        desk.clock.advance(desk.clock.real(50))
        if desk.server("plain").reachable:
            fresh = await desk.held("plain")
            now = await nodes(desk, fresh[1])
            seen.append((len(now), sum(it[1] for it in now.values())))
    assert seen[0] == (0, 0)
    assert (1, 0) in seen or (1, 1) in seen
    assert seen[-1] == (3, 3)
    assert await desk.status_of(started) == "Succeeded"

    assert desk.server("plain").ssl_context() is not context
    assert (await desk.kubeconfig("plain"))["clusters"][0]["cluster"]["certificate-authority-data"] != ca
    for held in ({"certificate": certificate}, {"token": token}, {"token": service}):
        assert (await desk.kube("plain", "GET", NODES, **held)).status == 401
    _, fresh_token = await desk.held("plain")
    after = await nodes(desk, fresh_token)
    assert set(after) == set(before)
    assert not {it[0] for it in after.values()} & {it[0] for it in before.values()}
    ledger = (
        await desk.kube("plain", "GET", "/apis/apps/v1/namespaces/pay/statefulsets/ledger", token=fresh_token)
    ).body
    assert isinstance(ledger, dict)
    assert ledger["status"]["readyReplicas"] == 2


async def nodes(desk: Desk, token: str) -> dict[str, tuple[str, bool]]:
    listed = (await desk.kube("plain", "GET", NODES, token=token)).body
    assert isinstance(listed, dict)
    return {
        it["metadata"]["name"]: (it["metadata"]["uid"], it["status"]["conditions"][0]["status"] == "True")
        for it in listed["items"]
    }


async def test_an_aborted_rotation_leaves_the_cluster_with_an_api_server(desk: Desk) -> None:
    await desk.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    aborted = await desk.send("POST", f"{cluster_id('plain')}/abort")
    await desk.finish(aborted)
    assert desk.server("plain").reachable
    assert (await desk.get(cluster_id("plain")))["properties"]["provisioningState"] == "Canceled"
    await desk.finish(await desk.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates"))


async def test_a_private_cluster_is_out_of_reach() -> None:
    desk = Desk(ClusterSpec(name="inside", private=True))
    assert not desk.server("inside").reachable
    held = (await desk.get(cluster_id("inside")))["properties"]
    assert held["privateFQDN"].endswith(".privatelink.westeurope.azmk8s.io")


async def test_an_expired_certificate_is_refused_but_its_token_is_not() -> None:
    desk = Desk()
    old = desk.clock.now() - 800 * (LONG * 12)
    desk.arm.add_cluster("3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163", "shop-weu", ClusterSpec(name="aged", created=old))
    certificate, token = await desk.held("aged")
    assert (await desk.kube("aged", "GET", NODES, certificate=certificate)).status == 401
    assert (await desk.kube("aged", "GET", NODES, token=token)).status == 200
    data = (await desk.kubeconfig("aged"))["clusters"][0]["cluster"]["certificate-authority-data"]
    assert b64decode(data).startswith(b"-----BEGIN CERTIFICATE-----")
