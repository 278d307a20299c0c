"""Custom policy definitions: they are written, refuse writes as Azure's do, and can be asked beforehand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from azure_sandbox.arm.authorization.policy_rules import TYPE, WrittenDefinition
from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.service import ArmSettings
from tests.support.arm_client import ADMINS, GROUP, OPERATOR, OUTSIDER, SCOPE, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
DEFINITION = f"{SCOPE}/providers/Microsoft.Authorization/policyDefinitions/mine"
ASSIGNMENT = f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/mine"
CHECK = f"{GROUP}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions"
LOCAL = f"{TYPE}/disableLocalAccounts"
PARAMETERS = {
    "how": {"type": "String", "allowedValues": ["audit", "deny", "disabled"], "defaultValue": "deny"},
    "owners": {"type": "Array", "defaultValue": ["a"]},
}


def rule(condition: dict[str, Any], effect: str = "deny") -> dict[str, Any]:
    return {
        "properties": {
            "displayName": "Mine",
            "policyRule": {"if": condition, "then": {"effect": effect}},
            "parameters": PARAMETERS,
        }
    }


def assigned(**parameters: Any) -> dict[str, Any]:
    values = {name: {"value": value} for name, value in parameters.items()}
    return {"properties": {"displayName": "Ours", "policyDefinitionId": DEFINITION, "parameters": values}}


def asked(document: dict[str, Any], *, audit: bool = False) -> dict[str, Any]:
    content = {**document, "type": TYPE, "name": "shop-01"}
    return {"resourceDetails": {"resourceContent": content, "apiVersion": "2026-08-01"}, "includeAuditEffect": audit}


async def evaluations(client: ArmClient, document: dict[str, Any], *, audit: bool = False) -> list[Any]:
    """Return what the sandbox says of a body."""
    body: Any = (await client.send("POST", CHECK, asked(document, audit=audit))).body
    assert body["fieldRestrictions"] == []
    found: list[Any] = body["contentEvaluationResult"]["policyEvaluations"]
    return found


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,)))


async def test_a_custom_policy_denies_a_put_and_says_so_beforehand(client: ArmClient) -> None:
    opened = {"allOf": [{"field": "type", "equals": TYPE}, {"field": LOCAL, "notEquals": "true"}]}
    made = await client.send("PUT", DEFINITION, rule(opened, "[parameters('how')]"))
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["properties"]["policyType"] == "Custom"
    assert await client.get(DEFINITION) == made.body
    assert (await client.send("PUT", ASSIGNMENT, assigned())).status == 201
    held = await client.get(CLUSTER)
    assert (await client.refused("PUT", CLUSTER, held))[1] == "RequestDisallowedByPolicy"
    (denied,) = await evaluations(client, held)
    assert denied["effectDetails"] == {"policyEffect": "Deny"}
    assert denied["policyInfo"] == {"policyDefinitionId": DEFINITION, "policyAssignmentId": ASSIGNMENT}
    closed = {**held, "properties": {**held["properties"], "disableLocalAccounts": True}}
    assert await evaluations(client, closed) == []
    assert (await client.send("PUT", ASSIGNMENT, assigned(how="audit"))).status == 201
    assert await evaluations(client, held) == []
    (audited,) = await evaluations(client, held, audit=True)
    assert audited["effectDetails"] == {"policyEffect": "Audit"}
    assert (await client.refused("DELETE", DEFINITION))[0] == 400
    assert (await client.send("DELETE", ASSIGNMENT)).status == 200
    assert [(await client.send("DELETE", DEFINITION)).status for _ in range(2)] == [200, 204]


async def test_a_definition_that_is_written_again_counts_at_once(client: ArmClient) -> None:
    await client.send("PUT", DEFINITION, rule({"field": LOCAL, "equals": "never"}))
    await client.send("PUT", ASSIGNMENT, assigned())
    held = await client.get(CLUSTER)
    assert await evaluations(client, held) == []
    await client.send("PUT", DEFINITION, rule({"field": "tags['owner']", "exists": "false"}))
    assert (await client.refused("PUT", CLUSTER, held))[1] == "RequestDisallowedByPolicy"


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ({"field": LOCAL, "equals": False}, True),
        ({"field": f"{TYPE}/aadProfile.managed", "equals": "TRUE"}, True),
        ({"field": f"{TYPE}/sku.tier", "in": ["free", "standard"]}, True),
        ({"field": f"{TYPE}/sku.tier", "notIn": ["free", "standard"]}, False),
        ({"field": f"{TYPE}/sku.tier.deeper", "exists": True}, False),
        ({"field": "tags.owner", "equals": "team-a"}, True),
        ({"field": "tags['owner']", "in": "[parameters('owners')]"}, False),
        ({"field": "name", "contains": "shop"}, True),
        ({"field": "Microsoft.Compute/virtualMachines/osProfile", "exists": "true"}, False),
        ({"not": {"anyOf": [{"field": "location", "equals": "eastus"}, {"field": "kind", "exists": "true"}]}}, True),
    ],
)
def test_a_condition_is_judged_as_azure_judges_it(condition: dict[str, Any], matches: bool) -> None:  # a table
    content = {
        "type": TYPE,
        "name": "shop-01",
        "location": "westeurope",
        "sku": {"tier": "Free"},
        "tags": {"owner": "Team-A"},
        "properties": {"disableLocalAccounts": False, "aadProfile": {"managed": True}},
    }
    made = WrittenDefinition(name="mine", subscription="s", properties=rule(condition)["properties"])
    assert made.matches(content, {}) is matches


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"properties": {"policyRule": {"if": {}}}}, 400),
        ({"properties": "none"}, 400),
        (rule({"field": "name", "like": "a*"}), 501),
        (rule({"value": "[field('name')]", "equals": "a"}), 501),
        (rule({"field": f"{TYPE}/agentPoolProfiles[*].count", "equals": 1}), 501),
        (rule({"field": "name", "equals": "[concat('a', 'b')]"}), 501),
        (rule({"allOf": ["name"]}), 501),
        (rule({"field": "name", "equals": "a"}, "modify"), 501),
    ],
)
async def test_what_is_not_modelled_is_refused_when_it_is_defined(
    client: ArmClient, sent: dict[str, Any], status: int
) -> None:
    assert (await client.refused("PUT", DEFINITION, sent))[0] == status


async def test_what_cannot_be_checked_is_refused(client: ArmClient) -> None:
    assert (await client.refused("POST", CHECK, {}))[0] == 400
    other = {"resourceDetails": {"resourceContent": {"type": "Microsoft.Compute/disks"}}}
    assert (await client.refused("POST", CHECK, other))[0] == 501
    held = await client.get(CLUSTER)
    assert (await client.refused("POST", CHECK, {**asked(held), "pendingFields": [{"field": "name"}]}))[0] == 501
    client.caller = client.outsider
    status, _, text = await client.refused("POST", CHECK, asked(held))
    assert (status, "Microsoft.PolicyInsights/checkPolicyRestrictions/read" in text) == (403, True)


EXEMPTION = f"{CLUSTER}/providers/Microsoft.Authorization/policyExemptions/shop"


def exempt(**more: Any) -> dict[str, Any]:
    return {"properties": {"policyAssignmentId": ASSIGNMENT, "exemptionCategory": "Waiver", **more}}


async def test_an_exemption_lets_a_write_through_until_it_expires(client: ArmClient) -> None:
    await client.send("PUT", DEFINITION, rule({"field": "type", "equals": TYPE}))
    await client.send("PUT", ASSIGNMENT, assigned())
    held = await client.get(CLUSTER)
    assert (await client.refused("PUT", CLUSTER, held))[1] == "RequestDisallowedByPolicy"
    end = client.clock.now() + timedelta(hours=1)
    made = await client.send("PUT", EXEMPTION, exempt(expiresOn=end.isoformat()))
    assert made.status == 201
    assert (await client.send("PUT", EXEMPTION, exempt(expiresOn=end.isoformat()))).status == 200
    assert await evaluations(client, held) == []
    await client.finish(await client.send("PUT", CLUSTER, held))
    listed = f"{GROUP}/providers/Microsoft.Authorization/policyExemptions"
    assert (await client.get(listed))["value"] == [await client.get(EXEMPTION)]
    assert (await client.get(f"{listed}?$filter=atScope()"))["value"] == []
    client.clock.advance(timedelta(hours=2))
    assert (await client.get(listed))["value"] != [], "an expired exemption stays in the list"
    assert (await client.refused("PUT", CLUSTER, held))[1] == "RequestDisallowedByPolicy"
    assert len(await evaluations(client, held)) == 1
    await client.send("PUT", EXEMPTION, exempt())  # without an end
    assert await evaluations(client, held) == []
    assert (await client.send("DELETE", EXEMPTION)).status == 200
    assert (await client.send("DELETE", EXEMPTION)).status == 204
    assert (await client.refused("GET", EXEMPTION))[:2] == (404, "PolicyExemptionNotFound")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (exempt(exemptionCategory="Because"), "InvalidPolicyExemption"),
        (exempt(expiresOn="soon"), "InvalidPolicyExemption"),
        (exempt(policyAssignmentId=f"{ASSIGNMENT}-2"), "PolicyAssignmentNotFound"),
        (exempt(policyDefinitionReferenceIds=["a"]), "SandboxNotModelled"),
        ({}, "InvalidPolicyExemption"),
    ],
)
async def test_a_wrong_exemption_is_refused(client: ArmClient, body: dict[str, Any], code: str) -> None:
    await client.send("PUT", DEFINITION, rule({"field": "type", "equals": TYPE}))
    await client.send("PUT", ASSIGNMENT, assigned())
    assert (await client.refused("PUT", EXEMPTION, body))[1] == code


async def test_azure_follows_assignments_and_exemptions_late() -> None:
    client = ArmClient(
        ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,)),
        settings=ArmSettings(durations={"policy": 300}),
    )
    held = await client.get(CLUSTER)
    body = {
        "properties": {
            "policyDefinitionId": "993c2fcd-2b29-49d2-9eb0-df2c3a730c32",
            "parameters": {"effect": {"value": "Deny"}},
            "description": "Ours",
            "metadata": {"managedBy": "us"},
            "nonComplianceMessages": [{"message": "Local accounts stay off."}],
        }
    }
    late = timedelta(seconds=301)
    made: Any = (await client.send("PUT", ASSIGNMENT, body)).body
    assert made["properties"]["metadata"] == {
        "managedBy": "us",
        "createdBy": OPERATOR,
        "updatedBy": None,
        "updatedOn": None,
        "createdOn": made["properties"]["metadata"]["createdOn"],
    }
    assert made["properties"]["description"] == "Ours"
    assert await evaluations(client, held) == []
    client.clock.advance(late)
    assert len(await evaluations(client, held)) == 1
    status, code, message = await client.refused("PUT", CLUSTER, held)
    assert (status, code) == (403, "RequestDisallowedByPolicy")
    assert message == (
        "Resource 'shop-01' was disallowed by policy. Reasons: 'Local accounts stay off.'. See error details for "
        "policy resource IDs."
    )
    exempt: Any = {"properties": {"policyAssignmentId": ASSIGNMENT, "exemptionCategory": "Waiver"}}
    exempt["properties"]["assignmentScopeValidation"] = "Never"
    assert (await client.refused("PUT", EXEMPTION, exempt))[1] == "InvalidPolicyExemption"
    exempt["properties"]["assignmentScopeValidation"] = "Default"
    await client.send("PUT", EXEMPTION, exempt)
    assert len(await evaluations(client, held)) == 1
    client.clock.advance(late)
    await client.send("PUT", EXEMPTION, exempt)  # writing it again changes nothing
    assert await evaluations(client, held) == []
    assert (await client.send("DELETE", EXEMPTION)).status == 200
    assert len(await evaluations(client, held)) == 1
    assert (await client.send("DELETE", ASSIGNMENT)).status == 200
    assert len(await evaluations(client, held)) == 1
    client.clock.advance(late)
    assert await evaluations(client, held) == []


async def test_an_exemption_needs_a_right_on_the_assignment_and_bad_assignments_are_refused(client: ArmClient) -> None:
    body: dict[str, Any] = {"properties": {"policyDefinitionId": "993c2fcd-2b29-49d2-9eb0-df2c3a730c32"}}
    assert (await client.send("PUT", ASSIGNMENT, body)).status == 201
    assert (await client.refused("PUT", f"{ASSIGNMENT}{'x' * 64}", body))[1] == "InvalidPolicyAssignmentName"
    body["properties"]["metadata"] = "ours"
    assert (await client.refused("PUT", ASSIGNMENT, body))[1] == "InvalidPolicyAssignment"
    exempt = {"properties": {"policyAssignmentId": ASSIGNMENT, "exemptionCategory": "Waiver"}}
    role = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{uuid4()}"
    rights = [{"actions": ["Microsoft.Authorization/policyExemptions/*"]}]
    written = {"properties": {"roleName": "writer", "assignableScopes": [SCOPE], "permissions": rights}}
    assert (await client.send("PUT", role, written)).status == 201
    client.arm.assign(CLUSTER, OUTSIDER, "writer")
    client.caller = client.outsider
    status, code, message = await client.refused("PUT", EXEMPTION, exempt)
    assert (status, code) == (403, "LinkedAuthorizationFailed")
    assert "'Microsoft.Authorization/policyAssignments/exempt/action' on the linked scope(s)" in message
