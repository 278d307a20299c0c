"""The routes of auditLogs/signIns: the interactive sign-ins of users, newest first.

The results of policies are left out if the caller may not read policies. Sources: Graph's signIn page and the comments
in its SDK (filterable properties), signins-roles-for-ca-data (the omission), appliedConditionalAccessPolicy (`Prefer`),
known-issues (no licence).
"""

from __future__ import annotations

from typing import Any

from azure_sandbox.entra.conditional import Applied
from azure_sandbox.entra.directory import Directory, Tenant
from azure_sandbox.entra.sign_ins import SignIn
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import access, errors, query
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import Document
from azure_sandbox.graph.moments import moment

CONTEXT = "auditLogs/signIns"
LARGEST_PAGE = 1000
_FILTERABLE = (
    *("appId", "appDisplayName", "resourceId", "resourceDisplayName", "userId", "userPrincipalName"),
    *("userDisplayName", "conditionalAccessStatus", "correlationId", "createdDateTime", "status/errorCode"),
    *("ipAddress", "clientAppUsed", "id"),
)
_UNLICENSED = "Neither tenant is B2C or tenant doesn't have premium license"
_SEE_POLICIES = access.READ_POLICIES | access.WRITE_POLICIES


async def listing(call: Call) -> Reply:
    """GET /auditLogs/signIns."""
    _may_read(call)
    newest = [_document(call, it) for it in reversed(call.directory.sign_ins.entries)]
    return query.page(call.request, newest, CONTEXT, _FILTERABLE, largest=LARGEST_PAGE, size=LARGEST_PAGE)


async def read(call: Call, sign_in_id: str) -> Reply:
    """GET /auditLogs/signIns/{id}."""
    _may_read(call)
    found = next((it for it in call.directory.sign_ins.entries if it.id == sign_in_id), None)
    if found is None:
        raise errors.not_found(sign_in_id)
    return query.entity(call.request, _document(call, found), CONTEXT)


def _may_read(call: Call) -> None:
    if "P1" not in call.directory.licences:
        raise errors.problem(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", _UNLICENSED)
    directory = call.caller.may_read(access.READ_DIRECTORY)
    if not (call.caller.holds(access.READ_SIGN_INS) and directory):
        words = "Calling principal does not have required MSGraph permissions AuditLog.Read.All"
        raise errors.problem(403, "Authentication_MSGraphPermissionMissing", words)


def _document(call: Call, entry: SignIn) -> Document:
    shown = _shown(entry, call.directory, call.directory.tenant)
    if call.caller.holds(_SEE_POLICIES):
        prefer = {it.strip().lower() for it in call.request.headers.get("Prefer", "").split(",")}
        full = "include-unknown-enum-members" in prefer
        pairs = zip(entry.applied, entry.results, strict=True)
        shown["appliedConditionalAccessPolicies"] = [_applied(it, result, full=full) for it, result in pairs]
    return shown


def _applied(applied: Applied, result: str, *, full: bool) -> Document:
    controls = applied.policy["grantControls"]["builtInControls"] if applied.policy["grantControls"] else []
    return {
        "id": applied.policy["id"],
        "displayName": applied.policy["displayName"],
        "enforcedGrantControls": [_CONTROLS.get(it, it) for it in controls],
        "enforcedSessionControls": [],
        "result": result if full or not result.startswith("reportOnly") else "unknownFutureValue",
    }


_CONTROLS = {"mfa": "Mfa", "block": "Block", "compliantDevice": "RequireCompliantDevice"}


def _shown(entry: SignIn, directory: Directory, tenant: Tenant) -> dict[str, Any]:
    device = entry.attempt.device
    return {
        "id": entry.id,
        "createdDateTime": moment(entry.at),
        "userDisplayName": entry.user.display_name,
        "userPrincipalName": entry.user.upn.lower(),
        "userId": entry.user.id,
        "appId": entry.client_id,
        "appDisplayName": entry.client_name,
        "ipAddress": entry.attempt.ip,
        "clientAppUsed": "Mobile Apps and Desktop clients",
        "correlationId": entry.correlation,
        "conditionalAccessStatus": entry.conditional_access,
        "isInteractive": True,
        "riskDetail": "none",
        "riskLevelAggregated": "none",
        "riskLevelDuringSignIn": "none",
        "riskState": "none",
        "riskEventTypes": [],
        "riskEventTypes_v2": [],
        "resourceDisplayName": entry.resource_name,
        "resourceId": entry.resource_id,
        "homeTenantId": tenant.id,
        "resourceTenantId": directory.tenant.id,
        "status": {"errorCode": entry.code, "failureReason": entry.failure or "Other.", "additionalDetails": None},
        "deviceDetail": {
            "deviceId": "",
            "displayName": "",
            "operatingSystem": "",
            "browser": "",
            "isCompliant": device == "compliant",
            "isManaged": device != "none",
            "trustType": "Hybrid Azure AD joined" if device == "joined" else "",
        },
        "location": {"city": "", "state": "", "countryOrRegion": "", "geoCoordinates": {}},
    }
