"""The routes of PIM for Groups: requests, schedules, instances. Only an active principal is a member of the group.

Sources: Graph's privilegedAccessGroup pages; for the refusal of a missing permission, EasyPIM#37. Every list needs a
filter on groupId or principalId, as documented.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from azure_sandbox.entra import pim as engine
from azure_sandbox.entra import roles
from azure_sandbox.entra.pim import Asking
from azure_sandbox.entra.pim_schedule import Refusal
from azure_sandbox.entra.pim_state import Access, Schedule, ScheduleKind, ScheduleRequest
from azure_sandbox.front.http import Problem, Reply
from azure_sandbox.graph import access, errors, query
from azure_sandbox.graph import pim_documents as documents
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import ROOT, Document
from azure_sandbox.graph.moments import moment

BASE = "/identityGovernance/privilegedAccess/group"
_KNOWN = {"accessId", "principalId", "groupId", "action", "scheduleInfo", "justification", "ticketInfo"}
_KNOWN |= {"isValidationOnly", "customData", "@odata.type", "targetScheduleId"}
_NAMES = re.compile(r"\b(?:groupId|principalId)\s+eq\s+'", re.IGNORECASE)
_EXPIRATIONS = {it.lower(): it for it in ("notSpecified", "noExpiration", "afterDateTime", "afterDuration")}


def asking(call: Call) -> Asking:
    """Return the caller in the form that PIM's engine takes; an application never has a second factor."""
    return Asking(id=call.caller.object_id, mfa=call.caller.mfa and call.caller.permissions is None)


def refused(refusal: Refusal) -> Problem:
    """Return Graph's 400 for a refusal of PIM's engine."""
    return errors.problem(400, refusal.code, refusal.message)


def must_hold(call: Call, any_of: frozenset[str]) -> None:
    """Raise PIM's 403, which names the permissions, unless the token has one of them."""
    if not call.caller.scoped(any_of):
        words = f"Authorization failed due to missing permission scope {','.join(sorted(any_of))}."
        inner = {"errorCode": "PermissionScopeNotGranted", "message": words, "instanceAnnotations": []}
        raise errors.problem(403, "UnknownError", json.dumps(inner, separators=(",", ":")))


def must_govern(call: Call, group_id: str) -> None:
    """Raise 403 unless the caller is an application, owns the group, or has a directory role for it."""
    caller = call.caller
    if caller.permissions is not None:
        return
    group = call.directory.group(group_id)
    now = call.request.now
    if group is None or caller.object_id in group.owners | group.granted("owners", now):
        return
    allowed = roles.PRIVILEGED if group.role_assignable else roles.GROUP_ADMINISTRATORS | roles.PRIVILEGED
    if not roles.any_role(caller.roles, allowed):
        raise errors.denied()


async def create(call: Call, kind: ScheduleKind) -> Reply:
    """POST …ScheduleRequests."""
    body = call.json()
    if unknown := sorted(set(body) - _KNOWN):
        raise errors.problem(400, "BadRequest", f"Invalid property '{unknown[0]}'.")
    made = _request(call, kind, body)
    removes = made.action in engine.ENDS
    must_hold(call, access.REMOVE_PIM[kind] if removes else access.WRITE_PIM[kind])
    if made.action not in engine.SELF:
        must_govern(call, made.group)
    try:
        engine.file(call.directory, made, asking(call))
    except Refusal as refusal:
        raise refused(refusal) from refusal
    context = f"{ROOT}/$metadata#{documents.collection(kind, 'ScheduleRequests')}/$entity"
    return Reply(201, {"@odata.context": context, **documents.request(made, call.request.now)})


