"""Check and complete a Conditional Access policy. A condition that the sandbox cannot enforce is refused.

Sources: Graph's conditionalAccessPolicy page; the captured refusals in entra-wire-facts, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure_sandbox.entra.conditional import REPORT_ONLY, Policy
from azure_sandbox.graph import errors

STATES = ("enabled", "disabled", REPORT_ONLY)
CONTROLS = {"block", "mfa", "compliantDevice", "domainJoinedDevice"}
_OTHER_CONTROLS = {"approvedApplication", "compliantApplication", "passwordChange", "riskRemediation"}
_CLIENTS = {"all", "browser", "mobileAppsAndDesktopClients", "exchangeActiveSync", "easSupported", "other"}
_PLATFORMS = {"all", "android", "iOS", "windows", "windowsPhone", "macOS", "linux"}
_RISKS = {"low", "medium", "high", "none"}
_USERS = ("Users", "Groups", "Roles")
_LISTS: dict[str, tuple[str, ...]] = {
    "users": tuple(f"{side}{noun}" for noun in _USERS for side in ("include", "exclude")),
    "applications": (
        "includeApplications",
        "excludeApplications",
        "includeUserActions",
        "includeAuthenticationContextClassReferences",
    ),
    "platforms": ("includePlatforms", "excludePlatforms"),
    "locations": ("includeLocations", "excludeLocations"),
}
_NULLS: dict[str, tuple[str, ...]] = {
    "users": ("includeGuestsOrExternalUsers", "excludeGuestsOrExternalUsers"),
    "applications": ("applicationFilter",),
}
_RISK_LISTS = ("userRiskLevels", "signInRiskLevels")
_UNMODELLED = ("devices", "clientApplications", "insiderRiskLevels", "agentIdRiskLevels")
_TOP = {"displayName", "state", "conditions", "grantControls", "sessionControls"}
_READ_ONLY = {"id", "createdDateTime", "modifiedDateTime", "templateId", "@odata.context", "@odata.type"}


def completed(body: Mapping[str, Any]) -> Policy:
    """Return the whole policy for a create body.

    Raises 400 where Graph refuses the body, and 501 where the sandbox cannot enforce it.
    """
    if unknown := sorted(set(body) - _TOP - _READ_ONLY):
        raise _bad(f"Invalid property '{unknown[0]}'.")
    if not isinstance(body.get("displayName"), str) or not body["displayName"].strip():
        raise _bad("1004: Policy name is missing.")
    if body.get("state") not in STATES:
        raise _bad(f"Invalid value for state: {body.get('state')!r}; expected one of {', '.join(STATES)}.")
    if body.get("sessionControls"):
        raise errors.not_modelled("sessionControls in a Conditional Access policy")
    grant = body.get("grantControls")
    if grant is None:
        raise _bad("1007: The policy is missing grant and session controls.")
    return {
        "templateId": None,
        "displayName": body["displayName"],
        "createdDateTime": None,
        "modifiedDateTime": None,
        "state": body["state"],
        "sessionControls": None,
        "conditions": _conditions(body.get("conditions")),
        "grantControls": _grant(grant),
    }


def _conditions(given: object) -> dict[str, Any]:
    found = _object(given, "conditions")
    for name in (*_UNMODELLED, "servicePrincipalRiskLevels"):
        if found.get(name):
            raise errors.not_modelled(f"the condition {name!r} in a Conditional Access policy")
    known = {*_LISTS, *_RISK_LISTS, *_UNMODELLED, "clientAppTypes", "authenticationFlows", "servicePrincipalRiskLevels"}
    if unknown := sorted(set(found) - known - {"@odata.type"}):
        raise _bad(f"Invalid property '{unknown[0]}'.")
    conditions: dict[str, Any] = dict.fromkeys((*_UNMODELLED[:3], "authenticationFlows"))
    conditions["clientAppTypes"] = _strings(found.get("clientAppTypes") or ["all"], "clientAppTypes", _CLIENTS)
    for name in _RISK_LISTS:
        conditions[name] = _strings(found.get(name) or [], name, _RISKS)
    conditions["servicePrincipalRiskLevels"] = []
    for name in ("users", "applications"):
        conditions[name] = _lists(found.get(name), name)
    for name in ("platforms", "locations"):
        conditions[name] = None if found.get(name) is None else _lists(found[name], name)
    _must_meet_something(conditions)
    conditions["authenticationFlows"] = _flows(found.get("authenticationFlows"))
    return conditions


def _must_meet_something(conditions: Mapping[str, Any]) -> None:
    if not any(conditions["users"][f"include{noun}"] for noun in _USERS):
        raise _bad("1011: Policy must include at least one user, group or role.")
    applications = conditions["applications"]
    if applications["includeUserActions"] or applications["includeAuthenticationContextClassReferences"]:
        raise errors.not_modelled("user actions and authentication contexts in a Conditional Access policy")
    if not applications["includeApplications"]:
        raise _bad("1012: Policy must include at least one application.")
    if conditions["platforms"] is not None:
        _strings(conditions["platforms"]["includePlatforms"], "includePlatforms", _PLATFORMS)


def _flows(given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    methods = _object(given, "authenticationFlows").get("transferMethods")
    if methods != "deviceCodeFlow":
        raise errors.not_modelled(f"transferMethods {methods!r}: the sandbox knows deviceCodeFlow")
    return {"transferMethods": methods}


def _lists(given: object, name: str) -> dict[str, Any]:
    found = _object(given, name)
    if unknown := sorted(set(found) - {*_LISTS[name], *_NULLS.get(name, ()), "@odata.type"}):
        raise _bad(f"Invalid property '{unknown[0]}'.")
    for null in _NULLS.get(name, ()):
        if found.get(null) is not None:
            raise errors.not_modelled(f"{null} in a Conditional Access policy")
    if "GuestsOrExternalUsers" in (found.get("includeUsers") or ()):
        raise errors.not_modelled("GuestsOrExternalUsers in a Conditional Access policy")
    lists: dict[str, Any] = {it: _strings(found.get(it) or [], it) for it in _LISTS[name]}
    return lists | dict.fromkeys(_NULLS.get(name, ()))


def _grant(given: object) -> dict[str, Any]:
    found = _object(given, "grantControls")
    for name in ("customAuthenticationFactors", "termsOfUse", "authenticationStrength"):
        if found.get(name):
            raise errors.not_modelled(f"{name} in a Conditional Access policy")
    controls = _strings(found.get("builtInControls") or [], "builtInControls", CONTROLS | _OTHER_CONTROLS)
    if other := sorted(_OTHER_CONTROLS & set(controls)):
        raise errors.not_modelled(f"the control {other[0]!r} in a Conditional Access policy")
    if not controls:
        raise _bad("1007: The policy is missing grant and session controls.")
    if found.get("operator") not in {"AND", "OR"}:
        raise _bad("Invalid value for operator; expected AND or OR.")
    if "block" in controls and len(controls) > 1:
        raise _bad("1016: Policy cannot combine block with other grant controls.")
    return {
        "operator": found["operator"],
        "builtInControls": controls,
        "customAuthenticationFactors": [],
        "termsOfUse": [],
        "authenticationStrength": None,
    }


def _object(given: object, name: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _bad(f"Invalid value for '{name}': an object is expected.")
    return given


def _strings(given: object, name: str, allowed: set[str] | None = None) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(it, str) for it in given):
        raise _bad(f"Invalid value for '{name}': a list of strings is expected.")
    if allowed is not None and (wrong := sorted(set(given) - allowed)):
        raise _bad(f"Invalid value for '{name}': {wrong[0]!r}.")
    return list(given)


def _bad(message: str) -> Exception:
    return errors.problem(400, "BadRequest", message)
