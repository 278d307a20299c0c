"""The routes of Azure Policy: assignments and definitions, and what policies would say of a write.

`checkPolicyRestrictions` answers as the example of its specification (2024-10-01) does; nobody recorded it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any, cast, get_args

from azure_sandbox.arm.authorization.access import covers, normal
from azure_sandbox.arm.authorization.policies import (
    BUILT_IN,
    Definition,
    PolicyAssignment,
    find_definition,
    violated,
)
from azure_sandbox.arm.authorization.policy_rules import EFFECTS, TYPE, Effect, WrittenDefinition, check
from azure_sandbox.arm.authorization.role_assignments import JSON, PROVIDER
from azure_sandbox.arm.errors import authorization, front, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
ASSIGNMENTS = "/{scope:path}/" + PROVIDER + "/policyAssignments"
ASSIGNMENT = ASSIGNMENTS + "/{name}"
OF_OTHERS, OF_MANAGEMENT_GROUP = 64, 24  # characters of a name: "Naming rules and restrictions for Azure resources"
BY_DEFINITION = re.compile(r"policyDefinitionId\s+eq\s+'([^']+)'", re.IGNORECASE)


def _subscription(scope: str) -> str:
    parts = scope.strip("/").split("/")
    return parts[1] if parts[0].lower() == "subscriptions" and len(parts) > 1 else ""


class PolicyRoutes:
    """The routes of policy assignments and definitions."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        self._clock = door.clock
        act, scope = "Microsoft.Authorization/policy", "/{scope}"
        held = f"{act}Assignments/"
        paged = ("$filter", "$top", "$expand")
        door.add("GET", ASSIGNMENTS, self._list, scope=scope, action=held + "read", options=paged)
        door.add("GET", ASSIGNMENT, self._get, scope=scope, action=held + "read", options=("$expand",))
        door.add("PUT", ASSIGNMENT, self._put, scope=scope, action=held + "write")
        door.add("DELETE", ASSIGNMENT, self._delete, scope=scope, action=held + "delete")
        definitions = f"{PROVIDER}/policyDefinitions"
        for root, where in (("/subscriptions/{subscription}/", "/subscriptions/{subscription}"), ("/", "")):
            action = f"{act}Definitions/read" if where else None
            door.add("GET", root + definitions, self._definitions, scope=where, action=action, options=paged)
            door.add("GET", f"{root}{definitions}/{{name}}", self._definition, scope=where, action=action)
        at, one = "/subscriptions/{subscription}", f"/subscriptions/{{subscription}}/{definitions}/{{name}}"
        door.add("PUT", one, self._define, scope=at, action=f"{act}Definitions/write")
        door.add("DELETE", one, self._undefine, scope=at, action=f"{act}Definitions/delete")
        restrictions = "providers/Microsoft.PolicyInsights/checkPolicyRestrictions"
        right = "Microsoft.PolicyInsights/checkPolicyRestrictions/read"
        group = "/subscriptions/{subscription}/resourceGroups/{group}"
        door.add("POST", f"{group}/{restrictions}", self._restrictions, scope=group, action=right, lockable=False)

    async def _restrictions(self, call: Call, subscription: str, group: str) -> Reply:
        self._state.group(subscription, group)
        sent = call.request.json()
        details = sent.get("resourceDetails")
        content = details.get("resourceContent") if isinstance(details, dict) else None
        if not isinstance(content, dict):
            raise authorization(400, "InvalidCheckRestrictionsRequest", "'resourceDetails' is required.")
        if sent.get("pendingFields"):
            raise not_modelled("pendingFields of checkPolicyRestrictions")
        if str(content.get("type") or "").lower() != TYPE.lower():
            raise not_modelled(f"checkPolicyRestrictions for the type {content.get('type')}")
        scope = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{TYPE}/{content.get('name')}"
        effects = {"Deny", "Audit"} if sent.get("includeAuditEffect") is True else {"Deny"}
        bound = self._state.policies_on(scope, call.request.now)
        found = [it for it in violated(bound, scope, content) if it.effect in effects]
        evaluations = [
            {
                "policyInfo": {
                    "policyDefinitionId": it.definition.id(subscription),
                    "policyAssignmentId": it.id,
                },
                "evaluationResult": "NonCompliant",
                "evaluationDetails": {"evaluatedExpressions": []},
                "effectDetails": {"policyEffect": it.effect},
            }
            for it in found
        ]
        body = {"fieldRestrictions": [], "contentEvaluationResult": {"policyEvaluations": evaluations}}
        return Reply(200, body, JSON)

    def _customs(self) -> list[Definition | WrittenDefinition]:
        """Return the custom definitions: those that clients wrote, and those of assignments in the world."""
        of_world = (it.definition for it in self._state.policies.values() if isinstance(it.definition, Definition))
        return [*self._state.definitions.values(), *{it.name: it for it in of_world if it.custom}.values()]

    async def _define(self, call: Call, subscription: str, name: str) -> Reply:
        properties = call.request.json().get("properties")
        rule = properties.get("policyRule") if isinstance(properties, dict) else None
        then = rule.get("then") if isinstance(rule, dict) else None
        whole = isinstance(then, dict) and "effect" in then and isinstance(rule, dict) and "if" in rule
        if not isinstance(properties, dict) or not whole:
            text = f"The policy definition '{name}' rule is invalid. The 'if' and 'then' properties are required."
            raise authorization(400, "InvalidPolicyRule", text)
        stamps: Document = {"createdBy": call.claims.oid, "createdOn": f"{call.request.now:%Y-%m-%dT%H:%M:%S.%fZ}"}
        stamps = {**stamps, "updatedBy": None, "updatedOn": None}  # as recorded
        kept = {**properties, "metadata": {**(properties.get("metadata") or {}), **stamps}}
        made = WrittenDefinition(name=name, subscription=subscription, properties=kept)
        check(made)
        self._state.definitions[normal(made.id(subscription))] = made
        for key, it in self._state.policies.items():
            if normal(it.definition.id(subscription)) == normal(made.id(subscription)):
                self._state.policies[key] = replace(it, definition=made)
        return Reply(201, made.shown(subscription), JSON)

    async def _undefine(self, _: Call, subscription: str, name: str) -> Reply:
        key = normal(f"/subscriptions/{subscription}/{PROVIDER}/policyDefinitions/{name}")
        found = self._state.definitions.get(key)
        if found is None:
            return Reply(204)
        if any(it.definition == found for it in self._state.policies.values()):
            text = f"The policy definition '{name}' cannot be deleted because it is assigned."
            raise authorization(400, "PolicyDefinitionInUse", text)
        del self._state.definitions[key]
        return Reply(200, found.shown(subscription), JSON)

    async def _list(self, call: Call, scope: str) -> Reply:
        wanted, at = call.option("$filter").replace(" ", "").lower(), f"/{scope}"
        exact = wanted == "atexactscope()"
        definition = BY_DEFINITION.fullmatch(call.option("$filter").strip())
        if wanted not in {"", "atscope()", "atexactscope()"} and definition is None:
            raise not_modelled(f"the filter {call.option('$filter')!r} on policy assignments")
        found = []
        for it in self._state.policies.values():
            above, below = covers(it.scope, at), covers(at, it.scope)
            if exact and not (above and below):
                continue
            if not above and (wanted == "atscope()" or not below):
                continue
            shown = it.shown(_subscription(scope))
            if definition is None or shown["properties"]["policyDefinitionId"].lower() == definition[1].lower():
                found.append(shown)
        return Reply(200, {"value": found}, JSON)

    def _key(self, scope: str, name: str) -> str:
        return normal(f"/{scope}/{PROVIDER}/policyAssignments/{name}")

    async def _get(self, _: Call, scope: str, name: str) -> Reply:
        found = self._state.policies.get(self._key(scope, name))
        if found is None:
            text = f"The policy assignment '{name}' is not found."
            raise authorization(404, "PolicyAssignmentNotFound", text)
        return Reply(200, found.shown(_subscription(scope)), JSON)

    async def _put(self, call: Call, scope: str, name: str) -> Reply:
        if not self._state.exists(f"/{scope}"):
            raise front(404, "ResourceNotFound", f"The Resource '/{scope}' was not found.")
        properties = call.request.json().get("properties")
        properties = properties if isinstance(properties, dict) else {}
        longest = OF_MANAGEMENT_GROUP if not _subscription(scope) else OF_OTHERS
        if len(name) > longest:
            text = f"The policy assignment name '{name}' is longer than {longest} characters."
            raise authorization(400, "InvalidPolicyAssignmentName", text)
        wanted = str(properties.get("policyDefinitionId") or "")
        definition = find_definition(wanted, self._customs())
        if definition is None:
            text = f"The policy definition '{wanted}' could not be found."
            raise authorization(404, "PolicyDefinitionNotFound", text)
        parameters = properties.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        chosen = definition.effect_parameter
        named = (parameters.get(chosen) or {"value": definition.effects[0]}).get("value")
        effect = EFFECTS.get(str(named).lower(), named)
        if effect not in get_args(Effect) or effect not in definition.effects:
            text = f"The value '{effect}' is not allowed for policy parameter 'effect' in policy definition."
            raise authorization(400, "PolicyParameterValueNotAllowed", text)
        made = PolicyAssignment(
            scope=f"/{scope}",
            name=name,
            definition=definition,
            effect=cast("Effect", effect),
            display_name=str(properties.get("displayName") or ""),
            enforced=properties.get("enforcementMode", "Default") == "Default",
            not_scopes=tuple(map(str, properties.get("notScopes") or ())),
            parameters={key: it for key, it in parameters.items() if key != chosen},
            properties=self._kept(call, properties),
            since=self._counts_from(),
        )
        self._leave(normal(made.id))
        self._state.policies[normal(made.id)] = made
        return Reply(201, made.shown(_subscription(scope)), JSON)

    async def _delete(self, _: Call, scope: str, name: str) -> Reply:
        found = self._leave(self._key(scope, name))
        return Reply(204) if found is None else Reply(200, found.shown(_subscription(scope)), JSON)

    def _counts_from(self) -> dt.datetime:
        """Return from when on Azure follows a change that is made now."""
        return self._clock.after(self._state.policy_delay)

    def _leave(self, key: str) -> PolicyAssignment | None:
        """Take an assignment away. Azure enforces it for a while."""
        found = self._state.policies.pop(key, None)
        if found is not None and found.in_force(self._clock.progress()):
            self._state.former_policies[key] = replace(found, until=self._counts_from())
        return found

    def _kept(self, call: Call, properties: Document) -> Document:
        """Return the properties that a client may write freely, with the stamps of the recorded assignment."""
        given = properties.get("metadata")
        if given is not None and not isinstance(given, dict):
            raise authorization(400, "InvalidPolicyAssignment", "The metadata of a policy assignment is an object.")
        stamps: Document = {"createdBy": call.claims.oid, "createdOn": f"{call.request.now:%Y-%m-%dT%H:%M:%S.%fZ}"}
        kept: Document = {"metadata": {**(given or {}), **stamps, "updatedBy": None, "updatedOn": None}}
        return {
            **kept,
            **{key: properties[key] for key in ("description", "nonComplianceMessages") if key in properties},
        }

    async def _definitions(self, call: Call, subscription: str = "") -> Reply:
        wanted = call.option("$filter").replace(" ", "").lower()
        if wanted not in {"", "policytypeeq'builtin'", "policytypeeq'custom'", "atexactscope()"}:
            raise not_modelled(f"the filter {call.option('$filter')!r} on policy definitions")
        shown = [] if "custom" in wanted else [it.shown(subscription) for it in BUILT_IN]
        if subscription and "builtin" not in wanted:
            shown += [it.shown(subscription) for it in self._customs()]
        return Reply(200, {"value": shown}, JSON)

    async def _definition(self, _: Call, name: str, subscription: str = "") -> Reply:
        found = find_definition(name, self._customs() if subscription else ())
        if found is None:
            text = f"The policy definition '{name}' could not be found."
            raise authorization(404, "PolicyDefinitionNotFound", text)
        return Reply(200, found.shown(subscription), JSON)
