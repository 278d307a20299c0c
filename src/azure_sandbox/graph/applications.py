"""The routes of applications (registrations) and the writes of service principals, with their owners and credentials.

Sources: recorded (az ad sp create-for-rbac, 2022), Graph's application and servicePrincipal pages.
"""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from azure_sandbox.entra.asked import NAMES
from azure_sandbox.entra.directory import Application, ServicePrincipal, User
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import access, credentials, errors, query
from azure_sandbox.graph.call import Call, referenced
from azure_sandbox.graph.credential_documents import keys_shown, passwords_shown
from azure_sandbox.graph.documents import ROOT, Document, document, location, member
from azure_sandbox.graph.moments import moment
from azure_sandbox.graph.properties import (
    APPLICATION,
    APPLICATION_PROPERTIES,
    APPLICATION_WRITABLE,
    NOT_MODELLED,
    SERVICE_PRINCIPAL_WRITABLE,
)

LONGEST_NAME = 256
Owned = Application | ServicePrincipal
It = TypeVar("It", Application, ServicePrincipal)


# -- applications


async def listing(call: Call) -> Reply:
    """GET /applications."""
    call.caller.must_read(access.READ_APPLICATIONS)
    shown = [shown_application(call, it) for it in call.directory.registrations()]
    return query.page(call.request, shown, "applications", APPLICATION_PROPERTIES, searches=("displayName",))


async def read(call: Call, object_id: str) -> Reply:
    """GET /applications/{id}."""
    call.caller.must_read(access.READ_APPLICATIONS)
    return query.entity(call.request, shown_application(call, _application(call, object_id)), "applications")


async def read_by_app_id(call: Call, app_id: str) -> Reply:
    """GET /applications(appId='…')."""
    call.caller.must_read(access.READ_APPLICATIONS)
    found = call.directory.registration(app_id)
    if found is None or found.app_id.lower() != app_id.lower():
        raise errors.not_found(app_id)
    return query.entity(call.request, shown_application(call, found), "applications")


async def create(call: Call) -> Reply:
    """POST /applications. Any user may register an application; an application needs a permission."""
    call.caller.must_create_applications()
    body = call.json()
    name = body.get("displayName")
    if name is None:
        raise errors.bad_request("A value is required for property 'displayName' of resource 'Application'.")
    made = Application(id=str(uuid.uuid4()), app_id=str(uuid.uuid4()), display_name="", created_at=call.request.now)
    _change_application(call, made, body)
    made.owners |= set(_owners(call, body))
    if isinstance(call.directory.principal(call.caller.object_id), User) or not call.caller.holds(
        access.WRITE_APPLICATIONS
    ):
        made.owners.add(call.caller.object_id)
    call.directory.register(made)
    shown = {"@odata.context": f"{ROOT}/$metadata#applications/$entity", **shown_application(call, made)}
    return Reply(201, shown, location(call.directory, made.id, "Application"))


async def update(call: Call, object_id: str) -> Reply:
    """PATCH /applications/{id}."""
    found = _writable(call, _application(call, object_id))
    _change_application(call, found, call.json())
    return Reply(204)


async def delete(call: Call, object_id: str) -> Reply:
    """DELETE /applications/{id}, with its service principal. Both can be restored for 30 days."""
    call.directory.remove(_writable(call, _application(call, object_id)))
    return Reply(204)


def shown_application(call: Call, it: Application) -> Document:
    """Return the document of an application."""
    return {
        "id": it.id,
        "deletedDateTime": None,
        "appId": it.app_id,
        "createdDateTime": moment(it.created_at),
        "displayName": it.display_name,
        "publisherDomain": call.directory.tenant.domain,
        **APPLICATION,
        **it.more,
        "keyCredentials": keys_shown(it),
        "passwordCredentials": passwords_shown(it),
    }


def _application(call: Call, object_id: str) -> Application:
    found = call.directory.registration(object_id)
    if found is None or found.id.lower() != object_id.lower():
        raise errors.not_found(object_id)
    return found


