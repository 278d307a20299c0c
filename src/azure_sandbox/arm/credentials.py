"""Kubeconfigs and access profiles: what ARM hands out, and what it refuses once local accounts are off."""

from __future__ import annotations

from base64 import b64encode

from azure_sandbox.arm.building import regime_of
from azure_sandbox.arm.clusters import CLUSTER, JSON
from azure_sandbox.arm.errors import bad_request
from azure_sandbox.arm.gate import Call, Gate
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State
from azure_sandbox.arm.versions import number
from azure_sandbox.cluster import kubeconfig
from azure_sandbox.http import Reply

EXEC_SINCE = (1, 24)
REFUSED = "Getting static credential is not allowed because this cluster is set to disable local accounts."


class Credentials:
    """The credential actions of a managed cluster."""

    def __init__(self, gate: Gate) -> None:
        self._state: State = gate.state
        act = f"{CLUSTER_TYPE}/"
        gate.add(
            "POST",
            f"{CLUSTER}/listClusterUserCredential",
            self._user,
            scope=CLUSTER,
            action=act + "listClusterUserCredential/action",
            options=("format", "server-fqdn"),
        )
        gate.add(
            "POST",
            f"{CLUSTER}/listClusterAdminCredential",
            self._admin,
            scope=CLUSTER,
            action=act + "listClusterAdminCredential/action",
            options=("server-fqdn",),
        )
        profile = f"{CLUSTER}/accessProfiles/{{profile}}"
        gate.add(
            "POST",
            f"{profile}/listCredential",
            self._profile,
            scope=profile,
            action=act + "accessProfiles/listCredential/action",
        )

    @staticmethod
    def _static(cluster: ManagedCluster, who: str) -> str:
        if cluster.properties.get("disableLocalAccounts"):
            raise bad_request(REFUSED)
        user = f"{who}_{cluster.group}_{cluster.name}"
        return kubeconfig.static(cluster.server.generation, cluster.properties["fqdn"], cluster.name, user)

    def _user_config(self, cluster: ManagedCluster, form: str) -> str:
        regime = regime_of(cluster.document)
        if regime.identity == "none":
            return self._static(cluster, "clusterUser")
        if form not in {"", "exec", "azure"}:
            raise bad_request(f"The value of parameter format is invalid: '{form}'.", target="format")
        version = number(cluster.properties["currentKubernetesVersion"])
        form = form or ("exec" if version >= EXEC_SINCE else "azure")
        user = f"clusterUser_{cluster.group}_{cluster.name}"
        fqdn = cluster.properties["fqdn"]
        return kubeconfig.entra(cluster.server.generation, fqdn, cluster.name, user, regime, form)

    @staticmethod
    def _answer(name: str, config: str) -> Reply:
        return Reply(200, {"kubeconfigs": [{"name": name, "value": b64encode(config.encode()).decode()}]}, JSON)

    async def _user(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return self._answer("clusterUser", self._user_config(cluster, call.option("format")))

    async def _admin(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return self._answer("clusterAdmin", self._static(cluster, "clusterAdmin"))

    async def _profile(self, _: Call, subscription: str, group: str, name: str, profile: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        if profile.lower() not in {"clusteradmin", "clusteruser"}:
            raise bad_request(f"The access profile '{profile}' does not exist.", target="accessProfile")
        admin = profile.lower() == "clusteradmin"
        config = self._static(cluster, "clusterAdmin") if admin else self._user_config(cluster, "")
        body = {
            "id": f"{cluster.id}/accessProfiles/{profile}",
            "name": profile,
            "type": f"{CLUSTER_TYPE}/AccessProfiles",
            "location": cluster.location,
            "properties": {"kubeConfig": b64encode(config.encode()).decode()},
        }
        return Reply(200, body, JSON)
