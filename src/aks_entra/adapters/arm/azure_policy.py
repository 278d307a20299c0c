"""Reads the Azure Policy assignments about sign-in: two built-in definitions, and initiatives that contain them.

`policy_restrictions` asks ARM about all other definitions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.adapters.arm.surroundings import read, whole
from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import OWNER, assignment_id
from aks_entra.core.durations import when
from aks_entra.core.preflight import ADMIN_GROUPS_POLICY, LOCAL_ACCOUNTS_POLICY, Policy

DEFAULTS: Final = {LOCAL_ACCOUNTS_POLICY: "Audit", ADMIN_GROUPS_POLICY: "DeployIfNotExists"}
"""The effect of each definition if its assignment does not set one."""

_PROVIDER: Final = "providers/Microsoft.Authorization"
VERSION: Final = "2022-06-01"
EXEMPTIONS: Final = "2022-07-01-preview"
_PARAMETER: Final = re.compile(r"^\[parameters\('([^']+)'\)\]$", re.IGNORECASE)

Document = Mapping[str, Any]


async def policies(clients: Clients, cluster: ClusterId, now: datetime) -> tuple[Policy, ...] | None:
    """Return the policy assignments that apply to the cluster. None if unreadable."""
    assigned = await assignments(clients, cluster)
    if assigned is None:
        return None
    near = [one for one in assigned if reaches(one, cluster)]
    found = [
        (replace(policy, assignment=identity, ours=is_ours(one, cluster)), reference)
        for one in near
        for identity, reference, policy in await _opened(clients, one)
    ]
    if not found:
        return ()
    exempt = await exemptions(clients, cluster, now)
    return tuple(replace(policy, exempt=exempt.cover(policy.assignment, reference)) for policy, reference in found)


async def assignments(clients: Clients, cluster: ClusterId) -> list[Document] | None:
    """Return the documents of all policy assignments that may reach the cluster, and of others. None if unreadable."""
    return await _of_all(clients, cluster, f"policyAssignments?api-version={VERSION}")


async def _of_all(clients: Clients, cluster: ClusterId, what: str) -> list[Document] | None:
    """Return a list of the subscription, or of the resource group if that may not be read. None if neither may.

    Without a filter, ARM lists what a scope has, what it inherits, and what is below it. Source: "Policy Assignments -
    List" and "Policy Exemptions - List".
    """
    for scope in (cluster.subscription, cluster.group):
        found = await whole(clients, ChangedBy.AUTHORIZATION, f"{scope}/{_PROVIDER}/{what}")
        if found is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class Exemptions:
    """Of which assignments a cluster is exempt now: pairs of id and, for a part of an initiative, its reference."""

    pairs: frozenset[tuple[str, str]] = frozenset()

    def cover(self, assignment: str, reference: str = "") -> bool:
        """Whether an assignment does not bind the cluster, or not by the definition with this reference in it."""
        whole = assignment.lower()
        return (whole, "") in self.pairs or (bool(reference) and (whole, reference.lower()) in self.pairs)


async def exemptions(clients: Clients, cluster: ClusterId, now: datetime) -> Exemptions:
    """Return the exemptions of the cluster that have not expired. Unreadable: none.

    An expired exemption stays in the list and exempts nothing. Source: "Azure Policy exemption structure".
    """
    found = await _of_all(clients, cluster, f"policyExemptions?api-version={EXEMPTIONS}")
    return Exemptions(
        frozenset(
            (str(properties.get("policyAssignmentId") or "").lower(), reference)
            for one in found or ()
            if cluster.is_within(str(one.get("id") or "").lower().partition("/providers/microsoft.authorization")[0])
            if _in_force(properties := one.get("properties") or {}, now)
            for reference in [str(it).lower() for it in properties.get("policyDefinitionReferenceIds") or ()] or [""]
        )
    )


def _in_force(exemption: Document, now: datetime) -> bool:
    """Whether an exemption has no end, or one that has not come. It is not in force if its end cannot be read."""
    until = exemption.get("expiresOn")
    end = None if until is None else when(str(until))
    return until is None or (end is not None and end > now)


def is_managed(document: Document) -> bool:
    """Whether our metadata is on an assignment or an exemption."""
    properties = document.get("properties") or {}
    return str((properties.get("metadata") or {}).get("managedBy") or "") == OWNER


def is_ours(assignment: Document, cluster: ClusterId) -> bool:
    """Whether an assignment is the one that `keep: deny` makes on the cluster."""
    named = str(assignment.get("id") or "").lower() == assignment_id(cluster).lower()
    return named and is_managed(assignment)


def is_enforced(assignment: Document) -> bool:
    """Whether an assignment has an effect. With `DoNotEnforce` it only reports."""
    properties = assignment.get("properties") or {}
    return str(properties.get("enforcementMode") or "Default").casefold() != "donotenforce"


def binds(assignment: Document, cluster: ClusterId) -> bool:
    """Whether an assignment has an effect on the cluster, unless the cluster is exempt."""
    return is_enforced(assignment) and reaches(assignment, cluster)


def reaches(assignment: Document, cluster: ClusterId) -> bool:
    """Whether the scope of an assignment contains the cluster, and no excluded scope does."""
    properties = assignment.get("properties") or {}
    out = any(cluster.is_within(str(scope)) for scope in properties.get("notScopes") or ())
    return not out and cluster.is_within(str(properties.get("scope") or ""))


async def _opened(clients: Clients, assignment: Document) -> list[tuple[str, str, Policy]]:
    """Return the policies about sign-in in an assignment: the assignment's id, the reference in it, the policy."""
    properties = assignment.get("properties") or {}
    definition = str(properties.get("policyDefinitionId") or "").lower()
    given = {str(name): (one or {}).get("value") for name, one in (properties.get("parameters") or {}).items()}
    identity = str(assignment.get("id") or "")
    if "/policysetdefinitions/" not in definition:
        return [(identity, "", _policy(assignment, definition, given))] if _guid(definition) in DEFAULTS else []
    identifier = str(properties.get("policyDefinitionId"))
    initiative = await clients.shared.once(
        ChangedBy.AUTHORIZATION, f"initiative {identifier}", lambda: read(clients, identifier, VERSION)
    )
    if initiative is None:
        # An initiative that may not be read could deny anything: report the policy that would lock us out as unknown
        return [(identity, "", _policy(assignment, LOCAL_ACCOUNTS_POLICY, {"effect": None}))]
    whole = initiative.get("properties") or {}
    defaults = {str(name): (one or {}).get("defaultValue") for name, one in (whole.get("parameters") or {}).items()}
    return [
        (
            identity,
            str(member.get("policyDefinitionReferenceId") or ""),
            _policy(assignment, str(member["policyDefinitionId"]).lower(), _passed(member, {**defaults, **given})),
        )
        for member in whole.get("policyDefinitions") or ()
        if _guid(str(member.get("policyDefinitionId") or "").lower()) in DEFAULTS
    ]


def _passed(member: Document, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that an initiative passes to one of its definitions."""
    passed: dict[str, Any] = {}
    for name, one in (member.get("parameters") or {}).items():
        value = (one or {}).get("value")
        reference = _PARAMETER.match(value) if isinstance(value, str) else None
        passed[str(name)] = given.get(reference[1]) if reference else value
    return passed


def _policy(assignment: Document, definition: str, given: Mapping[str, Any]) -> Policy:
    properties = assignment.get("properties") or {}
    lower = {name.casefold(): value for name, value in given.items()}
    key = _guid(definition)
    effect = lower["effect"] if "effect" in lower else DEFAULTS[key]
    groups = lower.get("admingroupobjectids") or ()
    return Policy(
        name=str(properties.get("displayName") or assignment.get("name") or ""),
        scope=str(properties.get("scope") or ""),
        definition=key,
        effect=None if effect is None or str(effect).startswith("[") else str(effect),
        enforced=is_enforced(assignment),
        admin_groups=tuple(str(one) for one in (json.loads(groups) if isinstance(groups, str) else groups)),
    )


def _guid(definition: str) -> str:
    return definition.rpartition("/")[2]
