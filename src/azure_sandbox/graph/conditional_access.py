"""The routes of Conditional Access: policies, named locations, and what-if.

Sources: Graph's conditionalAccessRoot pages; entra-wire-facts, section 3.3 for the refusals and section 3.2 for the
three permissions that a write needs. After a write, reads see the old state until the replication delay has passed.
"""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

from azure_sandbox.entra.clients import PREAUTHORIZED
from azure_sandbox.entra.conditional import ARM_APP_ID, MOST_POLICIES, Attempt, Policy
from azure_sandbox.entra.directory import Directory, User
from azure_sandbox.entra.tokens import GRAPH_APP_ID
from azure_sandbox.front.http import Problem, Reply
from azure_sandbox.graph import access, errors, query
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import ROOT
from azure_sandbox.graph.moments import moment
from azure_sandbox.graph.policies import completed
from azure_sandbox.graph.stale import Stale

BASE = "/identity/conditionalAccess"
CONTEXT = "identity/conditionalAccess/policies"
_PROPERTIES = (
    *("id", "displayName", "state", "createdDateTime", "modifiedDateTime", "templateId"),
    *("conditions", "grantControls", "sessionControls"),
)
_SPECIAL = {"All", "None", "Office365", "MicrosoftAdminPortals", ARM_APP_ID}
_SCOPES = "You cannot perform the requested operation, required scopes are missing in the token."
_UNLICENSED = "Your tenant is not licensed for this feature. Please upgrade your subscription to access it."
_DEFAULTS = (
    "Security Defaults is enabled in the tenant. You must disable Security defaults before enabling a Conditional "
    "Access policy."
)


class Policies:
    """The handlers, with the old values that reads still see after a write."""

    def __init__(self, directory: Directory) -> None:
        self._conditional = directory.conditional
        self._stale: Stale[Policy] = Stale(directory.clock, directory.replication)

    async def listing(self, call: Call) -> Reply:
        """GET /identity/conditionalAccess/policies."""
        _may_read(call)
        return query.page(call.request, self._stale.view(self._conditional.policies).values(), CONTEXT, _PROPERTIES)

    async def read(self, call: Call, policy_id: str) -> Reply:
        """GET …/policies/{id}."""
        _may_read(call)
        found = self._stale.view(self._conditional.policies).get(policy_id.lower())
        if found is None:
            raise _unknown(policy_id)
        return query.entity(call.request, found, CONTEXT)

    async def create(self, call: Call) -> Reply:
        """POST …/policies."""
        _may_write(call)
        document = completed(call.json())
        _check(call, document)
        if len(self._conditional.policies) >= MOST_POLICIES:
            raise errors.problem(400, "BadRequest", f"1106: The limit of {MOST_POLICIES} policies has been reached.")
        made = {"id": str(uuid.uuid4()), **document, "createdDateTime": moment(call.request.now)}
        self._stale.write(self._conditional.policies, made["id"], made)
        return Reply(201, {"@odata.context": f"{ROOT}/$metadata#{CONTEXT}/$entity", **made})

    async def update(self, call: Call, policy_id: str) -> Reply:
        """PATCH …/policies/{id}. Answers 204."""
        _may_write(call)
        present = self._conditional.policies.get(policy_id.lower())
        if present is None:
            raise _unknown(policy_id)
        body = call.json()
        merged: dict[str, Any] = {**present, **body}
        merged["conditions"] = _merged(present["conditions"], body.get("conditions", {}))
        document = completed(merged)
        _check(call, document)
        kept = {name: present[name] for name in ("id", "createdDateTime", "templateId")}
        changed = {**document, **kept, "modifiedDateTime": moment(call.request.now)}
        self._stale.write(self._conditional.policies, present["id"], changed)
        return Reply(204)

    async def delete(self, call: Call, policy_id: str) -> Reply:
        """DELETE …/policies/{id}. Answers 204."""
        _may_write(call)
        if policy_id.lower() not in self._conditional.policies:
            raise _unknown(policy_id)
        self._stale.write(self._conditional.policies, policy_id.lower(), None)
        return Reply(204)

    async def evaluate(self, call: Call) -> Reply:
        """POST …/evaluate, which is what-if."""
        _may_read(call)
        body = call.json()
        attempt = _attempt(call, body)
        results = [
            {**it.policy, "policyApplies": applies, "analysisReasons": reason}
            for it in self._conditional.evaluate(attempt)
            for reason in [("policyNotEnabled" if it.policy["state"] == "disabled" else it.reason) or "notSet"]
            for applies in [reason == "notSet"]
            if applies or not body.get("appliedPoliciesOnly")
        ]
        context = f"{ROOT}/$metadata#Collection(microsoft.graph.whatIfAnalysisResult)"
        return Reply(body={"@odata.context": context, "value": results})

    async def locations(self, call: Call) -> Reply:
        """GET …/namedLocations."""
        _may_read(call)
        places = self._conditional.locations.values()
        return query.page(call.request, places, "conditionalAccess/namedLocations", ("id", "displayName", "isTrusted"))

    async def location(self, call: Call, location_id: str) -> Reply:
        """GET …/namedLocations/{id}."""
        _may_read(call)
        found = self._conditional.locations.get(location_id)
        if found is None:
            raise errors.problem(404, "NotFound", f"1040: The named location {location_id} could not be found.")
        return query.entity(call.request, found, "conditionalAccess/namedLocations")

    async def create_location(self, call: Call) -> Reply:
        """POST …/namedLocations, for IP ranges only."""
        _may_write(call)
        body = call.json()
        if body.get("@odata.type") != "#microsoft.graph.ipNamedLocation":
            raise errors.not_modelled(f"creating a named location of type {body.get('@odata.type')!r}")
        ranges = body.get("ipRanges")
        try:
            if not ranges or not isinstance(body["displayName"], str):
                raise ValueError  # noqa: TRY301  # one refusal for everything that is wrong here
            for it in ranges:
                ipaddress.ip_network(it["cidrAddress"])
        except (KeyError, TypeError, ValueError) as error:
            raise errors.problem(400, "BadRequest", "1042: The named location is not valid.") from error
        made = {
            "@odata.type": body["@odata.type"],
            "id": str(uuid.uuid4()),
            "displayName": body["displayName"],
            "createdDateTime": moment(call.request.now),
            "modifiedDateTime": None,
            "isTrusted": bool(body.get("isTrusted")),
            "ipRanges": ranges,
        }
        self._conditional.locations[str(made["id"])] = made
        return Reply(201, {"@odata.context": f"{ROOT}/$metadata#conditionalAccess/namedLocations/$entity", **made})


