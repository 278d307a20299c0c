"""Check that a region and the subnets have room for a cluster: vCPUs by VM family, and addresses."""

from __future__ import annotations

import re
from typing import Any

from azure_sandbox.arm.containerservice.network_checks import check_access, check_ranges
from azure_sandbox.arm.errors import provider
from azure_sandbox.arm.network.addressing import check_subnets
from azure_sandbox.arm.state import State

Document = dict[str, Any]
TOTAL = "cores"
SIZE = re.compile(r"Standard_(?P<kind>[A-Z]+)(?P<cores>\d+)(?P<more>[a-z]*)(_(?P<version>v\d+))?(_.*)?", re.IGNORECASE)
PLENTY = 100_000  # the vCPU limit where a world sets none


def size_of(name: str) -> tuple[str, int]:
    """Return the family of a VM size, in the name that quotas use, and its vCPUs; ("", 0) for an unknown size."""
    found = SIZE.fullmatch(name)
    if found is None:
        return "", 0
    kind = found["kind"].upper() + found["more"].replace("s", "").upper()
    if "s" in found["more"]:
        kind += "S"
    return f"standard{kind}{found['version'] or ''}Family", int(found["cores"])


def cores_of(document: Document) -> dict[str, int]:
    """Return the vCPUs of a cluster's running nodes, by family and in total (key `cores`)."""
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
    """Return the vCPUs in use in a region, by family and in total; the cluster with the id `without` is left out."""
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
    """Return the vCPUs that a subscription may use in a region, of a family or in total (name `cores`)."""
    quota = state.quotas.get((subscription.lower(), location, name))
    return PLENTY if quota is None else quota.limit


def check_capacity(state: State, document: Document, held: Document | None, cluster: str) -> None:
    """Raise AKS's 400 if a subnet or a vCPU quota has no room for the nodes of a cluster; only growth is checked.

    The networks of a new cluster are checked as well.

    `held` is the document before the change, `cluster` the resource id.
    """
    if held is None:
        check_access(document)
        check_ranges(state, document)
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
