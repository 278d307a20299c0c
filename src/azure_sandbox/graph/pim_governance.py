"""The routes of PIM for Groups' policies, whose rules can be changed, and of the approvals of activations.

Sources: Graph's unifiedRoleManagementPolicy and approvalStage pages, and the overview of PIM for Groups: the first
policy update or schedule request onboards a group, and changes the ids of its policies.
"""

from __future__ import annotations

import re
from typing import Any

from azure_sandbox.entra import pim as engine
from azure_sandbox.entra import pim_rules
from azure_sandbox.entra.pim_schedule import Refusal
from azure_sandbox.entra.pim_state import Access, ScheduleRequest
from azure_sandbox.front.http import Problem, Reply
from azure_sandbox.graph import access, errors, pim_documents, query
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import ROOT, Document
from azure_sandbox.graph.pim import asking, must_govern, must_hold, refused

_CLAUSE = re.compile(r"(scopeId|scopeType|roleDefinitionId)\s+eq\s+'([^']*)'")
_ACCESS: tuple[Access, ...] = ("member", "owner")


async def assignments(call: Call) -> Reply:
    """GET /policies/roleManagementPolicyAssignments. Raises 400 without a filter on `scopeId` and `scopeType`."""
    must_hold(call, access.READ_RULES)
    clause = query.option(call.request, "$filter") or ""
    wanted = dict(_CLAUSE.findall(clause))
    if "scopeId" not in wanted or "scopeType" not in wanted:
        words = "The required filter is missing: scopeId and scopeType must be given in $filter."
        raise errors.problem(400, "InvalidFilter", words)
    if wanted["scopeType"].lower() != "group":
        raise errors.not_modelled(f"policies of scopeType {wanted['scopeType']!r}")
    group = call.group(wanted["scopeId"])
    shown = [_assignment(call, group.id, it) for it in _ACCESS]
    properties = ("id", "policyId", "scopeId", "scopeType", "roleDefinitionId")
    context = "policies/roleManagementPolicyAssignments"
    return query.page(call.request, shown, context, properties, expands={"policy": _expander(call)})


async def policy(call: Call, policy_id: str) -> Reply:
    """GET /policies/roleManagementPolicies/{id}."""
    must_hold(call, access.READ_RULES)
    group, held = _named(call, policy_id)
    rules = engine.rules_of(call.directory, group, held)
    shown, context = _policy(policy_id, group), "policies/roleManagementPolicies"
    return query.entity(call.request, shown, context, expands={"rules": lambda _, __: list(rules.values())})


async def rules(call: Call, policy_id: str) -> Reply:
    """GET /policies/roleManagementPolicies/{id}/rules."""
    must_hold(call, access.READ_RULES)
    found = engine.rules_of(call.directory, *_named(call, policy_id))
    context = f"policies/roleManagementPolicies('{policy_id}')/rules"
    return query.page(call.request, found.values(), context, ("id", "@odata.type"))


async def rule(call: Call, policy_id: str, rule_id: str) -> Reply:
    """GET …/rules/{id}."""
    must_hold(call, access.READ_RULES)
    found = engine.rules_of(call.directory, *_named(call, policy_id)).get(rule_id)
    if found is None:
        raise _unknown(rule_id)
    return query.entity(call.request, found, f"policies/roleManagementPolicies('{policy_id}')/rules")


async def change_rule(call: Call, policy_id: str, rule_id: str) -> Reply:
    """PATCH …/rules/{id}. Answers 200 with the rule. The first change onboards the group and renews the policy's id."""
    must_hold(call, access.WRITE_RULES)
    if "P2" not in call.directory.licences:
        words = "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license."
        raise errors.problem(400, "AadPremiumLicenseRequired", words)
    group, held = _named(call, policy_id)
    must_govern(call, group)
    present = engine.rules_of(call.directory, group, held)
    if rule_id not in present:
        raise _unknown(rule_id)
    try:
        present[rule_id] = pim_rules.changed(present[rule_id], call.json())
    except ValueError as error:
        raise errors.problem(400, "InvalidPolicyRule", f"The policy rule is invalid: {error}.") from error
    except NotImplementedError as error:
        raise errors.not_modelled(str(error)) from error
    call.directory.pim.onboarded.add(group)
    context = f"{ROOT}/$metadata#policies/roleManagementPolicies('{policy_id}')/rules/$entity"
    return Reply(body={"@odata.context": context, **present[rule_id]})


