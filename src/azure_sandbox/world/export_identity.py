"""Export a directory: applications, users, groups with PIM schedules and rules, Conditional Access.

PIM requests and the sign-in log are not exported: they are history, not state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from azure_sandbox.entra import pim_rules, roles
from azure_sandbox.entra.conditional import REPORT_ONLY
from azure_sandbox.entra.directory import Directory, Group, ServicePrincipal, User
from azure_sandbox.entra.pim_state import Access, Schedule
from azure_sandbox.entra.tokens import AKS_SERVER_APP_ID

Document = dict[str, Any]
STATES = {REPORT_ONLY: "reportOnly"}


def identities(directory: Directory) -> Document:
    """Return the keys of a world document about identities."""
    applications = [(it, directory.secrets_of(it)) for it in directory.service_principals()]
    return {
        "servicePrincipals": [
            _application(it, *secrets) for it, secrets in applications if it.app_id != AKS_SERVER_APP_ID
        ],
        "users": [_user(it) for it in directory.users()],
        "groups": [_group(it, directory) for it in directory.every_group()],
        "licences": sorted(directory.licences),
        "securityDefaults": directory.security_defaults,
        "issuers": [
            {"issuer": key, "keys": [_pem(it) for it in held["keys"]]} for key, held in directory.issuers.items()
        ],
        "namedLocations": [_location(it) for it in directory.conditional.locations.values()],
        "conditionalAccess": [
            {"name": it["displayName"], "id": key, "document": it} for key, it in directory.conditional.policies.items()
        ],
    }


def _pem(key: Document) -> str:
    public: Any = jwt.PyJWK(key).key
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def _location(it: Document) -> Document:
    return {
        "name": it["displayName"],
        "id": it["id"],
        "ranges": [one["cidrAddress"] for one in it.get("ipRanges") or ()],
        "countries": list(it.get("countriesAndRegions") or ()),
        "trusted": bool(it.get("isTrusted", False)),
    }


def _names(ids: Iterable[str]) -> list[str]:
    wanted = set(ids)
    return sorted(name for name, template in roles.ROLES.items() if template in wanted)


def _application(it: ServicePrincipal, valid: list[str], expired: list[str]) -> Document:
    secret = next(iter((*valid, *expired)), None)
    return {
        "name": it.display_name,
        "id": it.id,
        "appId": it.app_id,
        "secret": secret,
        "secretExpired": not valid and bool(expired),
        "enabled": it.enabled,
        "certificates": [
            x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM).decode() for one in it.certificates
        ],
        "graphPermissions": sorted(it.graph_permissions),
        "roles": _names(it.roles),
        "publicClient": it.public,
        "delegatedPermissions": sorted(it.delegated),
        "redirectUris": list(it.redirects),
        "tokenVersion": it.token_version,
        "groupMembershipClaims": "SecurityGroup" if it.group_claims else None,
        "federatedCredentials": [
            {"name": one.name, "issuer": one.issuer, "subject": one.subject, "audience": one.audience}
            for one in it.federated
        ],
    }


def _user(it: User) -> Document:
    return {
        "name": it.display_name,
        "upn": it.upn,
        "id": it.id,
        "password": it.password,
        "enabled": it.enabled,
        "mfa": it.mfa,
        "device": it.device,
        "ip": it.ip,
        "roles": _names(it.roles),
    }


def _group(it: Group, directory: Directory) -> Document:
    now = directory.clock.now()
    schedules = [one for one in directory.pim.schedules.values() if one.group == it.id and not one.over(now)]
    return {
        "name": it.display_name,
        "id": it.id,
        "uniqueName": it.unique_name,
        "mailNickname": it.mail_nickname,
        "description": it.description,
        "securityEnabled": it.security_enabled,
        "mailEnabled": it.mail_enabled,
        "groupTypes": list(it.group_types),
        "roleAssignable": it.role_assignable,
        "members": sorted(it.members),
        "owners": sorted(it.owners),
        "deleted": it.deleted_at,
        "eligible": [_timed(one) for one in schedules if one.kind == "eligibility"],
        "active": [_timed(one) for one in schedules if one.kind == "assignment"],
        "activation": [found for access in ("member", "owner") if (found := _rules(it, access, directory))],
    }


def _timed(it: Schedule) -> Document:
    return {"principal": it.principal, "access": it.access, "start": it.start, "end": it.end}


def _rules(group: Group, access: Access, directory: Directory) -> Document | None:
    rules = directory.pim.rules.get((group.id, access))
    if rules is None or rules == pim_rules.defaults():
        return None
    approval = rules["Approval_EndUser_Assignment"]["setting"]
    stages = approval.get("approvalStages") or [{}] if approval.get("isApprovalRequired") else [{}]
    approvers = [one.get("userId") or one.get("groupId") for one in stages[0].get("primaryApprovers") or ()]
    return {
        "access": access,
        "maximumDuration": rules["Expiration_EndUser_Assignment"]["maximumDuration"],
        "require": list(rules["Enablement_EndUser_Assignment"]["enabledRules"]),
        "approvers": approvers,
        "permanentEligibility": not rules["Expiration_Admin_Eligibility"]["isExpirationRequired"],
        "permanentAssignment": not rules["Expiration_Admin_Assignment"]["isExpirationRequired"],
    }
