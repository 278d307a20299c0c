"""The routes of upgrade profiles and of the versions that a region offers. All regions offer the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.containerservice.versions import DEFAULT, OFFERS, PATCHES, Offer, number
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
UPGRADES = 4  # how many newer versions the list of a region names for a patch version
VERSIONS = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions"

ORCHESTRATORS = VERSIONS.replace("kubernetesVersions", "orchestrators")


def next_versions(current: str) -> list[str]:
    """Return the versions to which a cluster can be upgraded: newer patches of its minor version and of the next."""
    major, minor = number(current)[:2]
    near = {(major, minor), (major, minor + 1)}
    return [it for it in PATCHES.values() if number(it)[:2] in near and number(it) > number(current)]


class Upgrades:
    """The routes of upgrade profiles and versions; a client upgrades a cluster with a PUT of the cluster."""

    def __init__(self, door: FrontDoor, offers: Sequence[Offer] = OFFERS) -> None:
        self._state: State = door.state
        self._offers = offers
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
            for it in (offer.patches[-1] for offer in self._offers)
        ]
        body = {
            "id": f"{found.scope}/providers/Microsoft.ContainerService/locations/{location}/orchestrators",
            "name": "default",
            "type": "Microsoft.ContainerService/locations/orchestrators",
            "properties": {"orchestrators": values},
        }
        return Reply(200, body, JSON)

    def _upgrades(self, patch: str) -> list[str]:
        """Return the newest versions after a patch version, those of its own minor version first. Recorded."""
        major, minor = number(patch)[:2]
        every = (it for offer in self._offers for it in offer.patches)
        newer = sorted((it for it in every if number(it) > number(patch)), key=number, reverse=True)
        own = [it for it in newer if number(it)[:2] == (major, minor)]
        return [*own, *(it for it in newer if number(it)[:2] == (major, minor + 1))][:UPGRADES]

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
        for offer in self._offers:
            plans = ["KubernetesOfficial", *([] if offer.preview else ["AKSLongTermSupport"])]
            shown: Document = {"version": offer.minor, "capabilities": {"supportPlan": plans}}
            if offer.preview:
                shown["isPreview"] = True
            if offer.default:
                shown["isDefault"] = True
            patches = {it: {"upgrades": self._upgrades(it)} for it in offer.patches}
            values.append({**shown, "patchVersions": patches})
        return Reply(200, {"values": values}, JSON)
