"""Sign-in to a cluster with certificates, static tokens, service accounts and Entra ID, also after a rotation."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec, WorkloadSpec
from tests.support.arm_client import ADMINS, LONG, OTHERS, OUTSIDER, TENANT, ArmClient, cluster_id

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


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(
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


async def whoami(client: ArmClient, name: str, **credential: Any) -> Any:
    reply = await client.kube(name, "POST", WHO, {"kind": "SelfSubjectReview"}, **credential)
    assert isinstance(reply.body, dict)
    return reply.body["status"]["userInfo"] if reply.status == 201 else reply.status


async def test_a_request_without_a_valid_credential_is_401(client: ArmClient) -> None:
    reply = await client.kube("plain", "GET", NODES)
    assert (reply.status, reply.body) == (401, UNAUTHORIZED)
    assert (await client.kube("plain", "GET", NODES, token="made-up")).status == 401  # static tokens must match
    assert (await client.kube("plain", "GET", NODES, token=client.entra(client.alice))).status == 401


async def test_certificate_and_token_of_the_admin_kubeconfig_each_work_alone(client: ArmClient) -> None:
    certificate, token = await client.held("plain")
    by_certificate = await whoami(client, "plain", certificate=certificate)
    number = by_certificate.pop("extra")["authentication.kubernetes.io/credential-id"][0]
    assert number.startswith("X509SHA256=")
    assert by_certificate == {"username": "masterclient", "groups": ["system:masters", "system:authenticated"]}
    assert "system:masters" in (await whoami(client, "plain", token=token))["groups"]
    assert len(token) == 128
    assert token.isalnum()


async def test_a_kubeconfig_matches_the_sign_in_of_its_cluster(client: ArmClient) -> None:
    plain = await client.kubeconfig("plain", "User")
    assert plain["current-context"] == "plain"
    assert plain["users"][0]["name"] == "clusterUser_shop-weu_plain"
    assert set(plain["users"][0]["user"]) == {"client-certificate-data", "client-key-data", "token"}
    admin = await client.kubeconfig("guarded")
    assert admin["users"][0]["name"] == "clusterAdmin_shop-weu_guarded"
    plugin = (await client.kubeconfig("closed", "User"))["users"][0]["user"]["exec"]
    assert plugin["command"] == "kubelogin"
    assert plugin["args"][-4:] == ["--tenant-id", TENANT, "--login", "devicecode"]
    assert "kubelogin is not installed which is required" in plugin["installHint"]
    old = (await client.kubeconfig("guarded", "User", "?format=azure"))["users"][0]["user"]["auth-provider"]
    assert old["config"]["apiserver-id"] == "6dae42f8-4368-4678-94ff-3960e28e3630"
    legacy = (await client.kubeconfig("legacy", "User"))["users"][0]["user"]["exec"]
    assert "--legacy" in legacy["args"]
    assert (await client.send("POST", f"{cluster_id('guarded')}/listClusterUserCredential?format=odd")).status == 400


async def test_disabled_local_accounts_are_refused_by_arm_but_not_by_the_api_server(client: ArmClient) -> None:
    certificate, token = await client.held("guarded")
    client.clock.advance(LONG)
    await client.finish(await client.change("guarded", disableLocalAccounts=True))
    assert await client.refused("POST", f"{cluster_id('guarded')}/listClusterAdminCredential") == (
        400,
        "BadRequest",
        REFUSED,
    )
    profile = f"{cluster_id('guarded')}/accessProfiles/clusterAdmin/listCredential"
    assert (await client.refused("POST", profile))[2] == REFUSED
    assert (await client.kube("guarded", "GET", NODES, certificate=certificate)).status == 200
    assert (await client.kube("guarded", "GET", NODES, token=token)).status == 200


async def test_a_member_of_the_admin_group_signs_in_with_entra_id(client: ArmClient) -> None:
    token = client.entra(client.alice)
    assert await whoami(client, "guarded", token=token) == {
        "username": "alice@contoso.onmicrosoft.com",
        "groups": [ADMINS, "system:authenticated"],
        "extra": {"oid": [client.alice.id]},
    }
    assert (await client.kube("guarded", "GET", NODES, token=token)).status == 200
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/aks-cluster-admin-binding-aad"
    bound = (await client.kube("guarded", "GET", binding, token=token)).body
    assert isinstance(bound, dict)
    assert [it["name"] for it in bound["subjects"]] == [ADMINS]


async def test_group_changes_count_only_in_a_new_token(client: ArmClient) -> None:
    before = client.entra(client.outsider)
    group = client.directory.group(ADMINS)
    assert group is not None
    group.members.add(OUTSIDER)
    assert (await client.kube("guarded", "GET", NODES, token=before)).status == 403
    assert (await client.kube("guarded", "GET", NODES, token=client.entra(client.outsider))).status == 200


async def test_a_user_outside_the_group_gets_403(client: ArmClient) -> None:
    reply = await client.kube("guarded", "GET", NODES, token=client.entra(client.outsider))
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


async def test_a_token_of_another_audience_or_tenant_is_401(client: ArmClient) -> None:
    wrong = client.entra(client.alice, "https://management.azure.com")
    assert (await client.kube("guarded", "GET", NODES, token=wrong)).status == 401
    assert (await client.kube("foreign", "GET", NODES, token=client.entra(client.alice))).status == 401


async def test_a_legacy_cluster_accepts_tokens_of_its_server_application_only(client: ArmClient) -> None:
    app = (await client.get(cluster_id("legacy")))["properties"]["aadProfile"]["serverAppID"]
    assert (await client.kube("legacy", "GET", WHO, token=client.entra(client.alice))).status == 401
    legacy = client.entra(client.alice, f"spn:{app}")
    assert (await whoami(client, "legacy", token=legacy))["username"] == client.alice.upn
    assert (await client.kube("guarded", "GET", WHO, token=legacy)).status == 401


async def test_an_application_in_too_many_groups_is_refused(client: ArmClient) -> None:
    from azure_sandbox.entra.directory import Group  # noqa: PLC0415  # used in this test only

    for number in range(201):
        now = client.clock.now()
        crowd = f"eeeeeeee-0000-4000-8000-{number:012d}"
        group = Group(id=crowd, display_name=crowd, mail_nickname=crowd, created_at=now, visible_at=now)
        group.members |= {OUTSIDER, client.alice.id}
        client.directory.add(group)
    assert (await client.kube("guarded", "GET", NODES, token=client.entra(client.outsider))).status == 401
    assert (await client.kube("guarded", "GET", NODES, token=client.entra(client.alice))).status == 200


async def test_azure_rbac_decides_by_role_assignments_and_states_the_reason(client: ArmClient) -> None:
    reply = await client.kube("azure", "GET", NODES, token=client.entra(client.alice))
    assert reply.status == 403
    assert isinstance(reply.body, dict)
    assert reply.body["message"].endswith(
        "at the cluster scope: User does not have access to the resource in Azure. Update role assignment to allow "
        "access."
    )
    client.arm.assign(f"{cluster_id('azure')}/namespaces/pay", ADMINS, "Azure Kubernetes Service RBAC Reader")
    token = client.entra(client.alice)
    assert (await client.kube("azure", "GET", "/api/v1/namespaces/pay/pods", token=token)).status == 200
    assert (await client.kube("azure", "GET", "/api/v1/namespaces/pay/secrets", token=token)).status == 403
    assert (await client.kube("azure", "GET", "/api/v1/namespaces/other/pods", token=token)).status == 403
    client.arm.assign(cluster_id("azure"), ADMINS, "Azure Kubernetes Service RBAC Cluster Admin")
    everything = {"spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}}
    may = (await client.kube("azure", "POST", MAY, everything, token=token)).body
    assert isinstance(may, dict)
    assert may["status"]["allowed"] is True


async def test_azure_roles_mean_nothing_to_a_cluster_that_does_not_ask(client: ArmClient) -> None:
    client.arm.assign(cluster_id("guarded"), OUTSIDER, "Azure Kubernetes Service RBAC Cluster Admin")
    assert (await client.kube("guarded", "GET", NODES, token=client.entra(client.outsider))).status == 403


async def test_without_kubernetes_rbac_every_authenticated_caller_may_do_everything(client: ArmClient) -> None:
    _, token = await client.held("norbac")
    assert (await client.kube("norbac", "GET", NODES, token=token)).status == 200


async def test_entra_id_is_enabled_during_the_operation(client: ArmClient) -> None:
    changed = await client.change("plain", aadProfile=MANAGED)
    token = client.entra(client.alice)
    assert (await client.kube("plain", "GET", NODES, token=token)).status == 401
    client.clock.advance(client.clock.real(100))
    assert await client.status_of(changed) != "Succeeded"
    assert (await client.kube("plain", "GET", NODES, token=token)).status == 200
    client.clock.advance(LONG)
    other = {**MANAGED, "adminGroupObjectIDs": [OTHERS]}
    await client.finish(await client.change("plain", aadProfile=other))
    assert (await client.kube("plain", "GET", NODES, token=client.entra(client.alice))).status == 403


async def test_after_a_rotation_no_earlier_credential_works(client: ArmClient) -> None:
    certificate, token = await client.held("plain")
    account = "/api/v1/namespaces/default/serviceaccounts/default/token"
    bound = (await client.kube("plain", "POST", account, {"spec": {}}, token=token)).body
    assert isinstance(bound, dict)
    service = bound["status"]["token"]
    assert (await whoami(client, "plain", token=service))["username"] == "system:serviceaccount:default:default"
    ca = (await client.kubeconfig("plain"))["clusters"][0]["cluster"]["certificate-authority-data"]
    before = await nodes(client, token)
    context = client.server("plain").ssl_context()

    started = await client.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert not client.server("plain").reachable
    assert (await client.kube("plain", "GET", NODES, token=token)).status == 503
    seen: list[tuple[int, int]] = []
    for _ in range(30):
        client.clock.advance(client.clock.real(50))
        if client.server("plain").reachable:
            fresh = await client.held("plain")
            now = await nodes(client, fresh[1])
            seen.append((len(now), sum(it[1] for it in now.values())))
    assert seen[0] == (0, 0)
    assert (1, 0) in seen or (1, 1) in seen
    assert seen[-1] == (3, 3)
    assert await client.status_of(started) == "Succeeded"

    assert client.server("plain").ssl_context() is not context
    assert (await client.kubeconfig("plain"))["clusters"][0]["cluster"]["certificate-authority-data"] != ca
    for held in ({"certificate": certificate}, {"token": token}, {"token": service}):
        assert (await client.kube("plain", "GET", NODES, **held)).status == 401
    _, fresh_token = await client.held("plain")
    after = await nodes(client, fresh_token)
    assert set(after) == set(before)
    assert not {it[0] for it in after.values()} & {it[0] for it in before.values()}
    ledger = (
        await client.kube("plain", "GET", "/apis/apps/v1/namespaces/pay/statefulsets/ledger", token=fresh_token)
    ).body
    assert isinstance(ledger, dict)
    assert ledger["status"]["readyReplicas"] == 2


async def nodes(client: ArmClient, token: str) -> dict[str, tuple[str, bool]]:
    listed = (await client.kube("plain", "GET", NODES, token=token)).body
    assert isinstance(listed, dict)
    return {
        it["metadata"]["name"]: (it["metadata"]["uid"], it["status"]["conditions"][0]["status"] == "True")
        for it in listed["items"]
    }


async def test_the_api_server_works_after_an_aborted_rotation(client: ArmClient) -> None:
    await client.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    aborted = await client.send("POST", f"{cluster_id('plain')}/abort")
    await client.finish(aborted)
    assert client.server("plain").reachable
    assert (await client.get(cluster_id("plain")))["properties"]["provisioningState"] == "Canceled"
    await client.finish(await client.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates"))


async def test_a_private_cluster_has_a_private_name() -> None:
    client = ArmClient(ClusterSpec(name="inside", private=True))
    held = (await client.get(cluster_id("inside")))["properties"]
    assert held["privateFQDN"].endswith(".privatelink.westeurope.azmk8s.io")


async def test_an_expired_certificate_is_refused_but_the_static_token_works() -> None:
    client = ArmClient()
    old = client.clock.now() - 800 * (LONG * 12)
    client.arm.add_cluster("3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163", "shop-weu", ClusterSpec(name="aged", created=old))
    certificate, token = await client.held("aged")
    assert (await client.kube("aged", "GET", NODES, certificate=certificate)).status == 401
    assert (await client.kube("aged", "GET", NODES, token=token)).status == 200
    data = (await client.kubeconfig("aged"))["clusters"][0]["cluster"]["certificate-authority-data"]
    assert b64decode(data).startswith(b"-----BEGIN CERTIFICATE-----")
