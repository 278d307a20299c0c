"""Recognizes documents: by ID if ARM wrote one, by OData types and contexts or by keys if Graph wrote them.

An unknown shape is refused: a document that is skipped here would only be missed in production.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_sandbox.world.model import WorldError

Document = dict[str, Any]
_SCOPE = r"(?P<scope>.*)/providers/microsoft\.authorization"
_RESOURCES = r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)"
_CLUSTER = rf"{_RESOURCES}/providers/microsoft\.containerservice/managedclusters/(?P<cluster>[^/]+)"
IDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("cluster", _CLUSTER),
        ("pool", rf"{_CLUSTER}/agentpools/(?P<name>[^/]+)"),
        ("maintenance", rf"{_CLUSTER}/maintenanceconfigurations/(?P<name>[^/]+)"),
        ("network", rf"{_RESOURCES}/providers/microsoft\.network/virtualnetworks/(?P<name>[^/]+)"),
        ("assignment", rf"{_SCOPE}/roleassignments/(?P<name>[^/]+)"),
        ("lock", rf"{_SCOPE}/locks/(?P<name>[^/]+)"),
        ("policy", rf"{_SCOPE}/policyassignments/(?P<name>[^/]+)"),
        ("role", rf"{_SCOPE}/roledefinitions/(?P<name>[^/]+)"),
        ("resourceGroup", _RESOURCES),
        ("subscription", r"/subscriptions/(?P<subscription>[^/]+)"),
    )
)
TYPES = {
    "#microsoft.graph.user": "user",
    "#microsoft.graph.group": "group",
    "#microsoft.graph.serviceprincipal": "servicePrincipal",
    "#microsoft.graph.device": "other",
    "#microsoft.graph.orgcontact": "other",
    "#microsoft.graph.ipnamedlocation": "location",
    "#microsoft.graph.countrynamedlocation": "location",
}
CONTEXTS = (
    ("#users", "user"),
    ("#groups", "group"),
    ("#serviceprincipals", "servicePrincipal"),
    ("/policies", "conditionalAccess"),
    ("/namedlocations", "location"),
    ("/eligibilityschedules", "eligibility"),
    ("/assignmentschedules", "assigned"),
)
KEYS: tuple[tuple[str, frozenset[str]], ...] = (
    ("subscription", frozenset({"id", "tenantId", "isDefault", "state"})),
    ("conditionalAccess", frozenset({"conditions", "state", "displayName"})),
    ("eligibility", frozenset({"groupId", "principalId", "accessId", "scheduleInfo"})),
    ("user", frozenset({"id", "userPrincipalName"})),
    ("servicePrincipal", frozenset({"id", "appId", "servicePrincipalType"})),
    ("servicePrincipal", frozenset({"id", "appId", "servicePrincipalNames"})),
    ("group", frozenset({"id", "securityEnabled"})),
)
MEMBERSHIP = re.compile(r"(?P<group>.+)\.(?P<relation>members|owners)", re.IGNORECASE)
READABLE = (
    "clusters (az aks list), agent pools (az aks nodepool list), maintenance configurations, resource groups, "
    "subscriptions (az account list), virtual networks, locks, role assignments (az role assignment list --all), role "
    "definitions, policy assignments; groups (az ad group list), their members and owners in files called "
    "GROUP.members.json and GROUP.owners.json, users, service principals (az ad sp list), Conditional Access policies, "
    "named locations, schedules of Privileged Identity Management"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A document, its kind and the parts of its ID. `typed`: it has an OData type."""

    kind: str
    document: Document
    parts: dict[str, str]
    where: str
    typed: bool = False


def membership_of(file: Path) -> tuple[str, str] | None:
    """Return the group and the relation that a file name states, in lower case. Returns None for other names."""
    found = MEMBERSHIP.fullmatch(file.stem)
    return (found["group"].lower(), found["relation"].lower()) if found else None


def items_of(file: Path) -> list[Item]:
    """Return the documents of a JSON file. Raises WorldError for an unreadable file or an unknown shape."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorldError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise WorldError(f"{file}: not JSON: {error}") from error
    context = str(content.get("@odata.context") or "") if isinstance(content, dict) else ""
    if isinstance(content, dict) and isinstance(content.get("value"), list):
        for key in ("nextLink", "@odata.nextLink"):
            if content.get(key):
                raise WorldError(
                    f"{file}: the list is incomplete ({key}); write all of it: `az … list` reads every page"
                )
        content = content["value"]
    documents = content if isinstance(content, list) else [content]
    return [_item(it, context, f"{file}: item {number}") for number, it in enumerate(documents, start=1)]


def _item(it: Any, context: str, where: str) -> Item:
    if not isinstance(it, dict):
        raise WorldError(f"{where} is not an object; supported: {READABLE}")
    typed = str(it.get("@odata.type") or "").lower()
    for kind, parts in _kinds(it, typed, str(it.get("@odata.context") or context).lower()):
        return Item(kind=kind, document=it, parts=parts, where=where, typed=bool(typed))
    known = str(it.get("id") or ", ".join(list(it)[:4]) or "empty")
    raise WorldError(f"{where} ({known}) is of an unknown shape; supported: {READABLE}")


def _kinds(it: Document, typed: str, context: str) -> Iterator[tuple[str, dict[str, str]]]:
    if typed in TYPES:
        yield TYPES[typed], {}
    for kind, pattern in IDS:
        if found := pattern.fullmatch(str(it.get("id") or "")):
            yield kind, found.groupdict()
    if "id" in it:
        for ending, kind in CONTEXTS:
            if ending in context.partition("$metadata")[2]:
                yield kind, {}
    for kind, keys in KEYS:
        if keys <= set(it):
            yield kind, {}
