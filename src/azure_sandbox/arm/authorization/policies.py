"""Azure Policy, as far as it concerns clusters: assignments, built-in definitions, and the effect Deny."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.authorization.access import covers, normal
from azure_sandbox.arm.authorization.policy_rules import TYPE, Effect, WrittenDefinition
from azure_sandbox.arm.errors import FRONT
from azure_sandbox.front.http import Problem

Document = dict[str, Any]
DEFINITIONS = "/providers/Microsoft.Authorization/policyDefinitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A policy definition.

    With the effect Deny it refuses a write whose content has all values of `denies`, or lacks a value of `unless`;
    both are keyed by dotted path. Without either it refuses nothing.
    """

    name: str
    display_name: str
    version: str = "1.0.0"
    effects: tuple[Effect, ...] = ("Audit", "Deny", "Disabled")
    custom: bool = False
    denies: Mapping[str, Any] | None = None
    unless: Mapping[str, Any] | None = None

    def id(self, subscription: str) -> str:
        """Return the resource id; a custom definition is in the given subscription."""
        return (
            f"/subscriptions/{subscription}{DEFINITIONS}/{self.name}" if self.custom else f"{DEFINITIONS}/{self.name}"
        )

    @property
    def effect_parameter(self) -> str:
        """The name of the parameter with the effect."""
        return "effect"

    def matches(self, content: Document, _parameters: Mapping[str, Any]) -> bool:
        """Return whether the content of a write matches the rule."""
        if self.unless is not None:
            return any(_at(content, path) != value for path, value in self.unless.items())
        return bool(self.denies) and all(_at(content, path) == value for path, value in (self.denies or {}).items())

    def shown(self, subscription: str) -> Document:
        """Return the definition as a resource, without its rule."""
        return {
            "id": self.id(subscription),
            "name": self.name,
            "type": "Microsoft.Authorization/policyDefinitions",
            "properties": {
                "displayName": self.display_name,
                "policyType": "Custom" if self.custom else "BuiltIn",
                "mode": "All" if self.custom else "Indexed",
                "description": self.display_name,
                "metadata": {"version": self.version, "category": "Kubernetes"},
                "version": self.version,
                "parameters": {
                    "effect": {"type": "String", "defaultValue": self.effects[0], "allowedValues": list(self.effects)}
                },
            },
        }