def _request(call: Call, kind: ScheduleKind, body: dict[str, Any]) -> ScheduleRequest:
    values = {name: body.get(name) for name in ("principalId", "groupId", "accessId", "action")}
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            raise errors.problem(400, "BadRequest", f"A value is required for '{name}'.")
    action, now = _camel(str(values["action"])), call.request.now
    known: tuple[Access, ...] = ("member", "owner")
    held = next((it for it in known if it == str(values["accessId"]).lower()), None)
    info, ticket = body.get("scheduleInfo"), body.get("ticketInfo") or {}
    if held is None or not isinstance(info, dict | None) or not isinstance(ticket, dict):
        raise errors.problem(400, "InvalidRoleAssignmentRequest", "The role assignment request is invalid.")
    return ScheduleRequest(
        id=str(uuid.uuid4()),
        kind=kind,
        group=str(values["groupId"]).lower(),
        principal=str(values["principalId"]).lower(),
        access=held,
        action=action,
        status="Granted",
        created=now,
        created_by=call.caller.object_id,
        justification=body.get("justification"),
        ticket=ticket,
        schedule_info=_echoed(info, now),
        custom_data=body.get("customData"),
        validation_only=body.get("isValidationOnly") is True,
    )


def _echoed(info: dict[str, Any] | None, now: datetime) -> dict[str, Any] | None:
    """Return the schedule as Graph echoes it: in camel case, and with the present in place of a start in the past."""
    if info is None:
        return None
    if info.get("recurrence"):
        raise errors.not_modelled("recurrence in a PIM schedule")
    expiration = dict(info.get("expiration") or {})
    kind = str(expiration.get("type") or "notSpecified")
    expiration["type"] = _EXPIRATIONS.get(kind.lower(), kind)
    start = info.get("startDateTime")
    try:
        later = isinstance(start, str) and datetime.fromisoformat(start).astimezone(UTC) > now
    except ValueError:
        later = True  # PIM's engine refuses it
    whole = {"type": None, "endDateTime": None, "duration": None, **expiration}
    return {"startDateTime": start if later else moment(now), "recurrence": None, "expiration": whole}


def _camel(word: str) -> str:
    return word[:1].lower() + word[1:]


async def requests(call: Call, kind: ScheduleKind) -> Reply:
    """GET …ScheduleRequests."""
    found = [it for it in call.directory.pim.requests.values() if it.kind == kind]
    return _listed(call, kind, "ScheduleRequests", [documents.request(it, call.request.now) for it in found])


async def request(call: Call, kind: ScheduleKind, request_id: str) -> Reply:
    """GET …ScheduleRequests/{id}."""
    must_hold(call, access.READ_PIM[kind])
    shown = documents.request(_found(call, kind, request_id), call.request.now)
    context = documents.collection(kind, "ScheduleRequests")
    return query.entity(call.request, shown, context, expands=documents.expands(call.directory))


async def cancel(call: Call, kind: ScheduleKind, request_id: str) -> Reply:
    """POST …ScheduleRequests/{id}/cancel. Answers 204."""
    must_hold(call, access.WRITE_PIM[kind])
    found = _found(call, kind, request_id)
    if found.created_by != call.caller.object_id:
        must_govern(call, found.group)
    try:
        engine.cancel(found, call.request.now)
    except Refusal as refusal:
        raise refused(refusal) from refusal
    return Reply(204)


async def schedules(call: Call, kind: ScheduleKind) -> Reply:
    """GET …Schedules. A schedule that is over is not listed."""
    return _listed(call, kind, "Schedules", [documents.schedule(it, call.request.now) for it in _lasting(call, kind)])


async def schedule(call: Call, kind: ScheduleKind, schedule_id: str) -> Reply:
    """GET …Schedules/{id}. Raises 404 until the schedule has replicated, and when it is over."""
    must_hold(call, access.READ_PIM[kind])
    found = next((it for it in _lasting(call, kind) if it.id == schedule_id), None)
    if found is None:
        raise errors.problem(404, "ResourceNotFound", f"The schedule {schedule_id} is not found.")
    shown, context = documents.schedule(found, call.request.now), documents.collection(kind, "Schedules")
    return query.entity(call.request, shown, context, expands=documents.expands(call.directory))


