"""The description of a cluster that does not exist yet, as the body of its PUT and of the PUTs that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from aks_entra.core.cluster import ClusterId

Body = Mapping[str, Any]

MAINTENANCE: Final = "maintenanceConfigurations"
DIAGNOSTICS: Final = "providers/Microsoft.Insights/diagnosticSettings"
_LONGEST_PREFIX: Final = 54
_AUTOMATIC: Final = "automatic"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResource:
    """A resource below the cluster. `kind` is the part of its id before the name, such as `MAINTENANCE`."""

    kind: str
    name: str
    properties: Body

    def __str__(self) -> str:
        return f"{'maintenance window' if self.kind == MAINTENANCE else 'diagnostic setting'} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCluster:
    """A cluster to create: Microsoft Entra ID and Azure RBAC on, local accounts off from the first day.

    `body` is the resource that ARM is asked for, in ARM's property names, without what `document` adds. `children` are
    created when the cluster is there.
    """

    cluster: ClusterId
    tenant_id: str
    admin_group_ids: tuple[str, ...]
    body: Body
    children: tuple[ChildResource, ...] = ()

    @property
    def location(self) -> str:
        """The short name of the region: `West Europe` and `westeurope` are one region."""
        return str(self.body["location"]).replace(" ", "").casefold()

    @property
    def pools(self) -> tuple[Body, ...]:
        """The agent pools that are asked for."""
        return tuple(self.body["properties"].get("agentPoolProfiles") or ())

    @property
    def automatic(self) -> bool:
        """Whether this is an AKS Automatic cluster, for which the service chooses most of its configuration."""
        return is_automatic(self.body)

    def with_zones(self, zones: tuple[str, ...]) -> NewCluster:
        """Return the same cluster with these availability zones for each pool that names none."""
        if self.automatic or not zones:
            return self
        pools = [
            pool if "availabilityZones" in pool else {**pool, "availabilityZones": [*zones]} for pool in self.pools
        ]
        properties = {**self.body["properties"], "agentPoolProfiles": pools}
        return replace(self, body={**self.body, "properties": properties})

    def closing(self) -> dict[str, Any]:
        """Return the part of the body that decides who gets in, with the region."""
        document = self.document()
        kept = ("enableRBAC", "aadProfile", "disableLocalAccounts")
        return {"location": self.location, "properties": {key: document["properties"][key] for key in kept}}

    def document(self) -> dict[str, Any]:
        """Return the body of the PUT. Sign-in and local accounts are as this program creates every cluster."""
        properties = dict(self.body["properties"])
        if not properties.get("dnsPrefix") and not properties.get("fqdnSubdomain"):
            prefix = f"{self.cluster.name}-{self.cluster.resource_group}"
            properties["dnsPrefix"] = prefix.replace("_", "-").replace(".", "-")[:_LONGEST_PREFIX].strip("-")
        properties |= {
            "enableRBAC": True,
            "aadProfile": {
                "managed": True,
                "enableAzureRBAC": True,
                "adminGroupObjectIDs": list(self.admin_group_ids),
                "tenantID": self.tenant_id,
            },
            "disableLocalAccounts": True,
        }
        return {**self.body, "location": self.location, "properties": properties}


def is_automatic(body: Body) -> bool:
    """Whether a body asks for AKS Automatic."""
    return str((body.get("sku") or {}).get("name") or "").casefold() == _AUTOMATIC
