"""The writes of users: create, change, delete.

Sources: recorded (az ad user create, 2022), Graph's user page; words of refusals: seen in public issues, else inferred.
"""

from __future__ import annotations

import uuid
from typing import Any

from azure_sandbox.entra.directory import User
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import errors
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import ROOT, document, location
from azure_sandbox.graph.properties import NOT_MODELLED, USER_DEFAULTS, USER_SELECTABLE, USER_WRITABLE

REQUIRED = ("accountEnabled", "displayName", "mailNickname", "userPrincipalName")
SHORTEST_PASSWORD, CLASSES = 8, 3
_TEXTS = ("displayName", "mailNickname", "userPrincipalName")
_LISTS = ("businessPhones", "otherMails")


async def create(call: Call) -> Reply:
    """POST /users."""
    call.caller.must_write_users()
    body = call.json()
    _check(body)
    for name in REQUIRED:
        if body.get(name) is None:
            raise errors.bad_request(f"A value is required for property '{name}' of resource 'User'.")
    if not isinstance(body.get("passwordProfile"), dict) or not body["passwordProfile"].get("password"):
        raise errors.bad_request("A password must be specified to create a new user.")
    _check_name(call, body["userPrincipalName"])
    unset = {"givenName": None, "surname": None, "mail": None}
    made = User(
        id=str(uuid.uuid4()), upn=body["userPrincipalName"], display_name=body["displayName"], mfa=False, more=unset
    )
    _change(made, body)
    call.directory.add(made)
    whole = document(made, call.directory)
    shown = {"@odata.context": f"{ROOT}/$metadata#users/$entity", **{it: whole[it] for it in USER_DEFAULTS}}
    return Reply(201, shown, location(call.directory, made.id, "User"))


async def update(call: Call, user_id: str) -> Reply:
    """PATCH /users/{id or upn}."""
    found = _writable(call, user_id)
    body = call.json()
    _check(body)
    upn = body.get("userPrincipalName")
    if upn is not None and upn.lower() != found.upn.lower():
        _check_name(call, upn)
        call.directory.rename(found, upn)
    _change(found, body)
    return Reply(204)


async def delete(call: Call, user_id: str) -> Reply:
    """DELETE /users/{id or upn}. The user can be restored for 30 days."""
    call.directory.remove(_writable(call, user_id))
    return Reply(204)


def _writable(call: Call, user_id: str) -> User:
    call.caller.must_write_users()
    found = call.directory.user(user_id)
    if found is None:
        raise errors.not_found(user_id)
    return found


def _check(body: dict[str, Any]) -> None:
    """Raise 400 for an unknown property or an invalid value, 501 for a property that is not modelled."""
    for name, value in body.items():
        if name in NOT_MODELLED:
            raise errors.not_modelled(f"the property {name!r} of a user")
        if name not in USER_WRITABLE and name != "@odata.type":
            words = "is read-only and cannot be set" if name in {"id", *USER_SELECTABLE} else "is unknown"
            raise errors.bad_request(f"Invalid property '{name}': it {words}.")
        kind = (
            bool
            if name == "accountEnabled"
            else list
            if name in _LISTS
            else dict
            if name in {"passwordProfile", "employeeOrgData", "onPremisesExtensionAttributes"}
            else str | bool
        )
        if value is not None and not isinstance(value, kind):
            raise errors.invalid_value(name, "User")
        if name in _TEXTS and value is not None and not str(value).strip():
            raise errors.invalid_value(name, "User")
    password = (body.get("passwordProfile") or {}).get("password")
    if password is not None and not _is_strong(password):
        raise errors.bad_request(
            "The specified password does not comply with password complexity requirements. Please provide a different "
            "password."
        )


def _is_strong(password: object) -> bool:
    if not isinstance(password, str) or len(password) < SHORTEST_PASSWORD:
        return False
    kinds = (str.islower, str.isupper, str.isdigit, lambda it: not it.isalnum())
    return sum(any(kind(it) for it in password) for kind in kinds) >= CLASSES


def _check_name(call: Call, upn: str) -> None:
    _, at, domain = upn.partition("@")
    if not at or domain.lower() != call.directory.tenant.domain.lower():
        raise errors.bad_request(
            "The domain portion of the userPrincipalName property is invalid. You must use one of the verified domain "
            "names in your organization."
        )
    if call.directory.user(upn) is not None:
        raise errors.conflict("userPrincipalName")


def _change(found: User, body: dict[str, Any]) -> None:
    profile = body.get("passwordProfile") or {}
    found.password = profile.get("password") or found.password
    found.must_change = bool(profile.get("forceChangePasswordNextSignIn", found.must_change))
    found.display_name = body.get("displayName") or found.display_name
    if body.get("accountEnabled") is not None:
        found.enabled = body["accountEnabled"]
    own = {"passwordProfile", "displayName", "accountEnabled", "userPrincipalName", "@odata.type"}
    found.more = {**found.more, **{name: value for name, value in body.items() if name not in own}}
