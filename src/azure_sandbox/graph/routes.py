"""The paths of applications, Conditional Access, the sign-in log and Privileged Identity Management (PIM)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.pim_state import ScheduleKind
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import applications, pim, pim_governance, sign_ins
from azure_sandbox.graph.call import Call, CallHandler
from azure_sandbox.graph.conditional_access import BASE as CONDITIONAL
from azure_sandbox.graph.conditional_access import Policies

Add = Callable[[str, str, CallHandler], None]
_KINDS: tuple[ScheduleKind, ...] = ("eligibility", "assignment")


def add_applications(add: Add) -> None:
    """Add the routes of applications, and the writes of service principals."""
    add("GET", "/applications", applications.listing)
    add("POST", "/applications", applications.create)
    add("GET", "/applications(appId='{app_id}')", applications.read_by_app_id)
    add("GET", "/applications/{object_id}", applications.read)
    add("PATCH", "/applications/{object_id}", applications.update)
    add("DELETE", "/applications/{object_id}", applications.delete)
    add("POST", "/servicePrincipals", applications.create_service_principal)
    add("PATCH", "/servicePrincipals/{object_id}", applications.update_service_principal)
    add("DELETE", "/servicePrincipals/{object_id}", applications.delete_service_principal)
    for kind in ("applications", "servicePrincipals"):
        base = f"/{kind}/{{object_id}}"
        add("POST", f"{base}/addPassword", _of(applications.add_password, kind))
        add("POST", f"{base}/removePassword", _of(applications.remove_password, kind))
        add("GET", f"{base}/owners", _of(applications.owners, kind))
        add("POST", f"{base}/owners/$ref", _of(applications.add_owner, kind))
        add("DELETE", f"{base}/owners/{{owner_id}}/$ref", _of(applications.remove_owner, kind))


def add_governance(add: Add, directory: Directory) -> None:
    """Add the routes of all three."""
    policies = Policies(directory)
    add("GET", f"{CONDITIONAL}/policies", policies.listing)
    add("POST", f"{CONDITIONAL}/policies", policies.create)
    add("GET", f"{CONDITIONAL}/policies/{{policy_id}}", policies.read)
    add("PATCH", f"{CONDITIONAL}/policies/{{policy_id}}", policies.update)
    add("DELETE", f"{CONDITIONAL}/policies/{{policy_id}}", policies.delete)
    add("POST", f"{CONDITIONAL}/evaluate", policies.evaluate)
    add("GET", f"{CONDITIONAL}/namedLocations", policies.locations)
    add("POST", f"{CONDITIONAL}/namedLocations", policies.create_location)
    add("GET", f"{CONDITIONAL}/namedLocations/{{location_id}}", policies.location)
    add("GET", "/auditLogs/signIns", sign_ins.listing)
    add("GET", "/auditLogs/signIns/{sign_in_id}", sign_ins.read)
    for kind in _KINDS:
        _schedules(add, kind)
    approvals = f"{pim.BASE}/assignmentApprovals/{{approval_id}}"
    add("GET", approvals, pim_governance.approval)
    add("GET", f"{approvals}/stages", pim_governance.stages)
    add("PATCH", f"{approvals}/stages/{{stage_id}}", pim_governance.decide)
    add("GET", "/policies/roleManagementPolicyAssignments", pim_governance.assignments)
    rules = "/policies/roleManagementPolicies/{policy_id}"
    add("GET", rules, pim_governance.policy)
    add("GET", f"{rules}/rules", pim_governance.rules)
    add("GET", f"{rules}/rules/{{rule_id}}", pim_governance.rule)
    add("PATCH", f"{rules}/rules/{{rule_id}}", pim_governance.change_rule)


def _schedules(add: Add, kind: ScheduleKind) -> None:
    base = f"{pim.BASE}/{kind}"
    for suffix in ("ScheduleRequests", "Schedules", "ScheduleInstances"):
        add("GET", f"{base}{suffix}/filterByCurrentUser(on='{{on}}')", _of(pim.filter_by_current_user, kind, suffix))
    add("GET", f"{base}ScheduleRequests", _of(pim.requests, kind))
    add("POST", f"{base}ScheduleRequests", _of(pim.create, kind))
    add("GET", f"{base}ScheduleRequests/{{request_id}}", _of(pim.request, kind))
    add("POST", f"{base}ScheduleRequests/{{request_id}}/cancel", _of(pim.cancel, kind))
    add("GET", f"{base}Schedules", _of(pim.schedules, kind))
    add("GET", f"{base}Schedules/{{schedule_id}}", _of(pim.schedule, kind))
    add("GET", f"{base}ScheduleInstances", _of(pim.instances, kind))


def _of(handler: Callable[..., Awaitable[Reply]], *first: Any) -> CallHandler:
    async def bound(call: Call, **parts: str) -> Reply:
        return await handler(call, *first, **parts)

    return bound