def _change_application(call: Call, found: Application, body: dict[str, Any]) -> None:
    sent = _sent(body, APPLICATION_WRITABLE, APPLICATION_PROPERTIES, "Application")
    more = {**found.more}
    for name, value in sent.items():
        default = APPLICATION.get(name)
        _check(name, value, default, "Application")
        if name not in {"displayName", "keyCredentials"}:
            more[name] = _merged(name, default, more.get(name, default), value)
    keys = (
        credentials.read_keys(sent["keyCredentials"], found, "Application") if "keyCredentials" in sent else found.keys
    )
    found.more, found.keys, found.display_name = more, keys, sent.get("displayName") or found.display_name
    principal = call.directory.application(found.app_id)
    if principal is not None and "displayName" in sent:
        principal.display_name = found.display_name
    if principal is not None:
        _settle(found, principal, sent)


def _merged(name: str, default: object, held: object, value: object) -> object:
    """Return the value of a property after a change; objects keep what the change does not name."""
    if not (isinstance(default, dict) and isinstance(held, dict) and isinstance(value, dict)):
        return default if value is None else value
    if unknown := sorted(set(value) - set(default)):
        raise errors.bad_request(f"Invalid property '{unknown[0]}' of '{name}'.")
    return {**held, **value}


def _settle(application: Application, principal: ServicePrincipal, sent: dict[str, Any]) -> None:
    """Let the settings of an application govern how it signs in: redirects, public client, tokens."""
    whole = {**APPLICATION, **application.more}
    if {"publicClient", "web", "spa", "isFallbackPublicClient"} & set(sent):
        places = [whole[it].get("redirectUris") or [] for it in ("publicClient", "web", "spa")]
        principal.redirects = tuple(one for it in places for one in it)
        principal.public = bool(whole["isFallbackPublicClient"] or places[0])
    if "groupMembershipClaims" in sent:
        if whole["groupMembershipClaims"] not in {None, "None", "SecurityGroup"}:
            raise errors.not_modelled(f"groupMembershipClaims {whole['groupMembershipClaims']!r}")
        principal.group_claims = whole["groupMembershipClaims"] == "SecurityGroup"
    if "api" in sent:
        principal.token_version = int(whole["api"].get("requestedAccessTokenVersion") or 1)


# -- service principals


async def create_service_principal(call: Call) -> Reply:
    """POST /servicePrincipals {"appId": …}, for an application of this tenant or one of Microsoft's."""
    call.caller.must_create_applications()
    body = call.json()
    app_id = str(body.get("appId", "")).lower()
    if call.directory.application(app_id) is not None:
        words = "The service principal cannot be created, updated, or restored because the service principal name "
        raise errors.problem(409, "Request_MultipleObjectsWithSameKeyValue", f"{words}{app_id} is already in use.")
    registered = call.directory.registration(app_id)
    if app_id not in NAMES and (registered is None or registered.app_id.lower() != app_id):
        words = f"The appId '{app_id}' of the service principal does not reference a valid application object."
        raise errors.problem(400, "Request_BadRequest", words)
    name = NAMES[app_id] if registered is None else registered.display_name
    made = ServicePrincipal(id=str(uuid.uuid4()), app_id=app_id, display_name=name, first_party=registered is None)
    _change_principal(made, {name: value for name, value in body.items() if name != "appId"})
    made.owners |= set(_owners(call, body))
    if registered is not None:
        _settle(registered, made, {**APPLICATION, **registered.more} if registered.more else {})
    if isinstance(call.directory.principal(call.caller.object_id), User):
        made.owners.add(call.caller.object_id)
    call.directory.add(made)
    shown = {"@odata.context": f"{ROOT}/$metadata#servicePrincipals/$entity", **document(made, call.directory)}
    return Reply(201, shown, location(call.directory, made.id, "ServicePrincipal"))


async def update_service_principal(call: Call, object_id: str) -> Reply:
    """PATCH /servicePrincipals/{id}."""
    _change_principal(_writable(call, _principal(call, object_id)), call.json())
    return Reply(204)


async def delete_service_principal(call: Call, object_id: str) -> Reply:
    """DELETE /servicePrincipals/{id}. It can be restored for 30 days."""
    call.directory.remove(_writable(call, _principal(call, object_id)))
    return Reply(204)


def _principal(call: Call, object_id: str) -> ServicePrincipal:
    found = call.directory.principal(object_id)
    if not isinstance(found, ServicePrincipal):
        raise errors.not_found(object_id)
    return found


