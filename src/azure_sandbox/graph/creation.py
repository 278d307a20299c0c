"""The checks of a group's properties, at its creation and at a change."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from azure_sandbox.entra.directory import Group, User
from azure_sandbox.graph import errors
from azure_sandbox.graph.access import WRITE_ROLE_ASSIGNABLE
from azure_sandbox.graph.call import Call, referenced

MAX_REFERENCES = 20
LONGEST_NAME = 256
LONGEST_NICKNAME = 64
LONGEST_DESCRIPTION = 1024
_NICKNAME_FORBIDDEN = set('@()\\[]";:<>, ')
_BINDINGS = ("members@odata.bind", "owners@odata.bind")
_TEXTS = {"displayName": LONGEST_NAME, "mailNickname": LONGEST_NICKNAME, "description": LONGEST_DESCRIPTION}
_FLAGS = ("mailEnabled", "securityEnabled", "isAssignableToRole")
_ALLOWED = {*_BINDINGS, *_TEXTS, *_FLAGS, "groupTypes", "uniqueName", "visibility", "@odata.type"}
_REQUIRED = ("displayName", "mailEnabled", "mailNickname", "securityEnabled")


def create_group(call: Call, body: Mapping[str, Any], *, unique_name: str | None = None) -> Group:
    """Add the group that a create body describes, and return it.

    Raises Graph's 400, 403 or 404 before anything is added. `unique_name` is the key of an upsert.
    """
    call.caller.must_create_groups()
    check(body)
    for name in _REQUIRED:
        if body.get(name) is None:
            raise errors.bad_request(f"A value is required for property '{name}' of resource 'Group'.")
    types = _types(body)
    unified = "Unified" in types
    if body["mailEnabled"] != unified or not (unified or body["securityEnabled"]):
        raise errors.bad_request(
            "The service does not currently support writes of mail-enabled groups. Please ensure that the "
            "mail-enablement property is unset and the security-enablement property is set."
        )
    role_assignable = bool(body.get("isAssignableToRole"))
    if role_assignable and not call.caller.holds(WRITE_ROLE_ASSIGNABLE):
        raise errors.denied()
    unique_name = _unique_name(call, body, unique_name)
    if unified and any(it.mail_nickname.lower() == body["mailNickname"].lower() for it in call.directory.groups()):
        raise errors.bad_request("Another object with the same value for property mailNickname already exists.")
    members, owners = bindings(call, body)
    call.caller.must_bind(call.directory, [*members, *owners])
    if isinstance(call.directory.principal(call.caller.object_id), User) and call.caller.object_id not in owners:
        owners.append(call.caller.object_id)
    group = Group(
        id=str(uuid.uuid4()),
        display_name=body["displayName"],
        mail_nickname=body["mailNickname"],
        description=body.get("description"),
        unique_name=unique_name,
        security_enabled=body["securityEnabled"],
        mail_enabled=body["mailEnabled"],
        group_types=types,
        role_assignable=role_assignable,
        members=set(members),
        owners=set(owners),
        created_at=call.request.now,
        visible_at=call.request.now + call.directory.replication,
    )
    call.directory.add(group)
    return group


def check(body: Mapping[str, Any]) -> None:
    """Raise 400 for an unknown property or an invalid value."""
    for name, value in body.items():
        if name not in _ALLOWED:
            raise errors.bad_request(f"Invalid property '{name}'.")
        if name in _FLAGS and not isinstance(value, bool | None):
            raise errors.invalid_value(name)
        if name in _TEXTS and value is not None:
            _check_text(name, value)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > _TEXTS[name]:
        raise errors.invalid_value(name)
    if name == "mailNickname" and (not value.isascii() or _NICKNAME_FORBIDDEN & set(value)):
        raise errors.invalid_value(name)


def bindings(call: Call, body: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the ids that a body binds as members and as owners; raises 400 or 404."""
    found: list[list[str]] = []
    for name in _BINDINGS:
        urls = body.get(name) or []
        if not isinstance(urls, list):
            raise errors.invalid_value(name)
        ids = [referenced(call, url) for url in urls]
        if len(set(ids)) != len(ids):
            raise errors.bad_request("Request contains a property with duplicate values.")
        found.append(ids)
    members, owners = found
    if len(members) + len(owners) > MAX_REFERENCES:
        raise errors.bad_request(f"The number of references exceeds the limit of {MAX_REFERENCES} per request.")
    return members, owners


def _types(body: Mapping[str, Any]) -> tuple[str, ...]:
    types = body.get("groupTypes") or []
    if not isinstance(types, list) or not all(isinstance(it, str) for it in types):
        raise errors.invalid_value("groupTypes")
    if set(types) - {"Unified"}:
        raise errors.not_modelled(f"groupTypes {types}")
    return tuple(types)


def _unique_name(call: Call, body: Mapping[str, Any], key: str | None) -> str | None:
    named = body.get("uniqueName", key)
    if named is not None and (not isinstance(named, str) or not named or (key is not None and named != key)):
        raise errors.invalid_value("uniqueName")
    if named is not None and any(it.unique_name == named for it in call.directory.groups()):
        raise errors.bad_request("Another object with the same value for property uniqueName already exists.")
    return named