def _may_read(call: Call) -> None:
    _licensed(call)
    if not call.caller.holds(access.READ_POLICIES):
        raise errors.problem(403, "AccessDenied", _SCOPES)


def _may_write(call: Call) -> None:
    _licensed(call)
    caller = call.caller
    needed = (frozenset({"Policy.Read.All"}), access.WRITE_POLICIES, access.READ_APPLICATIONS)
    if not all(caller.holds(it) for it in needed):
        raise errors.problem(403, "AccessDenied", _SCOPES)


def _licensed(call: Call) -> None:
    if "P1" not in call.directory.licences:
        raise errors.problem(403, "AccessDenied", _UNLICENSED)


def _unknown(policy_id: str) -> Problem:
    return errors.problem(404, "ResourceNotFound", f"1040: The policy {policy_id} could not be found.")


def _merged(present: dict[str, Any], given: object) -> dict[str, Any]:
    """Return the conditions after a PATCH, which replaces only the properties that it names."""
    return {**present, **given} if isinstance(given, dict) else present


def _check(call: Call, policy: Policy) -> None:
    directory, conditions = call.directory, policy["conditions"]
    if policy["state"] == "enabled" and directory.security_defaults:
        raise errors.problem(400, "BadRequest", _DEFAULTS)
    if any(conditions[name] for name in ("userRiskLevels", "signInRiskLevels")) and "P2" not in directory.licences:
        words = "1039: Cannot create or update policies with premium P2 features. Upgrade to a premium P2 license and"
        raise errors.problem(400, "BadRequest", f"{words} try again.")
    named = {*conditions["applications"]["includeApplications"], *conditions["applications"]["excludeApplications"]}
    wrong = {app: why for app in sorted(named - _SPECIAL) if (why := _invalid(app, directory))}
    if wrong:
        listed = ",".join(f'"{app}":"{why}"' for app, why in wrong.items())
        raise _malformed(f"1034: Policy contains invalid applications: {{{listed}}}")
    for kind, known in (("User", "Users"), ("Group", "Groups")):
        for object_id in (*conditions["users"][f"include{known}"], *conditions["users"][f"exclude{known}"]):
            if object_id not in {"All", "None"} and directory.kind_of(object_id) != kind:
                raise _malformed(f"1020: Policy contains invalid {kind.lower()}s: {object_id}")
    places = conditions["locations"] or {"includeLocations": [], "excludeLocations": []}
    for place in (*places["includeLocations"], *places["excludeLocations"]):
        if place not in {"All", "AllTrusted"} and place not in directory.conditional.locations:
            raise _malformed(f"1040: NamedLocation with id {place} does not exist in the directory.")


def _invalid(app: str, directory: Directory) -> str | None:
    if app.lower() in PREAUTHORIZED:
        return "PublicClientsAreUnsupported"
    if app.lower() == GRAPH_APP_ID:
        return "UnsupportedFirstPartyApplication"
    return "ServicePrincipalNotFound" if directory.application(app) is None else None


def _malformed(inner: str) -> Problem:
    words = "The server could not process the request because it is malformed or incorrect."
    return Problem(400, {"error": {"code": "BadRequest", "message": words, "innerError": {"message": inner}}})


def _attempt(call: Call, body: dict[str, Any]) -> Attempt:
    identity, context = body.get("signInIdentity") or {}, body.get("signInContext") or {}
    if identity.get("@odata.type", "#microsoft.graph.userSignIn") != "#microsoft.graph.userSignIn":
        raise errors.not_modelled(f"what-if for {identity.get('@odata.type')}")
    user = call.directory.principal(str(identity.get("userId")))
    if not isinstance(user, User):
        raise errors.problem(400, "BadRequest", "1020: signInIdentity.userId names no user.")
    applications = context.get("includeApplications") or []
    if context.get("includeUserActions") or context.get("authenticationContext") or len(applications) != 1:
        raise errors.not_modelled("what-if for anything but one application")
    given = body.get("signInConditions") or {}
    device = (given.get("deviceInfo") or {}).get("isCompliant")
    flow = (given.get("authenticationFlow") or {}).get("transferMethod")
    return Attempt(
        user=user.id,
        groups=call.directory.memberships(user.id),
        roles=user.roles,
        resource=str(applications[0]),
        client=given.get("clientAppType"),
        flow=flow,
        device=None if device is None else "compliant" if device else "none",
        ip=given.get("ipAddress"),
        platform=given.get("devicePlatform"),
        country=given.get("country"),
        risks=(given.get("userRiskLevel", "none"), given.get("signInRiskLevel", "none")),
    )
