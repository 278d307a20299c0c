"""The api-versions that each resource type has, and Azure's refusals of the others.

The lists come from the refusals of the real service that name them (public issues), from the SDKs for Python, Go and
Terraform, from the specifications and from recordings. A preview of AKS ends about a year after its release, which is
a month or two after its date.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from importlib.resources import files
from typing import Final

from azure_sandbox.arm.errors import front
from azure_sandbox.front.http import Problem

TABLE: Final[dict[str, tuple[str, ...]]] = {
    kind: tuple(versions.split())
    for kind, versions in json.loads(
        files("azure_sandbox.arm").joinpath("api_versions.json").read_text("utf-8")
    ).items()
}
"""The api-versions of each resource type in ascending order. A type below another has the versions of that one."""

LOCATED = (
    "Microsoft.ContainerService",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
)
OF_ARM = "Microsoft.Resources"  # subscriptions, resource groups, providers: ARM's own resources
FEATURES = "Microsoft.Features"
AKS = "Microsoft.ContainerService"
PREVIEW_LIFE = dt.timedelta(days=430)
_NAMES = {it.lower(): it for it in TABLE}


def type_of(path: str) -> str:
    """Return the resource type of a path: `Microsoft.ContainerService/managedClusters/agentPools`.

    An action such as `stop` counts as a type. The path of a subscription, a group or a provider is ARM's own.
    """
    parts = [it for it in path.split("/") if it]
    at = max((place for place, it in enumerate(parts) if it.lower() == "providers"), default=len(parts))
    namespace, *rest = parts[at + 1 :] or [OF_ARM]
    if at and parts[at - 1].lower() == FEATURES.lower():
        return f"{FEATURES}/features"
    kinds = rest[::2]
    return "/".join((namespace, *kinds)) if kinds and kinds != ["register"] else OF_ARM


def _listed(kind: str) -> tuple[str, tuple[str, ...]]:
    """Return the nearest type in the table, and its versions. A type of which nothing is known has none."""
    parts = kind.split("/")
    for end in range(len(parts), 0, -1):
        if name := _NAMES.get("/".join(parts[:end]).lower()):
            return name, TABLE[name]
    return kind, ()


def _ended(version: str, today: dt.date) -> bool:
    return version.endswith("-preview") and dt.date.fromisoformat(version[:10]) + PREVIEW_LIFE < today


def of_type(kind: str, today: dt.date) -> tuple[str, ...]:
    """Return the api-versions that a resource type has on a day; empty if nothing is known about the type."""
    name, versions = _listed(kind)
    ends = name.startswith(f"{AKS}/")
    return tuple(it for it in versions if not (ends and _ended(it, today)))


def newest(path: str, today: dt.date) -> str:
    """Return the newest stable api-version for a path, or the newest preview if its type has nothing else.

    It is empty if nothing is known about the type.
    """
    versions = of_type(type_of(path), today)
    stable = [it for it in versions if not it.endswith("-preview")]
    return max(stable or versions, default="")


def refusal(path: str, version: str, region: str, regions: Collection[str], today: dt.date) -> Problem | None:
    """Return Azure's refusal of an api-version, or None if the type has it.

    `region` is that of the resource, or empty if it has none; `regions` are those in which the type exists.
    """
    kind = type_of(path)
    known = of_type(kind, today)
    if not known or version in known:
        return None
    if kind == OF_ARM:
        listed = ",".join(sorted(known, reverse=True))
        text = f"The api-version '{version}' is invalid. The supported versions are '{listed}'."
        return front(400, "InvalidApiVersionParameter", text)
    if not region and "/resourcegroups/" in path.lower():  # the group does not exist, and the handler says so
        return None
    name, _ = _listed(kind)
    namespace, _, below = name.partition("/")
    if not region or namespace not in LOCATED or below.startswith("locations/"):
        text = (
            f"The resource type '{below}' could not be found in the namespace '{namespace}' for api version "
            f"'{version}'. The supported api-versions are '{','.join(known)}'."
        )
        return front(404, "InvalidResourceType", text)
    text = (
        f"No registered resource provider found for location '{region}' and API version '{version}' for type "
        f"'{below}'. The supported api-versions are '{', '.join(known)}'. The supported locations are "
        f"'{', '.join(regions)}'."
    )
    return front(400, "NoRegisteredProviderFound", text)