BUILT_IN = (
    Definition(
        name="993c2fcd-2b29-49d2-9eb0-df2c3a730c32",
        display_name="Azure Kubernetes Service Clusters should have local authentication methods disabled",
        version="1.0.1",
        unless={"properties.disableLocalAccounts": True},
    ),
    Definition(
        name="450d2877-ebea-41e8-b00c-e286317d21bf",
        display_name="Azure Kubernetes Service Clusters should enable Microsoft Entra ID integration",
        version="1.0.2",
        effects=("AuditIfNotExists", "Disabled"),
    ),
    Definition(
        name="36a27de4-199b-40fb-b336-945a8475d6c5",
        display_name="Configure Microsoft Entra ID integrated Azure Kubernetes Service Clusters with required Admin "
        "Group Access",
        version="2.1.0",
        effects=("DeployIfNotExists", "Disabled"),
    ),
    Definition(
        name="a3dc4946-dba6-43e6-950d-f96532848c9f",
        display_name="Azure Kubernetes Clusters should ensure that the cluster-admin role is only used where required",
        version="1.1.0",
        effects=("Audit", "Disabled"),
    ),
    Definition(
        name="ac4a19c2-fa67-49b4-8ae5-0b2e78c49457",
        display_name="Role-Based Access Control (RBAC) should be used on Kubernetes Services",
        version="1.1.0",
        effects=("Audit", "Disabled"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAssignment:
    """The assignment of a policy definition to a scope.

    Azure enforces it from `since` on, and one that was removed or replaced until `until`. None: always. `properties`
    holds what else a client wrote: description, metadata and the reasons (`nonComplianceMessages`).
    """

    scope: str
    name: str
    definition: Definition | WrittenDefinition
    effect: Effect
    display_name: str = ""
    enforced: bool = True
    not_scopes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    properties: Document = field(default_factory=dict)
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def in_force(self, at: dt.datetime) -> bool:
        """Return whether Azure enforces it at a moment."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    @property
    def reasons(self) -> str:
        """The messages that a refusal quotes."""
        return "; ".join(str(it.get("message") or "") for it in self.properties.get("nonComplianceMessages") or ())

    @property
    def id(self) -> str:
        """The resource id."""
        return f"{self.scope}/providers/Microsoft.Authorization/policyAssignments/{self.name}"

    def reaches(self, scope: str) -> bool:
        """Return whether the assignment applies to a scope."""
        return covers(self.scope, scope) and not any(covers(it, scope) for it in self.not_scopes)

    def all_parameters(self) -> Document:
        """Return the parameters, including the effect."""
        chosen = self.definition.effect_parameter
        return {**self.parameters, **({chosen: {"value": self.effect}} if chosen else {})}

    def shown(self, subscription: str) -> Document:
        """Return the assignment as a resource."""
        return {
            "id": self.id,
            "name": self.name,
            "type": "Microsoft.Authorization/policyAssignments",
            "properties": {
                "displayName": self.display_name or self.definition.display_name,
                "policyDefinitionId": self.definition.id(subscription),
                "definitionVersion": f"{self.definition.version.partition('.')[0]}.*.*",
                "scope": self.scope,
                "notScopes": list(self.not_scopes),
                "parameters": self.all_parameters(),
                "metadata": {},
                "enforcementMode": "Default" if self.enforced else "DoNotEnforce",
                **self.properties,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyExemption:
    """The exemption of a scope from an assignment. `until` None: it does not expire. Azure follows it from `since`."""

    scope: str
    name: str
    assignment: str
    until: dt.datetime | None
    properties: Document
    since: dt.datetime | None = None

    @property
    def id(self) -> str:
        """The resource id."""
        return f"{self.scope}/providers/Microsoft.Authorization/policyExemptions/{self.name}"

    def shown(self) -> Document:
        """Return the exemption as a resource."""
        kind = "Microsoft.Authorization/policyExemptions"
        return {"id": self.id, "name": self.name, "type": kind, "properties": self.properties}


def binding(
    assignments: Iterable[PolicyAssignment],
    exemptions: Iterable[PolicyExemption],
    scope: str,
    now: dt.datetime,
    at: dt.datetime,
) -> list[PolicyAssignment]:
    """Return the assignments that Azure enforces and from which nothing exempts a scope.

    `now` is the time, with which exemptions expire, and `at` how far Azure's own work has progressed.
    """
    free = {
        normal(it.assignment)
        for it in exemptions
        if covers(it.scope, scope) and (it.until is None or it.until > now) and (it.since is None or it.since <= at)
    }
    return [it for it in assignments if it.in_force(at) and normal(it.id) not in free]


def find_definition(
    name: str, customs: Iterable[Definition | WrittenDefinition] = ()
) -> Definition | WrittenDefinition | None:
    """Return a definition by its name, display name or resource id, or None."""
    wanted = name.rpartition("/")[2].lower()
    both = (*BUILT_IN, *customs)
    return next((it for it in both if wanted == it.name.lower() or name.lower() == it.display_name.lower()), None)


def _at(content: Any, path: str) -> Any:
    for step in path.split("."):
        content = content.get(step) if isinstance(content, dict) else None
    return content


def violated(assignments: Iterable[PolicyAssignment], scope: str, content: Document) -> list[PolicyAssignment]:
    """Return the enforced assignments of Deny and Audit whose rule the content of a write to a cluster matches."""
    judged = {**content, "type": TYPE, "name": scope.rpartition("/")[2]}
    return [
        it
        for it in assignments
        if it.effect in {"Deny", "Audit"}
        and it.enforced
        and it.reaches(scope)
        and it.definition.matches(judged, it.all_parameters())
    ]


def check(assignments: Iterable[PolicyAssignment], scope: str, content: Document) -> None:
    """Raise 403 for a write that a policy denies. Like ARM's front door, it judges the content that was sent."""
    denying = [it for it in violated(assignments, scope, content) if it.effect == "Deny"]
    if denying:
        raise _refusal(denying, scope)


def _refusal(denying: list[PolicyAssignment], scope: str) -> Problem:
    subscription = normal(scope).split("/")[2]
    name = scope.rpartition("/")[2]
    identifiers = [
        {
            "policyAssignment": {"name": it.display_name or it.definition.display_name, "id": it.id},
            "policyDefinition": {"name": it.definition.display_name, "id": it.definition.id(subscription)},
        }
        for it in denying
    ]
    why = f"Policy identifiers: '{json.dumps(identifiers, separators=(',', ':'))}'."
    if reasons := "; ".join(it.reasons for it in denying if it.reasons):
        why = f"Reasons: '{reasons}'. See error details for policy resource IDs."
    message = f"Resource '{name}' was disallowed by policy. {why}"
    info = [
        {
            "type": "PolicyViolation",
            "info": {
                "policyDefinitionDisplayName": it.definition.display_name,
                "policyDefinitionId": it.definition.id(subscription),
                "policyDefinitionName": it.definition.name,
                "policyDefinitionEffect": "deny",
                "policyAssignmentId": it.id,
                "policyAssignmentName": it.name,
                "policyAssignmentDisplayName": it.display_name or it.definition.display_name,
                "policyAssignmentScope": it.scope,
                "policyAssignmentParameters": it.all_parameters(),
            },
        }
        for it in denying
    ]
    error = {"code": "RequestDisallowedByPolicy", "target": name, "message": message, "additionalInfo": info}
    return Problem(403, {"error": error}, dict(FRONT))