def _ids(call: Call, group: str, held: Access) -> str:
    guid = pim_rules.policy_guid(group, held, onboarded=group in call.directory.pim.onboarded)
    return f"Group_{group}_{guid}"


def _named(call: Call, policy_id: str) -> tuple[str, Access]:
    parts = policy_id.split("_")
    group = (
        call.directory.group(parts[1]) if parts[0] == "Group" and len(parts) == len(("Group", "id", "guid")) else None
    )
    for held in _ACCESS:
        if group is not None and policy_id == _ids(call, group.id, held):
            return group.id, held
    raise _unknown(policy_id)


def _unknown(name: str) -> Problem:
    return errors.problem(404, "PolicyNotFound", f"The policy {name} is not found.")


def _policy(policy_id: str, group: str) -> Document:
    return {
        "id": policy_id,
        "displayName": "Group",
        "description": "Group",
        "isOrganizationDefault": False,
        "scopeId": group,
        "scopeType": "Group",
        "lastModifiedDateTime": None,
        "lastModifiedBy": {"displayName": None, "id": None},
    }


def _assignment(call: Call, group: str, held: Access) -> Document:
    policy_id = _ids(call, group, held)
    return {
        "id": f"{policy_id}_{held}",
        "policyId": policy_id,
        "scopeId": group,
        "scopeType": "Group",
        "roleDefinitionId": held,
    }


def _expander(call: Call) -> Any:
    def make(shown: Document, inner: str) -> Document:
        found = _policy(shown["policyId"], shown["scopeId"])
        if inner == "$expand=rules":
            found["rules"] = list(engine.rules_of(call.directory, shown["scopeId"], shown["roleDefinitionId"]).values())
        elif inner:
            raise errors.not_modelled(f"the nested option {inner!r} in $expand=policy")
        return found

    return make


# -- approvals


async def approval(call: Call, approval_id: str) -> Reply:
    """GET …/assignmentApprovals/{id}."""
    found = _pending(call, approval_id)
    shown = {"id": found.id, "stages": _stages(call, found)}
    return query.entity(call.request, shown, f"{pim_documents.ROOT}/assignmentApprovals")


async def stages(call: Call, approval_id: str) -> Reply:
    """GET …/assignmentApprovals/{id}/stages."""
    shown = _stages(call, _pending(call, approval_id))
    context = f"{pim_documents.ROOT}/assignmentApprovals('{approval_id}')/stages"
    return query.page(call.request, shown, context, ("id", "status", "reviewResult"))


async def decide(call: Call, approval_id: str, stage_id: str) -> Reply:
    """PATCH …/assignmentApprovals/{id}/stages/{id}. Answers 204; raises 403 for a caller who is not an approver.

    Raises 409 if the request has already been decided.
    """
    if call.caller.permissions is not None:
        raise errors.denied()  # applications cannot approve
    must_hold(call, access.WRITE_PIM["assignment"])
    found = _pending(call, approval_id)
    if found.stage is None or found.stage.id != stage_id:
        raise errors.problem(404, "ResourceNotFound", f"The approval stage {stage_id} is not found.")
    body = call.json()
    try:
        result, words = str(body.get("reviewResult")), str(body.get("justification") or "")
        engine.decide(call.directory, found, asking(call), result, words)
    except PermissionError as error:
        raise errors.denied() from error
    except LookupError as error:
        raise errors.problem(409, "Conflict", "The request has already been decided.") from error
    except Refusal as refusal:
        raise refused(refusal) from refusal
    return Reply(204)


def _pending(call: Call, approval_id: str) -> ScheduleRequest:
    must_hold(call, access.READ_PIM["assignment"])
    found = call.directory.pim.requests.get(approval_id.lower())
    if found is None or found.stage is None:
        raise errors.problem(404, "ResourceNotFound", f"The approval {approval_id} is not found.")
    return found


def _stages(call: Call, found: ScheduleRequest) -> list[Document]:
    assert found.stage is not None  # noqa: S101  # `_pending` raises 404 without a stage
    return [pim_documents.stage(found.stage, call.caller.object_id, call.request.now)]
