"""The types of the values in a cluster file: what Azure accepts, and what to write instead of a wrong value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictInt

from aks_entra.core.evidence.break_glass import PREFIX
from aks_entra.fleet_file.errors import Mistake

_RESERVED_TAGS: Final = ("microsoft", "azure", "windows")
_GROUP: Final = r"/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/]+/providers/"
_EXAMPLE: Final = "/subscriptions/<id>/resourceGroups/<group>/providers/"


class Sku(StrEnum):
    """ARM's `sku.name`: a cluster that you configure, or AKS Automatic."""

    BASE = "Base"
    AUTOMATIC = "Automatic"


class Tier(StrEnum):
    """ARM's `sku.tier` of the control plane."""

    FREE = "Free"
    STANDARD = "Standard"
    PREMIUM = "Premium"


class SupportPlan(StrEnum):
    """ARM's `supportPlan`."""

    OFFICIAL = "KubernetesOfficial"
    LONG_TERM = "AKSLongTermSupport"


class Cni(StrEnum):
    """How pods get addresses: from a range of their own (ARM's `networkPluginMode: overlay`), or from the subnet."""

    OVERLAY = "overlay"
    FLAT = "flat"


class Dataplane(StrEnum):
    """ARM's `networkDataplane`."""

    AZURE = "azure"
    CILIUM = "cilium"


class NetworkPolicy(StrEnum):
    """ARM's `networkPolicy`."""

    NONE = "none"
    AZURE = "azure"
    CALICO = "calico"
    CILIUM = "cilium"


class OutboundType(StrEnum):
    """ARM's `outboundType`."""

    LOAD_BALANCER = "loadBalancer"
    MANAGED_NAT_GATEWAY = "managedNATGateway"
    USER_ASSIGNED_NAT_GATEWAY = "userAssignedNATGateway"
    USER_DEFINED_ROUTING = "userDefinedRouting"
    NONE = "none"


class UpgradeChannel(StrEnum):
    """ARM's `autoUpgradeProfile.upgradeChannel`."""

    PATCH = "patch"
    STABLE = "stable"
    RAPID = "rapid"
    NODE_IMAGE = "node-image"
    NONE = "none"


class NodeOsUpgradeChannel(StrEnum):
    """ARM's `autoUpgradeProfile.nodeOSUpgradeChannel`."""

    NODE_IMAGE = "NodeImage"
    SECURITY_PATCH = "SecurityPatch"
    UNMANAGED = "Unmanaged"
    NONE = "None"


class Mode(StrEnum):
    """ARM's `mode` of an agent pool."""

    SYSTEM = "System"
    USER = "User"


class OsSku(StrEnum):
    """ARM's `osSKU` of a Linux pool."""

    UBUNTU = "Ubuntu"
    AZURE_LINUX = "AzureLinux"


class OsDisk(StrEnum):
    """ARM's `osDiskType`."""

    MANAGED = "Managed"
    EPHEMERAL = "Ephemeral"


class SshAccess(StrEnum):
    """ARM's `securityProfile.sshAccess` of an agent pool."""

    LOCAL_USER = "LocalUser"
    DISABLED = "Disabled"
    ENTRA_ID = "EntraId"


