"""What a region and a subnet have left for a cluster: vCPUs by family of machines, and addresses."""

from __future__ import annotations

import re
from typing import Any

from azure_sandbox.arm.addressing import check_subnets
from azure_sandbox.arm.errors import provider
from azure_sandbox.arm.state import State

Document = dict[str, Any]
TOTAL = "cores"
SIZE = re.compile(r"Standard_(?P<kind>[A-Z]+)(?P<cores>\d+)(?P<more>[a-z]*)(_(?P<version>v\d+))?(_.*)?", re.IGNORECASE)
PLENTY = 100_000  # vCPUs where a world says nothing


def size_of(name: str) -> tuple[str, int]:
    """The family of a size of machine, as quotas call it, and its vCPUs; of an unknown size none."""
    found = SIZE.fullmatch(name)
    if found is None:
        return "", 0
    kind = found["kind"].upper() + found["more"].replace("s", "").upper()
    if "s" in found["more"]:
        kind += "S"
    return f"standard{kind}{found['version'] or ''}Family", int(found["cores"])


def cores_of(document: Document) -> dict[str, int]:
    """The vCPUs of a cluster's running nodes by family, and all of them."""
    found: dict[str, int] = {TOTAL: 0}
    if document["properties"]["powerState"]["code"] == "Stopped":
        return found
    for pool in document["properties"]["agentPoolProfiles"]:
        if (pool.get("powerState") or {}).get("code") == "Stopped":
            continue
        family, each = size_of(str(pool.get("vmSize") or ""))
        cores = each * int(pool.get("count") or 0)
        found[TOTAL] += cores
        if family:
            found[family] = found.get(family, 0) + cores
    return found


def used(state: State, subscription: str, location: str, *, without: str = "") -> dict[str, int]:
    """The vCPUs in use in a region by family, and all of them; `without` one cluster."""
    found: dict[str, int] = {TOTAL: 0}
    for (home, region, name), quota in state.quotas.items():
        if (home, region) == (subscription.lower(), location):
            found[name] = found.get(name, 0) + quota.used
    for it in state.clusters.values():
        here = it.subscription.lower() == subscription.lower() and it.location == location
        if here and it.id.lower() != without.lower():
            for name, cores in cores_of(it.document).items():
                found[name] = found.get(name, 0) + cores
    return found


def limit(state: State, subscription: str, location: str, name: str) -> int:
    """How many vCPUs of a family, or in all, a subscription may use in a region."""
    quota = state.quotas.get((subscription.lower(), location, name))
    return PLENTY if quota is None else quota.limit


def check_capacity(state: State, document: Document, held: Document | None, cluster: str) -> None:
    """Refuse a cluster for whose nodes there is no room; what does not grow is not asked."""
    check_subnets(state, document, held, cluster)
    subscription, location = cluster.split("/")[2], str(document["location"])
    if not any(key[:2] == (subscription.lower(), location) for key in state.quotas):
        return
    before = {} if held is None else cores_of(held)
    taken = used(state, subscription, location, without=cluster)
    for name, needed in cores_of(document).items():
        left = limit(state, subscription, location, name) - taken.get(name, 0)
        if needed > left and needed > before.get(name, 0):
            which = "regional total" if name == TOTAL else f"family {name}"
            asked, remaining = needed - before.get(name, 0), max(left - before.get(name, 0), 0)
            text = (
                f"Insufficient vcpu quota requested {asked}, remaining {remaining} for {which} for region {location}. "
                "Surge nodes would also consume vcpu quota."
            )
            raise provider(400, "ErrCode_InsufficientVCPUQuota", text)
