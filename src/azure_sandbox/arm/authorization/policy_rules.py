"""Custom policy definitions: the part of Azure Policy's rule language that is modelled, for managed clusters.

Modelled: `allOf`, `anyOf`, `not`, `field` with equals, notEquals, in, notIn, exists and contains, and parameters.
Sources: the page "Azure Policy definition structure", and Azure CLI's recording of a definition and its assignment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from azure_sandbox.arm.errors import not_modelled

Document = dict[str, Any]
Effect = Literal["Audit", "Deny", "Disabled", "DeployIfNotExists", "AuditIfNotExists"]
TYPE = "Microsoft.ContainerService/managedClusters"
EFFECTS: dict[str, Effect] = {
    "audit": "Audit",
    "deny": "Deny",
    "disabled": "Disabled",
    "auditifnotexists": "AuditIfNotExists",
    "deployifnotexists": "DeployIfNotExists",
}
PARAMETER = re.compile(r"\[parameters\('([^']+)'\)\]", re.IGNORECASE)
TAG = re.compile(r"tags(?:\.|\[')([^']+?)(?:'\])?")
ENVELOPE = ("sku", "identity", "kind", "location", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDefinition:
    """A custom policy definition as a client wrote it, at the scope of a subscription."""

    name: str
    subscription: str
    properties: Document
    version: str = "1.0.0"
    custom: bool = True

    @property
    def display_name(self) -> str:
        """The name for people."""
        return str(self.properties.get("displayName") or self.name)

    @property
    def effect_parameter(self) -> str:
        """The name of the parameter with the effect. Empty if the rule fixes the effect."""
        parameter = PARAMETER.fullmatch(str(self.properties["policyRule"]["then"]["effect"]))
        return parameter[1] if parameter else ""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects that an assignment may choose; the default is the first."""
        if self.effect_parameter:
            asked = (self.properties.get("parameters") or {}).get(self.effect_parameter) or {}
            allowed = [str(it) for it in asked.get("allowedValues") or ()]
            first = str(asked.get("defaultValue") or next(iter(allowed), "Audit"))
            return tuple(dict.fromkeys(_effect(it) for it in (first, *allowed)))
        return (_effect(str(self.properties["policyRule"]["then"]["effect"])),)

    def id(self, _subscription: str) -> str:
        """Return the resource id."""
        where = f"/subscriptions/{self.subscription}/providers/Microsoft.Authorization/policyDefinitions"
        return f"{where}/{self.name}"

    def matches(self, content: Document, parameters: Mapping[str, Any]) -> bool:
        """Return whether the content of a write matches the rule."""
        defaults = {
            key: {"value": it.get("defaultValue")} for key, it in (self.properties.get("parameters") or {}).items()
        }
        return _holds(self.properties["policyRule"]["if"], content, {**defaults, **parameters})

    def shown(self, subscription: str) -> Document:
        """Return the definition as a resource."""
        return {
            "properties": {"policyType": "Custom", "mode": "All", **deepcopy(self.properties)},
            "id": self.id(subscription),
            "type": "Microsoft.Authorization/policyDefinitions",
            "name": self.name,
        }


def _effect(name: str) -> Effect:
    found = EFFECTS.get(name.lower())
    if found is None:
        raise not_modelled(f"the policy effect {name!r}")
    return found


def check(definition: WrittenDefinition) -> None:
    """Raise 501 for a definition with something that is not modelled."""
    _ = definition.effects
    definition.matches({"type": TYPE}, {})


def _holds(condition: Any, content: Document, parameters: Mapping[str, Any]) -> bool:
    """Evaluate a condition. Every part is visited, so that what is not modelled is found at once."""
    if not isinstance(condition, dict):
        raise not_modelled(f"the policy condition {condition!r}")
    for key, joined in (("allOf", all), ("anyOf", any)):
        if key in condition:
            return joined([_holds(it, content, parameters) for it in condition[key]])
    if "not" in condition:
        return not _holds(condition["not"], content, parameters)
    if "field" not in condition or len(condition) != 2:  # noqa: PLR2004 - a field and an operator
        raise not_modelled(f"the policy condition {sorted(condition)}")
    (operator,) = set(condition) - {"field"}
    return _compared(operator, _field(str(condition["field"]), content), _resolved(condition[operator], parameters))


def _compared(operator: str, value: Any, target: Any) -> bool:
    found = _text(value)
    match operator.lower():
        case "equals":
            return found == _text(target)
        case "notequals":
            return found != _text(target)
        case "in":
            return found in {_text(it) for it in target or ()}
        case "notin":
            return found not in {_text(it) for it in target or ()}
        case "exists":
            return (value is not None) is (_text(target) == "true")
        case "contains":
            return value is not None and str(_text(target)) in str(found)
    raise not_modelled(f"the policy operator {operator!r}")


def _text(value: Any) -> str | None:
    """Return a value as policies compare it: as text, without regard to case."""
    return None if value is None else str(value).lower()


def _resolved(target: Any, parameters: Mapping[str, Any]) -> Any:
    if isinstance(target, str) and (parameter := PARAMETER.fullmatch(target)):
        return (parameters.get(parameter[1]) or {}).get("value")
    if isinstance(target, str) and target.startswith("["):
        raise not_modelled(f"the policy expression {target!r}")
    return target


def _field(name: str, content: Document) -> Any:
    """Return the value of a field or alias; None for an alias of another type of resource."""
    if "[*]" in name:
        raise not_modelled(f"the policy alias {name!r}")
    if tag := TAG.fullmatch(name):
        return (content.get("tags") or {}).get(tag[1])
    if "/" not in name:
        return content.get(name)
    prefix = f"{TYPE}/"
    if not name.lower().startswith(prefix.lower()):
        return None
    steps = name[len(prefix) :].split(".")
    found: Any = content if steps[0] in ENVELOPE else content.get("properties")
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    return found
