"""Azure Policy is asked about the bodies that a plan will send, so that policies of the user's own count beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.preflight import LOCAL_ACCOUNTS_POLICY, WAY_BACK, PolicyEvaluation
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    Guarded,
    RotateCertificates,
    Step,
    UpdateEntra,
)
from aks_entra.errors import AksEntraError
from azure_sandbox.arm.authorization.policies import PolicyAssignment, PolicyExemption, find_definition
from azure_sandbox.arm.authorization.policy_rules import TYPE, WrittenDefinition
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, TENANT, UNLOCKED, Opener, cluster

SCOPE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SCOPE}/resourceGroups/shop-weu"
MINE = f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/mine"
RBAC = f"{TYPE}/aadProfile.enableAzureRBAC"
LOCAL = f"{TYPE}/disableLocalAccounts"
WORLD = pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
STEPS: tuple[Step, ...] = (
    EnableEntra(tenant_id=TENANT, admin_groups=(ADMINS, "uniqueName:new"), azure_rbac=True, was="none"),  # type: ignore[arg-type]  # not sent
    DisableLocalAccounts(),
    RotateCertificates(ca_before="a"),
)


def assign(box: Sandbox, condition: dict[str, Any], effect: str = "deny", **how: Any) -> PolicyAssignment:
    """Assign a custom policy to the resource group."""
    then = {"effect": effect}
    definition = WrittenDefinition(
        name="mine",
        subscription=SUBSCRIPTION,
        properties={"displayName": "Mine", "policyRule": {"if": condition, "then": then}},
    )
    made = PolicyAssignment(
        scope=GROUP, name="mine", definition=definition, effect=definition.effects[0], display_name="Ours", **how
    )
    box.arm.add_policy(made)
    return made


async def asked(opened: Opener, name: str, *steps: Step) -> list[tuple[str, str | None]] | None:
    async with opened() as session:
        found = await session.ports.arm.policy_evaluations(cluster(name), steps)
    return None if found is None else [(one.write, one.effect) for one in found]


@WORLD
async def test_a_custom_policy_that_denies_a_body_is_named_with_the_write(opened: Opener, box: Sandbox) -> None:
    assert await asked(opened, "plain", *STEPS) == []
    assign(box, {"allOf": [{"field": "type", "equals": TYPE}, {"field": RBAC, "equals": "true"}]})
    async with opened() as session:
        arm = session.ports.arm
        found = await arm.policy_evaluations(cluster("plain"), STEPS)
        assert found is not None
        assert found[0] == PolicyEvaluation(
            write="enable Microsoft Entra ID",
            assignment=MINE,
            name="Ours",
            scope=GROUP,
            definition="mine",
            effect="deny",
        )
        assert [one.write for one in found] == ["enable Microsoft Entra ID", "disable local accounts", WAY_BACK]
        expected = Guarded.of(await arm.cluster(cluster("plain")))
        with pytest.raises(AksEntraError, match="Azure Policy 'mine' forbids it"):
            await arm.enable_entra(cluster("plain"), expected, TENANT, (ADMINS,), True)  # noqa: FBT003 - the port's order


@WORLD
async def test_the_way_back_and_each_kind_of_put_are_asked_about(opened: Opener, box: Sandbox) -> None:
    assign(box, {"field": LOCAL, "equals": "false"})
    update = UpdateEntra(admin_groups=(ADMINS,), azure_rbac=True)
    assert await asked(opened, "guarded", update) == []
    assert await asked(opened, "guarded", update, RotateCertificates(ca_before="a")) == [(WAY_BACK, "deny")]
    assert await asked(opened, "guarded", EnableLocalAccounts()) == [("enable local accounts", "deny")]


@WORLD
async def test_only_what_becomes_non_compliant_by_the_plan_is_reported(opened: Opener, box: Sandbox) -> None:
    assign(box, {"field": RBAC, "equals": "true"}, "audit")
    builtin = find_definition(LOCAL_ACCOUNTS_POLICY)
    assert builtin is not None
    box.arm.add_policy(PolicyAssignment(scope=SCOPE, name="local", definition=builtin, effect="Audit"))
    assert await asked(opened, "plain", STEPS[0], RotateCertificates(ca_before="a")) == [
        ("enable Microsoft Entra ID", "audit")
    ]


@WORLD
async def test_a_cluster_that_is_exempt_or_not_bound_is_not_denied(opened: Opener, box: Sandbox) -> None:
    made = assign(box, {"field": "type", "equals": TYPE})
    assert await asked(opened, "plain", DisableLocalAccounts()) != []
    exemption = PolicyExemption(scope=GROUP, name="e", assignment=made.id.upper(), until=None, properties={})
    properties = {"policyAssignmentId": made.id.upper()}
    box.arm.state.exemptions["e"] = replace(exemption, properties=properties)
    assert await asked(opened, "plain", DisableLocalAccounts()) == []
    del box.arm.state.exemptions["e"]
    past = {"id": exemption.id, "properties": {**properties, "expiresOn": "2020-01-01T00:00:00Z"}}
    for listed, exempt in (({"id": exemption.id, "properties": properties}, True), (past, False)):
        box.faults.add("GET", "/policyExemptions$", answer=Reply(200, {"value": [listed]}))
        assert (await asked(opened, "plain", DisableLocalAccounts()) == []) is exempt, "the answer of ARM missed it"
    loose = {**made.shown(SUBSCRIPTION)}
    loose["properties"]["enforcementMode"] = "DoNotEnforce"
    box.faults.add("GET", "/policyAssignments$", answer=Reply(200, {"value": [loose]}))
    assert await asked(opened, "plain", DisableLocalAccounts()) == []
    spared = {**made.shown(SUBSCRIPTION)}
    spared["properties"]["notScopes"] = [GROUP]
    box.faults.add("GET", "/policyAssignments$", answer=Reply(200, {"value": [spared]}))
    assert await asked(opened, "plain", DisableLocalAccounts()) == []
    for answer in (Reply(403, {"error": {"code": "AuthorizationFailed"}}), Reply(200, {}), Reply(200, {"value": [7]})):
        box.faults.add("GET", "/policyAssignments$", answer=answer, times=2)  # for the subscription, and for the group
        assert await asked(opened, "plain", DisableLocalAccounts()) != [], "unread assignments excuse nothing"


@WORLD
async def test_steps_that_do_not_fit_the_cluster_leave_the_answer_unknown(opened: Opener, box: Sandbox) -> None:
    assign(box, {"field": LOCAL, "equals": "never"})
    assert await asked(opened, "plain", UpdateEntra(admin_groups=(ADMINS,), azure_rbac=True)) is None


def answered(*evaluations: object) -> Reply:
    return Reply(200, {"fieldRestrictions": [], "contentEvaluationResult": {"policyEvaluations": list(evaluations)}})


@WORLD
@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
        Reply(400, {"error": {"code": "InvalidCheckRestrictionsRequest", "message": "no"}}),
        Reply(200, {}),
        Reply(200, {"contentEvaluationResult": None}),
        answered("denied"),
        answered({"evaluationResult": "NonCompliant"}),
    ],
)
async def test_an_answer_that_cannot_be_read_is_unknown(opened: Opener, box: Sandbox, answer: Reply) -> None:
    assign(box, {"field": LOCAL, "equals": "never"})
    box.faults.add("POST", "/checkPolicyRestrictions$", answer=answer)
    assert await asked(opened, "plain", DisableLocalAccounts()) is None


@WORLD
@pytest.mark.parametrize(
    ("result", "effect"), [("NonCompliant", "Modify"), ("NonCompliant", ""), ("Error", "Deny"), ("", "Deny")]
)
async def test_another_effect_or_an_error_of_one_policy_is_unknown(
    opened: Opener, box: Sandbox, result: str, effect: str
) -> None:
    assign(box, {"field": LOCAL, "equals": "never"})
    shown = {
        "policyInfo": {"policyAssignmentId": MINE, "policyDefinitionId": "/providers/x/policyDefinitions/Mine"},
        "evaluationResult": result,
        "effectDetails": {"policyEffect": effect},
    }
    box.faults.add("POST", "/checkPolicyRestrictions$", answer=answered(shown))
    assert (await asked(opened, "plain", DisableLocalAccounts()) or [])[0] == ("disable local accounts", None)
