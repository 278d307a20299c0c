"""The regions of Azure's public cloud."""

from __future__ import annotations

REGIONS = (
    *("australiacentral", "australiacentral2", "australiaeast", "australiasoutheast", "austriaeast", "belgiumcentral"),
    *("brazilsouth", "brazilsoutheast", "canadacentral", "canadaeast", "centralindia", "centralus", "centraluseuap"),
    *("chilecentral", "denmarkeast", "eastasia", "eastus", "eastus2", "eastus2euap", "francecentral", "francesouth"),
    *("germanynorth", "germanywestcentral", "indonesiacentral", "israelcentral", "italynorth", "japaneast"),
    *("japanwest", "jioindiacentral", "jioindiawest", "koreacentral", "koreasouth", "malaysiawest", "mexicocentral"),
    *("newzealandnorth", "northcentralus", "northeurope", "norwayeast", "norwaywest", "polandcentral", "qatarcentral"),
    *("southafricanorth", "southafricawest", "southcentralus", "southeastasia", "southindia", "spaincentral"),
    *("swedencentral", "swedensouth", "switzerlandnorth", "switzerlandwest", "uaecentral", "uaenorth", "uksouth"),
    *("ukwest", "westcentralus", "westeurope", "westindia", "westus", "westus2", "westus3"),
)
