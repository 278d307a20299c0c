"""The routes of upgrade profiles and of the versions that a region offers. All regions offer the same."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.containerservice.versions import DEFAULT, PATCHES, number
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
LTS = frozenset({"1.27", "1.30", "1.31", "1.32", "1.33"})
OFFERED = 4  # how many of the newest minor versions a region offers
VERSIONS = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions"

ORCHESTRATORS = VERSIONS.replace("kubernetesVersions", "orchestrators")


def next_versions(current: str) -> list[str]:
    """Return the versions to which a cluster can be upgraded: newer patches of its minor version and of the next."""
    major, minor = number(current)[:2]
    near = {(major, minor), (major, minor + 1)}
    return [it for it in PATCHES.values() if number(it)[:2] in near and number(it) > number(current)]


class Upgrades:
    """The routes of upgrade profiles and versions; a client upgrades a cluster with a PUT of the cluster."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        read = f"{CLUSTER_TYPE}/upgradeProfiles/read"
        door.add("GET", f"{CLUSTER}/upgradeProfiles/default", self._profile, scope=CLUSTER, action=read)
        scope = "/subscriptions/{subscription}"
        right = "Microsoft.ContainerService/locations/kubernetesVersions/read"
        door.add("GET", VERSIONS, self._versions, scope=scope, action=right)
        right = "Microsoft.ContainerService/locations/orchestrators/read"
        door.add("GET", ORCHESTRATORS, self._orchestrators, scope=scope, action=right, options=("resource-type",))

    async def _orchestrators(self, _: Call, subscription: str, location: str) -> Reply:
        """List the versions as api-versions of 2017 to 2019 do, which Terraform's provider still asks for."""
        found = self._state.subscription(subscription)
        kind = {"orchestratorType": "Kubernetes"}
        values = [
            {
                **kind,
                "orchestratorVersion": it,
                **({"default": True} if it == DEFAULT else {}),
                "upgrades": [{**kind, "orchestratorVersion": one} for one in next_versions(it)],
            }
            for it in (PATCHES[minor] for minor in sorted(PATCHES, key=number)[-OFFERED:])
        ]
        body = {
            "id": f"{found.scope}/providers/Microsoft.ContainerService/locations/{location}/orchestrators",
            "name": "default",
            "type": "Microsoft.ContainerService/locations/orchestrators",
            "properties": {"orchestrators": values},
        }
        return Reply(200, body, JSON)

    @staticmethod
    def _shown(version: str, **more: Any) -> Document:
        upgrades = [{"kubernetesVersion": it, "isPreview": None} for it in next_versions(version)]
        return {"kubernetesVersion": version, "osType": "Linux", "upgrades": upgrades or None, **more}

    async def _profile(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        pools = [self._shown(it["currentOrchestratorVersion"], name=it["name"]) for it in cluster.pools]
        body = {
            "id": f"{cluster.id}/upgradeprofiles/default",
            "name": "default",
            "type": "Microsoft.ContainerService/ManagedClusters/UpgradeProfiles",
            "properties": {
                "controlPlaneProfile": self._shown(cluster.properties["currentKubernetesVersion"]),
                "agentPoolProfiles": pools,
            },
        }
        return Reply(200, body, JSON)

    async def _versions(self, _: Call, subscription: str, location: str) -> Reply:  # noqa: ARG002  # alike everywhere
        values = []
        for minor in sorted(PATCHES, key=number)[-OFFERED:]:
            patch = PATCHES[minor]
            plans = ["KubernetesOfficial", *(["AKSLongTermSupport"] if minor in LTS else [])]
            shown: Document = {
                "version": minor,
                "capabilities": {"supportPlan": plans},
                "patchVersions": {patch: {"upgrades": next_versions(patch)}},
            }
            if patch == DEFAULT:
                shown["isDefault"] = True
            values.append(shown)
        return Reply(200, {"values": values}, JSON)
