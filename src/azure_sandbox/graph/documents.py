"""Directory objects as Graph v1.0 shows them. Properties that the sandbox does not model are null."""

from __future__ import annotations

import struct
import uuid
from datetime import UTC, datetime
from typing import Any

from azure_sandbox.entra.directory import Directory, Group, Principal, ServicePrincipal, User
from azure_sandbox.graph.access import Caller

ROOT = "https://graph.microsoft.com/v1.0"
Document = dict[str, Any]


def moment(value: datetime | None) -> str | None:
    """Return a time in the form that Graph uses, in whole seconds; None stays None."""
    return None if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}"


def document(principal: Principal, directory: Directory) -> Document:
    """Return the full document of a principal, without its OData type."""
    match principal:
        case Group():
            return _group(principal)
        case User():
            return _user(principal)
        case ServicePrincipal():
            return _service_principal(principal, directory.tenant.id)


def type_of(principal: Principal) -> str:
    """Return the OData type of a principal, such as `#microsoft.graph.user`."""
    names = {Group: "group", User: "user", ServicePrincipal: "servicePrincipal"}
    return f"#microsoft.graph.{names[type(principal)]}"


def member(principal: Principal, directory: Directory, caller: Caller) -> Document:
    """Return a principal for a collection of mixed types; only its id is set if the caller may not read it."""
    shown = document(principal, directory)
    if not caller.may_see(principal):
        shown = {name: value if name == "id" else None for name, value in shown.items()}
    return {"@odata.type": type_of(principal), **shown}


def _group(group: Group) -> Document:
    return {
        "id": group.id,
        "deletedDateTime": moment(group.deleted_at),
        "classification": None,
        "createdDateTime": moment(group.created_at),
        "creationOptions": [],
        "description": group.description,
        "displayName": group.display_name,
        "expirationDateTime": None,
        "groupTypes": list(group.group_types),
        "isAssignableToRole": True if group.role_assignable else None,
        "mail": None,
        "mailEnabled": group.mail_enabled,
        "mailNickname": group.mail_nickname,
        "membershipRule": None,
        "membershipRuleProcessingState": None,
        "onPremisesDomainName": None,
        "onPremisesLastSyncDateTime": None,
        "onPremisesNetBiosName": None,
        "onPremisesSamAccountName": None,
        "onPremisesSecurityIdentifier": None,
        "onPremisesSyncEnabled": None,
        "preferredDataLocation": None,
        "preferredLanguage": None,
        "proxyAddresses": [],
        "renewedDateTime": moment(group.created_at),
        "resourceBehaviorOptions": [],
        "resourceProvisioningOptions": [],
        "securityEnabled": group.security_enabled,
        "securityIdentifier": _security_identifier(group.id),
        "theme": None,
        "uniqueName": group.unique_name,
        "visibility": "Private" if group.role_assignable else None,
        "onPremisesProvisioningErrors": [],
        "serviceProvisioningErrors": [],
    }


def _user(user: User) -> Document:
    return {
        "id": user.id,
        "accountEnabled": user.enabled,
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": user.display_name.split(" ")[0],
        "jobTitle": None,
        "mail": user.upn,
        "mailNickname": user.upn.partition("@")[0],
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": user.display_name.rpartition(" ")[2],
        "userPrincipalName": user.upn,
        "userType": "Member",
        "securityIdentifier": _security_identifier(user.id),
    }


USER_DEFAULTS = (
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
)


def _service_principal(principal: ServicePrincipal, tenant: str) -> Document:
    return {
        "id": principal.id,
        "deletedDateTime": None,
        "accountEnabled": principal.enabled,
        "addIns": [],
        "alternativeNames": [],
        "appDescription": None,
        "appDisplayName": principal.display_name,
        "appId": principal.app_id,
        "appOwnerOrganizationId": tenant,
        "appRoleAssignmentRequired": False,
        "appRoles": [],
        "applicationTemplateId": None,
        "description": None,
        "disabledByMicrosoftStatus": None,
        "displayName": principal.display_name,
        "homepage": None,
        "info": None,
        "keyCredentials": [],
        "loginUrl": None,
        "logoutUrl": None,
        "notes": None,
        "notificationEmailAddresses": [],
        "oauth2PermissionScopes": [],
        "passwordCredentials": [],
        "preferredSingleSignOnMode": None,
        "preferredTokenSigningKeyThumbprint": None,
        "replyUrls": [],
        "resourceSpecificApplicationPermissions": [],
        "samlSingleSignOnSettings": None,
        "servicePrincipalNames": [principal.app_id],
        "servicePrincipalType": "Application",
        "signInAudience": "AzureADMyOrg",
        "tags": [],
        "tokenEncryptionKeyId": None,
        "verifiedPublisher": None,
    }


def _security_identifier(object_id: str) -> str:
    parts = struct.unpack("<4I", uuid.UUID(object_id).bytes_le)
    return "S-1-12-1-" + "-".join(str(part) for part in parts)


_LONG_AGO, _NOBODY = datetime(2020, 1, 1, tzinfo=UTC), str(uuid.UUID(int=0))
GROUP_PROPERTIES = frozenset(
    _group(Group(id=_NOBODY, display_name="", mail_nickname="", created_at=_LONG_AGO, visible_at=_LONG_AGO))
)
USER_PROPERTIES = frozenset(_user(User(id=_NOBODY, upn="", display_name="")))
SERVICE_PRINCIPAL_PROPERTIES = frozenset(
    _service_principal(ServicePrincipal(id=_NOBODY, app_id=_NOBODY, display_name=""), _NOBODY)
)
