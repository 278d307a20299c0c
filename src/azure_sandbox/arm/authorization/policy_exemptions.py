"""The routes of policy exemptions."""

from __future__ import annotations

import datetime as dt
from typing import Any

from azure_sandbox.arm.authorization.access import covers, normal
from azure_sandbox.arm.authorization.policies import PolicyExemption
from azure_sandbox.arm.authorization.role_assignments import JSON, PROVIDER
from azure_sandbox.arm.errors import authorization, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
EXEMPT = "Microsoft.Authorization/policyAssignments/exempt/action"
CATEGORIES = ("Waiver", "Mitigated")
KNOWN = frozenset({"policyAssignmentId", "exemptionCategory", "expiresOn", "displayName", "description", "metadata"})
VALIDATIONS = (None, "Default", "DoNotValidate")  # `assignmentScopeValidation`, which az always sends


class PolicyExemptionRoutes:
    """Write, read, list and delete exemptions of subscriptions, resource groups and clusters."""

    def __init__(self, door: FrontDoor) -> None:
        self._state = door.state
        self._door = door
        right, scope = "Microsoft.Authorization/policyExemptions/", "/{scope}"
        all_of = f"/{{scope:path}}/{PROVIDER}/policyExemptions"
        one = all_of + "/{name}"
        door.add("GET", all_of, self._list, scope=scope, action=right + "read", options=("$filter",))
        door.add("GET", one, self._get, scope=scope, action=right + "read")
        door.add("PUT", one, self._put, scope=scope, action=right + "write")
        door.add("DELETE", one, self._delete, scope=scope, action=right + "delete")

    async def _list(self, call: Call, scope: str) -> Reply:
        if call.option("$filter").replace(" ", "").lower() not in {"", "atscope()"}:
            raise not_modelled(f"the filter {call.option('$filter')!r} on policy exemptions")
        at, above_only = f"/{scope}", bool(call.option("$filter"))
        held = self._state.exemptions.values()
        found = [it for it in held if covers(it.scope, at) or (not above_only and covers(at, it.scope))]
        return Reply(200, {"value": [it.shown() for it in found]}, JSON)

    async def _get(self, _: Call, scope: str, name: str) -> Reply:
        found = self._state.exemptions.get(self._key(scope, name))
        if found is None:
            raise authorization(404, "PolicyExemptionNotFound", f"The policy exemption '{name}' is not found.")
        return Reply(200, found.shown(), JSON)

    async def _put(self, call: Call, scope: str, name: str) -> Reply:
        properties = call.request.json().get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if properties.get("assignmentScopeValidation") not in VALIDATIONS:
            text = "The assignment scope validation must be one of Default, DoNotValidate."
            raise authorization(400, "InvalidPolicyExemption", text)
        if unknown := sorted(set(properties) - KNOWN - {"assignmentScopeValidation"}):
            raise not_modelled(f"{', '.join(unknown)} of a policy exemption")
        if properties.get("exemptionCategory") not in CATEGORIES:
            text = f"The exemption category must be one of {', '.join(CATEGORIES)}."
            raise authorization(400, "InvalidPolicyExemption", text)
        wanted = str(properties.get("policyAssignmentId") or "")
        assignment = self._state.policies.get(normal(wanted))
        if assignment is None:
            raise authorization(404, "PolicyAssignmentNotFound", f"The policy assignment '{wanted}' is not found.")
        self._door.require_linked(call, "Microsoft.Authorization/policyExemptions/write", [(EXEMPT, assignment.id)])
        until = properties.get("expiresOn")
        try:
            end = None if until is None else dt.datetime.fromisoformat(str(until))
        except ValueError:
            text = f"The value '{until}' of expiresOn is not a date."
            raise authorization(400, "InvalidPolicyExemption", text) from None
        if end is not None and end.tzinfo is None:
            end = end.replace(tzinfo=dt.UTC)
        before = self._state.exemptions.get(self._key(scope, name))
        since = self._door.clock.after(self._state.policy_delay)
        if before is not None and normal(before.assignment) == normal(wanted):
            since = before.since or since
        made = PolicyExemption(
            scope=f"/{scope}", name=name, assignment=wanted, until=end, properties={**properties}, since=since
        )
        self._state.exemptions[normal(made.id)] = made
        return Reply(201 if before is None else 200, made.shown(), JSON)

    async def _delete(self, _: Call, scope: str, name: str) -> Reply:
        found = self._state.exemptions.pop(self._key(scope, name), None)
        return Reply(204) if found is None else Reply(200, found.shown(), JSON)

    def _key(self, scope: str, name: str) -> str:
        return normal(f"/{scope}/{PROVIDER}/policyExemptions/{name}")
