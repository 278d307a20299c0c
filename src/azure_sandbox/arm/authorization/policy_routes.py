"""The routes of Azure Policy: assignments can be read and written, definitions and exemptions can be read."""

from __future__ import annotations

import re
from typing import Any, cast, get_args

from azure_sandbox.arm.authorization.access import covers, normal
from azure_sandbox.arm.authorization.policies import BUILT_IN, Effect, PolicyAssignment, find_definition
from azure_sandbox.arm.authorization.role_assignments import JSON, PROVIDER
from azure_sandbox.arm.errors import authorization, front, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
ASSIGNMENTS = "/{scope:path}/" + PROVIDER + "/policyAssignments"
ASSIGNMENT = ASSIGNMENTS + "/{name}"
BY_DEFINITION = re.compile(r"policyDefinitionId\s+eq\s+'([^']+)'", re.IGNORECASE)


def _subscription(scope: str) -> str:
    parts = scope.strip("/").split("/")
    return parts[1] if parts[0].lower() == "subscriptions" and len(parts) > 1 else ""


class PolicyRoutes:
    """The routes of policy assignments, definitions and exemptions."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        act, scope = "Microsoft.Authorization/policy", "/{scope}"
        held = f"{act}Assignments/"
        paged = ("$filter", "$top", "$expand")
        door.add("GET", ASSIGNMENTS, self._list, scope=scope, action=held + "read", options=paged)
        door.add("GET", ASSIGNMENT, self._get, scope=scope, action=held + "read", options=("$expand",))
        door.add("PUT", ASSIGNMENT, self._put, scope=scope, action=held + "write")
        door.add("DELETE", ASSIGNMENT, self._delete, scope=scope, action=held + "delete")
        exemptions = f"/{{scope:path}}/{PROVIDER}/policyExemptions"
        read = f"{act}Exemptions/read"
        door.add("GET", exemptions, self._exemptions, scope=scope, action=read, options=("$filter",))
        definitions = f"{PROVIDER}/policyDefinitions"
        for root, where in (("/subscriptions/{subscription}/", "/subscriptions/{subscription}"), ("/", "")):
            action = f"{act}Definitions/read" if where else None
            door.add("GET", root + definitions, self._definitions, scope=where, action=action, options=paged)
            door.add("GET", f"{root}{definitions}/{{name}}", self._definition, scope=where, action=action)

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
        wanted = str(properties.get("policyDefinitionId") or "")
        definition = find_definition(wanted, (it.definition for it in self._state.policies.values()))
        if definition is None:
            text = f"The policy definition '{wanted}' could not be found."
            raise authorization(404, "PolicyDefinitionNotFound", text)
        parameters = properties.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        effect = (parameters.get("effect") or {"value": definition.effects[0]}).get("value")
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
            parameters={key: it for key, it in parameters.items() if key != "effect"},
        )
        self._state.policies[normal(made.id)] = made
        return Reply(201, made.shown(_subscription(scope)), JSON)

    async def _delete(self, _: Call, scope: str, name: str) -> Reply:
        found = self._state.policies.pop(self._key(scope, name), None)
        return Reply(204) if found is None else Reply(200, found.shown(_subscription(scope)), JSON)

    async def _exemptions(self, _call: Call, scope: str) -> Reply:  # noqa: ARG002  # the route's own name
        return Reply(200, {"value": []}, JSON)  # a world has no exemptions

    async def _definitions(self, call: Call, subscription: str = "") -> Reply:
        wanted = call.option("$filter").replace(" ", "").lower()
        if wanted not in {"", "policytypeeq'builtin'", "policytypeeq'custom'", "atexactscope()"}:
            raise not_modelled(f"the filter {call.option('$filter')!r} on policy definitions")
        customs = {it.definition.name: it.definition for it in self._state.policies.values() if it.definition.custom}
        shown = [] if "custom" in wanted else [it.shown(subscription) for it in BUILT_IN]
        if subscription and "builtin" not in wanted:
            shown += [it.shown(subscription) for it in customs.values()]
        return Reply(200, {"value": shown}, JSON)

    async def _definition(self, _: Call, name: str, subscription: str = "") -> Reply:
        customs = (
            [it.definition for it in self._state.policies.values() if it.definition.custom] if subscription else []
        )
        found = find_definition(name, customs)
        if found is None:
            text = f"The policy definition '{name}' could not be found."
            raise authorization(404, "PolicyDefinitionNotFound", text)
        return Reply(200, found.shown(subscription), JSON)
