"""The routes of kubeconfigs and access profiles. Static credentials are refused if local accounts are disabled."""

from __future__ import annotations

from base64 import b64encode

from azure_sandbox.arm.containerservice.api_servers import regime_of
from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.containerservice.credential_ledger import Ledger
from azure_sandbox.arm.containerservice.versions import number
from azure_sandbox.arm.errors import bad_request
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State
from azure_sandbox.cluster import kubeconfig
from azure_sandbox.front.http import Reply

EXEC_SINCE = (1, 24)
PROFILE = "accessProfiles/listCredential"
REFUSED = "Getting static credential is not allowed because this cluster is set to disable local accounts."


class Credentials:
    """The credential actions of a managed cluster."""

    def __init__(self, door: FrontDoor, ledger: Ledger) -> None:
        self._state: State = door.state
        self._ledger = ledger
        act = f"{CLUSTER_TYPE}/"
        door.add(
            "POST",
            f"{CLUSTER}/listClusterUserCredential",
            self._user,
            scope=CLUSTER,
            action=act + "listClusterUserCredential/action",
            options=("format", "server-fqdn"),
        )
        door.add(
            "POST",
            f"{CLUSTER}/listClusterAdminCredential",
            self._admin,
            scope=CLUSTER,
            action=act + "listClusterAdminCredential/action",
            options=("server-fqdn",),
        )
        profile = f"{CLUSTER}/accessProfiles/{{profile}}"
        door.add(
            "POST",
            f"{profile}/listCredential",
            self._profile,
            scope=profile,
            action=act + "accessProfiles/listCredential/action",
        )

    def _static(self, call: Call, cluster: ManagedCluster, who: str, through: str = "") -> str:
        if cluster.properties.get("disableLocalAccounts"):
            raise bad_request(REFUSED)
        self._ledger.hand_out(cluster, call.request.now, through or f"list{who[:1].upper()}{who[1:]}Credential")
        user = f"{who}_{cluster.group}_{cluster.name}"
        return kubeconfig.static(cluster.server.generation, cluster.properties["fqdn"], cluster.name, user)

    def _user_config(self, call: Call, cluster: ManagedCluster, form: str, through: str = "") -> str:
        regime = regime_of(cluster.document)
        if regime.identity == "none":
            return self._static(call, cluster, "clusterUser", through)
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

    def of_user(self, call: Call, cluster: ManagedCluster, *, form: str = "", through: str = "") -> Reply:
        """Return the user kubeconfig. `through` names the action in the ledger; empty: listClusterUserCredential."""
        return self._answer("clusterUser", self._user_config(call, cluster, form, through))

    async def _user(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return self.of_user(call, cluster, form=call.option("format"))

    async def _admin(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return self._answer("clusterAdmin", self._static(call, cluster, "clusterAdmin"))

    async def _profile(self, call: Call, subscription: str, group: str, name: str, profile: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        if profile.lower() not in {"clusteradmin", "clusteruser"}:
            raise bad_request(f"The access profile '{profile}' does not exist.", target="accessProfile")
        admin = profile.lower() == "clusteradmin"
        if admin:
            config = self._static(call, cluster, "clusterAdmin", PROFILE)
        else:
            config = self._user_config(call, cluster, "", PROFILE)
        body = {
            "id": f"{cluster.id}/accessProfiles/{profile}",
            "name": profile,
            "type": f"{CLUSTER_TYPE}/AccessProfiles",
            "location": cluster.location,
            "properties": {"kubeConfig": b64encode(config.encode()).decode()},
        }
        return Reply(200, body, JSON)