async def instances(call: Call, kind: ScheduleKind) -> Reply:
    """GET …ScheduleInstances: the eligibilities or active assignments of this moment."""
    lasting = [it for it in _lasting(call, kind) if it.lasts(call.request.now)]
    return _listed(call, kind, "ScheduleInstances", [documents.instance(it) for it in lasting])


async def filter_by_current_user(call: Call, kind: ScheduleKind, suffix: str, on: str) -> Reply:
    """GET …/filterByCurrentUser(on='principal'|'approver'): the objects of the caller."""
    must_hold(call, access.READ_PIM[kind])
    now, me = call.request.now, call.caller.object_id
    if on.lower() == "approver" and suffix == "ScheduleRequests":
        asked = [it for it in call.directory.pim.requests.values() if it.stage and me in it.stage.approvers]
        shown = [documents.request(it, now) for it in asked if it.kind == kind]
    elif on.lower() != "principal":
        raise errors.not_modelled(f"filterByCurrentUser(on='{on}') on {kind}{suffix}")
    elif suffix == "ScheduleRequests":
        own = [it for it in call.directory.pim.requests.values() if it.kind == kind and it.principal == me]
        shown = [documents.request(it, now) for it in own]
    else:
        held = [it for it in _lasting(call, kind) if it.principal == me]
        shown = (
            [documents.schedule(it, now) for it in held]
            if suffix == "Schedules"
            else [documents.instance(it) for it in held if it.lasts(now)]
        )
    return _page(call, kind, suffix, shown)


def _listed(call: Call, kind: ScheduleKind, suffix: str, shown: Iterable[Document]) -> Reply:
    must_hold(call, access.READ_PIM[kind])
    if not _NAMES.search(query.option(call.request, "$filter") or ""):
        words = "The required filter is missing: groupId or principalId must be given in $filter."
        raise errors.problem(400, "MissingProvider", words)
    return _page(call, kind, suffix, shown)


def _page(call: Call, kind: ScheduleKind, suffix: str, shown: Iterable[Document]) -> Reply:
    properties = {
        "ScheduleRequests": documents.REQUEST_PROPERTIES,
        "Schedules": documents.SCHEDULE_PROPERTIES,
        "ScheduleInstances": documents.INSTANCE_PROPERTIES,
    }[suffix]
    context, expands = documents.collection(kind, suffix), documents.expands(call.directory)
    return query.page(call.request, shown, context, properties, expands=expands)


def _lasting(call: Call, kind: ScheduleKind) -> list[Schedule]:
    """Return the schedules that a read sees; a direct member of an onboarded group has an assignment without end."""
    directory, now = call.directory, call.request.now
    seen = [
        it
        for it in directory.pim.schedules.values()
        if it.kind == kind
        and it.created + directory.replication <= now
        and not (it.end is not None and it.end <= now)
        and (it.revoked is None or now < it.revoked + directory.replication)
    ]
    if kind == "assignment":
        seen += [
            _direct(group.id, who, "member" if relation == "members" else "owner", group.created_at)
            for group in directory.groups()
            if group.id in directory.pim.onboarded
            for relation, people in (("members", group.lasting_members(now)), ("owners", group.seen(now).owners))
            for who in sorted(people)
        ]
    return seen


def _direct(group: str, who: str, held: Access, created: datetime) -> Schedule:
    identity = str(uuid.uuid5(uuid.UUID(group), f"{who}/{held}"))
    return Schedule(
        id=f"{group}_{held}_{identity}",
        kind="assignment",
        group=group,
        principal=who,
        access=held,
        start=created,
        end=None,
        created=created,
        by_request=identity,
    )


def _found(call: Call, kind: ScheduleKind, request_id: str) -> ScheduleRequest:
    found = call.directory.pim.requests.get(request_id.lower())
    if found is None or found.kind != kind:
        raise errors.problem(404, "ResourceNotFound", f"The request {request_id} is not found.")
    return found
