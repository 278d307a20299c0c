"""Directory objects as Graph v1.0 shows them. Properties that the sandbox does not model are null."""

from __future__ import annotations

import struct
import uuid
from datetime import UTC, datetime
from typing import Any

from azure_sandbox.entra.directory import Directory, Group, Principal, ServicePrincipal, User
from azure_sandbox.graph.access import Caller
from azure_sandbox.graph.credential_documents import keys_shown, passwords_shown
from azure_sandbox.graph.moments import moment
from azure_sandbox.graph.properties import GROUP_SELECTABLE, NO_INFO, NOT_VERIFIED, USER_DEFAULTS, USER_SELECTABLE

ROOT = "https://graph.microsoft.com/v1.0"
MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"  # the tenant that owns Microsoft's applications
Document = dict[str, Any]


def location(directory: Directory, object_id: str, kind: str) -> dict[str, str]:
    """Return the header with the address of a new object (recorded): it has another version and names the tenant."""
    tenant = directory.tenant.id
    place = f"https://graph.microsoft.com/v2/{tenant}/directoryObjects/{object_id}/Microsoft.DirectoryServices.{kind}"
    return {"Location": place}


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
        **GROUP_SELECTABLE,
    }


def _user(user: User) -> Document:
    return {
        **USER_SELECTABLE,
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
        "createdDateTime": moment(user.created_at),
        "securityIdentifier": _security_identifier(user.id),
        **user.more,
    }


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
        "appOwnerOrganizationId": MICROSOFT if principal.first_party else tenant,
        "appRoleAssignmentRequired": False,
        "appRoles": [],
        "applicationTemplateId": None,
        "createdDateTime": moment(principal.created_at),
        "description": None,
        "disabledByMicrosoftStatus": None,
        "displayName": principal.display_name,
        "homepage": None,
        "info": NO_INFO,
        "keyCredentials": keys_shown(principal),
        "loginUrl": None,
        "logoutUrl": None,
        "notes": None,
        "notificationEmailAddresses": [],
        "oauth2PermissionScopes": [],
        "passwordCredentials": passwords_shown(principal),
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
        "verifiedPublisher": NOT_VERIFIED,
        **principal.more,
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
DEFAULTS = {  # by type, what a collection of mixed types shows without `$select`
    "#microsoft.graph.user": frozenset(USER_DEFAULTS),
    "#microsoft.graph.group": GROUP_PROPERTIES - set(GROUP_SELECTABLE),
    "#microsoft.graph.servicePrincipal": SERVICE_PRINCIPAL_PROPERTIES,
}
GROUP_DEFAULTS = DEFAULTS["#microsoft.graph.group"]
USER_DEFAULTS_OF_DELETED = frozenset(USER_DEFAULTS) | {"deletedDateTime"}