def _change_principal(found: ServicePrincipal, body: dict[str, Any]) -> None:
    sent = _sent(body, SERVICE_PRINCIPAL_WRITABLE, SERVICE_PRINCIPAL_WRITABLE, "ServicePrincipal")
    defaults = {"accountEnabled": True, "appRoleAssignmentRequired": False}
    lists = {
        "addIns",
        "alternativeNames",
        "notificationEmailAddresses",
        "replyUrls",
        "tags",
        "appRoles",
        "keyCredentials",
    }
    for name, value in sent.items():
        default = [] if name in lists else defaults.get(name, "" if name != "samlSingleSignOnSettings" else {})
        _check(name, value, default, "ServicePrincipal")
    if "keyCredentials" in sent:
        found.keys = credentials.read_keys(sent.pop("keyCredentials"), found, "ServicePrincipal")
    found.enabled = bool(sent.pop("accountEnabled", found.enabled))
    found.display_name = sent.pop("displayName", None) or found.display_name
    found.more = {**found.more, **sent}


# -- both


async def add_password(call: Call, kind: str, object_id: str) -> Reply:
    """POST …/{id}/addPassword."""
    return credentials.add_password(call, _mine(call, kind, object_id))


async def remove_password(call: Call, kind: str, object_id: str) -> Reply:
    """POST …/{id}/removePassword."""
    return credentials.remove_password(call, _mine(call, kind, object_id), call.directory)


async def owners(call: Call, kind: str, object_id: str) -> Reply:
    """GET …/{id}/owners."""
    call.caller.must_read(access.READ_APPLICATIONS)
    held = [call.directory.principal(it) for it in sorted(_owned(call, kind, object_id).owners)]
    shown = [member(it, call.directory, call.caller) for it in held if it is not None]
    return query.page(call.request, shown, "directoryObjects", ("id", "displayName"))


async def add_owner(call: Call, kind: str, object_id: str) -> Reply:
    """POST …/{id}/owners/$ref. Raises 400 if the object is an owner already."""
    found = _mine(call, kind, object_id)
    owner = referenced(call, call.json().get("@odata.id"))
    if owner in found.owners:
        raise errors.already_there("owners")
    found.owners.add(owner)
    return Reply(204)


async def remove_owner(call: Call, kind: str, object_id: str, owner_id: str) -> Reply:
    """DELETE …/{id}/owners/{id}/$ref."""
    found = _mine(call, kind, object_id)
    held = next((it for it in found.owners if it.lower() == owner_id.lower()), None)
    if held is None:
        raise errors.not_found(owner_id)
    found.owners.discard(held)
    return Reply(204)


def _mine(call: Call, kind: str, object_id: str) -> Owned:
    """Return what the caller may change. Raises 403 or 404."""
    if kind == "applications":
        return _writable(call, _application(call, object_id))
    return _writable(call, _principal(call, object_id))


def _owned(call: Call, kind: str, object_id: str) -> Owned:
    return _application(call, object_id) if kind == "applications" else _principal(call, object_id)


def _writable(call: Call, found: It) -> It:
    """Return an application or service principal; raises 403 unless the caller may change it."""
    call.caller.must_write_application(found.owners)
    return found


def _owners(call: Call, body: dict[str, Any]) -> list[str]:
    urls = body.get("owners@odata.bind") or []
    if not isinstance(urls, list):
        raise errors.invalid_value("owners@odata.bind", "Application")
    return [referenced(call, it) for it in urls]


def _sent(body: dict[str, Any], writable: frozenset[str], known: frozenset[str], resource: str) -> dict[str, Any]:
    """Return the properties of a body. Raises 400 for an unknown or read-only one, 501 for one that is not modelled."""
    sent = {
        name: value for name, value in body.items() if not name.startswith("@odata") and name != "owners@odata.bind"
    }
    for name, value in sent.items():
        if name in NOT_MODELLED or (name == "passwordCredentials" and value):
            raise errors.not_modelled(f"the property {name!r} of a new {resource}")
        if name not in writable and name != "passwordCredentials":
            words = "is read-only and cannot be set" if name in known else "is unknown"
            raise errors.bad_request(f"Invalid property '{name}': it {words}.")
    return {name: value for name, value in sent.items() if name != "passwordCredentials"}


def _check(name: str, value: object, default: object, resource: str) -> None:
    """Raise 400 for a value of another type than the property's, which its default shows; None shows a text."""
    if name == "displayName":
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
            raise errors.invalid_value(name, resource)
        return
    if name == "keyCredentials":  # `credentials.read_keys` checks it
        return
    kinds: tuple[type, ...] = (str, bool, dict) if default is None else (type(default),)
    if value is not None and not isinstance(value, kinds):
        raise errors.invalid_value(name, resource)
