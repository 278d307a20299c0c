"""The regions of Azure's public cloud, as `az account list-locations` shows them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

Document = dict[str, Any]
_TABLE: Final[dict[str, dict[str, str]]] = json.loads(
    files("azure_sandbox.arm.resources").joinpath("regions.json").read_text("utf-8")
)
REGIONS: Final = tuple(_TABLE)
TYPES_SINCE = "2020-01-01"
ZONES_SINCE = "2022-12-01"
WITHOUT_ZONES: Final = frozenset(
    [
        *("australiacentral", "australiacentral2", "australiasoutheast", "brazilsoutheast", "canadaeast"),
        *("centraluseuap", "francesouth", "germanynorth", "jioindiacentral", "jioindiawest", "koreasouth"),
        *("northcentralus", "norwaywest", "southafricawest", "southindia", "swedensouth", "switzerlandwest"),
        *("uaecentral", "ukwest", "westcentralus", "westindia", "westus"),
    ]
)  # of Microsoft's list of Azure regions; all others have three availability zones


def is_region(name: str) -> bool:
    """Return whether a location, spelt as in `West Europe` or `westeurope`, is a region."""
    return name.replace(" ", "").lower() in _TABLE


def shown(scope: str, name: str, version: str) -> Document:
    """Return a region as an api-version shows it to a subscription, whose id is `scope`."""
    row = _TABLE[name]
    metadata: Document = {"regionType": "Physical"}
    for key in ("regionCategory", "geographyGroup", "longitude", "latitude", "physicalLocation"):
        metadata[key] = row[key]
    pair = row["pair"]
    metadata["pairedRegion"] = [{"name": pair, "id": f"{scope}/locations/{pair}"}] if pair else []
    kind = {"type": "Region"} if version >= TYPES_SINCE else {}
    zones = [{"logicalZone": it, "physicalZone": f"{name}-az{it}"} for it in ("1", "2", "3")]
    zoned = version >= ZONES_SINCE and name not in WITHOUT_ZONES
    return {
        "id": f"{scope}/locations/{name}",
        "name": name,
        **kind,
        "displayName": row["displayName"],
        "regionalDisplayName": f"({row['geographyGroup']}) {row['displayName']}",
        "metadata": metadata,
        **({"availabilityZoneMappings": zones} if zoned else {}),
    }