class Schedule(StrEnum):
    """ARM's kinds of a maintenance schedule that this file can describe."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class WindowName(StrEnum):
    """The names of maintenance configurations that AKS follows for its own upgrades."""

    CLUSTER = "aksManagedAutoUpgradeSchedule"
    NODE_OS = "aksManagedNodeOSUpgradeSchedule"


def _form(pattern: str, what: str, remedy: str) -> Callable[[str], str]:
    found = re.compile(pattern)

    def check(text: str) -> str:
        if not found.fullmatch(text):
            raise Mistake(f"is not {what}", remedy, value=text)
        return text

    return check


def _resource(kind: str) -> Callable[[str], str]:
    form = re.compile(_GROUP + re.escape(kind).replace("/", "/").replace(r"\{name\}", "[^/]+"), re.IGNORECASE)
    name = kind.partition("/")[2].replace("/{name}", "").rpartition("/")[2]

    def check(text: str) -> str:
        if not form.fullmatch(text):
            example = f"{_EXAMPLE}{kind.replace('{name}', '<name>')}"
            raise Mistake(f"is not the id of one of {name}", f"write {example}", value=text)
        return text

    return check


def _region(text: str) -> str:
    short = text.replace(" ", "").casefold()
    if not re.fullmatch(r"[a-z0-9]{1,40}", short):
        raise Mistake("is not a region", "write its short name, such as westeurope", value=text)
    return short


def _range(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise Mistake(
            "is not an address range", "write it as 10.2.0.0/16, with no bit behind the prefix", value=text
        ) from None


def _authorized(text: str) -> str:
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError:
        raise Mistake("is not an IPv4 address or range", "write 203.0.113.7 or 203.0.113.0/24", value=text) from None
    if found.prefixlen == 0:
        raise Mistake("lets everybody in", "name the addresses that need the API server", value=text)
    return str(found)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Mistake("is not an address", "write it as 10.2.0.10", value=text) from None


def _tag_name(text: str) -> str:
    if re.search(r"[<>%&\\?/]", text):
        raise Mistake(
            "contains a character that Azure refuses in names of tags", r"leave out < > % & \ ? /", value=text
        )
    if text.casefold().startswith((*_RESERVED_TAGS, PREFIX)):
        raise Mistake("begins with a reserved word", f"use another name: {PREFIX}… records break-glass", value=text)
    return text


def _zone(text: str) -> str:
    if text.casefold() in {"system", "none"}:
        return text.casefold()
    return _resource("Microsoft.Network/privateDnsZones/{name}")(text)


_POOL = _form(
    r"[a-z][a-z0-9]{0,11}", "a valid name of a pool", "use 1 to 12 lower-case letters and digits, a letter first"
)
_NAME = _form(
    r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?",
    "a valid name of a cluster",
    "use up to 63 letters, digits, dashes and underscores; begin and end with a letter or digit",
)
_GROUP_NAME = _form(
    r"[\w().-]{0,79}[\w()-]",
    "a valid name of a resource group",
    "use up to 80 letters, digits and ( ) . - _; no dot last",
)
_VERSION = _form(r"\d{1,2}\.\d{1,3}(\.\d{1,4})?", "a version of Kubernetes", 'write "1.34" or "1.34.1"')
_SIZE = _form(r"(Standard|Basic)_[A-Za-z0-9_-]+", "a VM size", "write a size such as Standard_D4ds_v5")
_SURGE = _form(r"\d{1,4}|([1-9]\d?|100)%", "a number of nodes or a percentage", 'write "1" or "33%"')
_TAINT = _form(
    r"[^=:\s]+(=[^=:\s]*)?:(NoSchedule|NoExecute|PreferNoSchedule)", "a taint", 'write "key=value:NoSchedule"'
)
_OFFSET = _form(r"[+-](0\d|1[0-4]):[0-5]\d", "an offset from UTC", 'write "+01:00"')
_SETTING = _form(r"[A-Za-z0-9_. -]{1,64}", "a valid name", "use up to 64 letters, digits, dashes, dots and underscores")

ClusterName = Annotated[str, AfterValidator(_NAME)]
GroupName = Annotated[str, AfterValidator(_GROUP_NAME)]
PoolName = Annotated[str, AfterValidator(_POOL)]
SettingName = Annotated[str, AfterValidator(_SETTING)]
Region = Annotated[str, AfterValidator(_region)]
KubernetesVersion = Annotated[str, AfterValidator(_VERSION)]
VmSize = Annotated[str, AfterValidator(_SIZE)]
Surge = Annotated[str, AfterValidator(_SURGE)]
Taint = Annotated[str, AfterValidator(_TAINT)]
UtcOffset = Annotated[str, AfterValidator(_OFFSET)]
Range = Annotated[str, AfterValidator(_range)]
AuthorizedRange = Annotated[str, AfterValidator(_authorized)]
Address = Annotated[str, AfterValidator(_address)]
Zone = Annotated[StrictInt, Field(ge=1, le=3)]
Count = Annotated[StrictInt, Field(ge=0, le=1000)]
ClusterTags = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_tag_name)],
        Annotated[str, Field(max_length=256)],
    ],
    Field(max_length=50),
]
SubnetId = Annotated[str, AfterValidator(_resource("Microsoft.Network/virtualNetworks/{name}/subnets/{name}"))]
IdentityId = Annotated[str, AfterValidator(_resource("Microsoft.ManagedIdentity/userAssignedIdentities/{name}"))]
WorkspaceId = Annotated[str, AfterValidator(_resource("Microsoft.OperationalInsights/workspaces/{name}"))]
PrivateDnsZone = Annotated[str, AfterValidator(_zone)]
