"""Argo CD's cluster secrets in a hub, with the real Kubernetes client over HTTPS to the sandbox."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from aks_entra.adapters.kubernetes.api_server import ApiServers
from aks_entra.adapters.kubernetes.secrets import replace_value
from aks_entra.core.hooks.argocd import with_authority
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.hubs import ArgoCdSecret
from azure_sandbox.server import Sandbox
from tests.contract.hub_cluster import SECRETS, HubCluster
from tests.contract.small_world import READER, TENANT, Opener, cluster

SERVER = "https://shop.hcp.westeurope.azmk8s.io"
ROTATED = "2026-11-24T08:00:00Z"
EXEC = {"execProviderConfig": {"command": "argocd-k8s-auth"}, "tlsClientConfig": {"caData": "b2xk", "serverName": "x"}}
ALL: dict[str, str] = {"namespace": "argocd", "name": "", "server": SERVER}
CA: dict[str, str] = {"ca_data": "bmV3", "rotated_at": ROTATED}


class Hub(HubCluster):
    """The cluster `guarded`, in which Argo CD keeps its secrets."""

    def put(self, name: str, config: object, *, server: str = SERVER, kind: str = "cluster") -> None:
        said = {"name": name, "server": server, "config": config if isinstance(config, str) else json.dumps(config)}
        document = {
            "metadata": {"name": name, "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": kind}},
            "type": "Opaque",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in said.items()},
        }
        self.store.put(SECRETS, document, self.now())

    def secret(self, name: str) -> dict[str, Any]:
        found = self.store.get(SECRETS, "argocd", name)
        assert found is not None
        return found

    def config(self, name: str) -> Any:
        return json.loads(base64.b64decode(self.secret(name)["data"]["config"]))


@pytest.fixture
async def hub(box: Sandbox, opened: Opener) -> AsyncIterator[Hub]:
    async with opened() as session:
        found = Hub(box, session, await session.ports.arm.cluster(cluster("guarded")))
        found.store.put(("", "namespaces"), {"metadata": {"name": "argocd"}}, box.clock.now())
        yield found


async def test_the_secret_of_the_server_gets_the_new_ca_and_nothing_else_changes(hub: Hub) -> None:
    hub.put("shop", EXEC, server=f"{SERVER.upper()}:443/")
    hub.put("other", EXEC, server="https://pay.hcp.westeurope.azmk8s.io")
    hub.put("repository", EXEC, kind="repository")
    before, others = hub.secret("shop"), [hub.secret("other"), hub.secret("repository")]
    listed = await hub.hubs.argocd_secrets(hub.posture, namespace="argocd")
    assert sorted((one.name, one.server) for one in listed) == [
        ("other", "https://pay.hcp.westeurope.azmk8s.io"),
        ("shop", f"{SERVER.upper()}:443/"),
    ]
    done = await hub.hubs.update_argocd_secrets(hub.posture, **ALL, **CA)
    assert done == (ArgoCdSecret(name="shop", changed=True),)
    assert hub.config("shop") == {**EXEC, "tlsClientConfig": {"caData": "bmV3", "serverName": "x"}}
    after = hub.secret("shop")
    assert {**after["data"], "config": ""} == {**before["data"], "config": ""}
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert [hub.secret("other"), hub.secret("repository")] == others
    again = await hub.hubs.update_argocd_secrets(hub.posture, **{**ALL, "name": "shop"}, **CA)
    assert again == (ArgoCdSecret(name="shop", changed=False),)
    assert hub.secret("shop") == after


async def test_a_secret_that_is_missing_or_belongs_to_another_cluster_is_not_written(hub: Hub) -> None:
    hub.put("other", EXEC, server="https://pay.hcp.westeurope.azmk8s.io")
    hub.put("repository", EXEC, kind="repository")
    assert await hub.hubs.update_argocd_secrets(hub.posture, **ALL, **CA) == ()
    assert await hub.hubs.update_argocd_secrets(hub.posture, **{**ALL, "name": "missing"}, **CA) == ()
    for name in ("other", "repository"):
        with pytest.raises(Refused, match=f"argocd/{name} is not Argo CD's cluster secret for {SERVER}") as refused:
            await hub.hubs.update_argocd_secrets(hub.posture, **{**ALL, "name": name}, **CA)
        assert refused.value.code == "OtherSecret"


async def test_a_configuration_that_cannot_be_read_stays_and_is_not_shown(hub: Hub) -> None:
    hub.put("shop", '{"bearerToken": "s3cret"')
    before = hub.secret("shop")
    with pytest.raises(Refused, match="the secret shop was not changed: its `config` is not JSON") as refused:
        await hub.hubs.update_argocd_secrets(hub.posture, **ALL, **CA)
    assert refused.value.code == "SecretUnreadable"
    assert "s3cret" not in f"{refused.value} {refused.value.__cause__}"
    assert hub.secret("shop") == before


async def test_a_secret_that_cannot_be_written_holds_no_other_up(hub: Hub) -> None:
    for name in ("a", "b"):
        hub.put(name, EXEC)
    hub.store.put(SECRETS, {**hub.secret("a"), "immutable": True}, hub.now())
    with pytest.raises(Refused, match='Secret "a" is invalid: data: Forbidden: field is immutable') as refused:
        await hub.hubs.update_argocd_secrets(hub.posture, **ALL, **CA)
    assert refused.value.remedy == "make the Secret anew without `immutable: true`, or write the new CA into its source"
    assert [hub.config(name)["tlsClientConfig"]["caData"] for name in ("a", "b")] == ["b2xk", "bmV3"]


def token(issued: datetime) -> str:
    return jwt.encode({"iat": int(issued.timestamp())}, "k" * 32)


@pytest.mark.parametrize(
    ("config", "stale"),
    [
        ({"bearerToken": "an-opaque-admin-token"}, "bearer token"),
        ({"bearerToken": token(datetime(2026, 11, 24, 7, tzinfo=UTC))}, "bearer token"),
        ({"bearerToken": token(datetime(2026, 11, 24, 8, tzinfo=UTC) + timedelta(minutes=1))}, ""),
        ({"tlsClientConfig": {"certData": "bm8gY2VydGlmaWNhdGU=", "keyData": "a2V5"}}, "client certificate"),
        ({"username": "a", "password": "b"}, ""),
    ],
)
async def test_a_credential_that_the_rotation_ended_is_named_and_kept(hub: Hub, config: Any, stale: str) -> None:
    hub.put("shop", config)
    (done,) = await hub.hubs.update_argocd_secrets(hub.posture, **ALL, **CA)
    assert done == ArgoCdSecret(name="shop", changed=True, stale=stale)
    kept = hub.config("shop")
    assert kept.pop("tlsClientConfig") == {**config.get("tlsClientConfig", {}), "caData": "bmV3"}
    assert kept == {key: value for key, value in config.items() if key != "tlsClientConfig"}


async def test_a_secret_that_somebody_wrote_meanwhile_is_not_overwritten(hub: Hub, opened: Opener) -> None:
    hub.put("shop", EXEC)
    read = hub.secret("shop")
    hub.put("shop", {**EXEC, "awsAuthConfig": {}})
    async with opened() as session:
        servers: ApiServers = session.ports.kubernetes  # type: ignore[assignment]  # the adapter behind the port
        async with servers.opened(hub.posture) as api:
            with pytest.raises(TryLater, match="somebody wrote the secret argocd/shop just now"):
                await replace_value(api, "argocd", read, "config", with_authority(json.dumps(EXEC), "bmV3").text)
    assert hub.config("shop") == {**EXEC, "awsAuthConfig": {}}


async def test_a_prover_without_the_right_is_told_which_it_needs(
    hub: Hub, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put("shop", EXEC)
    monkeypatch.setenv("PROVER_SECRET", "the-reader")
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="PROVER_SECRET")
    async with opened(spec) as session:
        assert session.ports.hubs is not None
        with pytest.raises(Refused, match="the prover needs an admin group") as refused:
            await session.ports.hubs.update_argocd_secrets(hub.posture, **ALL, **CA)
    assert refused.value.status == 403
    assert hub.config("shop") == EXEC
