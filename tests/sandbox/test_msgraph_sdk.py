"""Microsoft's own Graph SDK, unmodified, against PIM for Groups, Conditional Access and the sign-in log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.identity.aio import ClientSecretCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.identity_governance.privileged_access.group.assignment_schedule_instances.assignment_schedule_instances_request_builder import (  # noqa: E501  # the SDK's own name
    AssignmentScheduleInstancesRequestBuilder as Instances,
)
from msgraph.generated.identity_governance.privileged_access.group.eligibility_schedules.eligibility_schedules_request_builder import (  # noqa: E501  # as above
    EligibilitySchedulesRequestBuilder as Eligibilities,
)
from msgraph.generated.models.conditional_access_applications import ConditionalAccessApplications
from msgraph.generated.models.conditional_access_client_app import ConditionalAccessClientApp
from msgraph.generated.models.conditional_access_condition_set import ConditionalAccessConditionSet
from msgraph.generated.models.conditional_access_grant_control import ConditionalAccessGrantControl
from msgraph.generated.models.conditional_access_grant_controls import ConditionalAccessGrantControls
from msgraph.generated.models.conditional_access_policy import ConditionalAccessPolicy
from msgraph.generated.models.conditional_access_policy_state import ConditionalAccessPolicyState
from msgraph.generated.models.conditional_access_users import ConditionalAccessUsers
from msgraph.generated.models.expiration_pattern import ExpirationPattern
from msgraph.generated.models.expiration_pattern_type import ExpirationPatternType
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.privileged_access_group_assignment_schedule_request import (
    PrivilegedAccessGroupAssignmentScheduleRequest as AssignmentRequest,
)
from msgraph.generated.models.privileged_access_group_eligibility_schedule_request import (
    PrivilegedAccessGroupEligibilityScheduleRequest as EligibilityRequest,
)
from msgraph.generated.models.privileged_access_group_relationships import PrivilegedAccessGroupRelationships
from msgraph.generated.models.request_schedule import RequestSchedule
from msgraph.generated.models.schedule_request_actions import ScheduleRequestActions
from msgraph.generated.models.unified_role_management_policy_expiration_rule import (
    UnifiedRoleManagementPolicyExpirationRule as ExpirationRule,
)
from msgraph.generated.policies.role_management_policy_assignments.role_management_policy_assignments_request_builder import (  # noqa: E501  # as above
    RoleManagementPolicyAssignmentsRequestBuilder as PolicyAssignments,
)
from msgraph.graph_service_client import GraphServiceClient

from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World

GROUP = "a1b2c3d4-1111-4222-8333-944445555666"
WORLD = {
    "version": 1,
    "users": [{"name": "alice", "upn": "alice@contoso.onmicrosoft.com"}],
    "groups": [{"name": "just-in-time", "id": GROUP}],
    "servicePrincipals": [
        {
            "name": "operator",
            "graphPermissions": [
                *(
                    "User.Read.All",
                    "Group.ReadWrite.All",
                    "AuditLog.Read.All",
                    "Directory.Read.All",
                    "Application.Read.All",
                ),
                *("Policy.Read.All", "Policy.ReadWrite.ConditionalAccess"),
                *(
                    "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup",
                    "RoleManagementPolicy.ReadWrite.AzureADGroup",
                ),
                "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
            ],
        }
    ],
    "operator": "operator",
    "subscriptions": [{"name": "s"}],
}


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    async with Sandbox(World.model_validate(WORLD)) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
async def graph(sandbox: Sandbox) -> AsyncIterator[GraphServiceClient]:
    operator = sandbox.operator
    async with ClientSecretCredential(
        operator.tenant_id,
        operator.principal.app_id,
        operator.secret,
        connection_verify=sandbox.environment[
            "SSL_CERT_FILE"
        ],  # aiohttp loaded the default trust store before the test
    ) as credential:
        yield GraphServiceClient(credential, ["https://graph.microsoft.com/.default"])


def schedule(hours: int) -> RequestSchedule:
    return RequestSchedule(
        start_date_time=datetime.now(UTC),
        expiration=ExpirationPattern(
            type=ExpirationPatternType.AfterDateTime, end_date_time=datetime.now(UTC) + timedelta(hours=hours)
        ),
    )


async def test_the_sdk_requests_and_lists_pim_schedules(sandbox: Sandbox, graph: GraphServiceClient) -> None:
    (alice,) = sandbox.directory.users()
    pim = graph.identity_governance.privileged_access.group
    asked = EligibilityRequest(
        access_id=PrivilegedAccessGroupRelationships.Member,
        principal_id=alice.id,
        group_id=GROUP,
        action=ScheduleRequestActions.AdminAssign,
        schedule_info=schedule(24),
        justification="on call",
    )
    made = await pim.eligibility_schedule_requests.post(asked)
    assert made is not None
    assert made.status == "Provisioned"
    wanted = f"groupId eq '{GROUP}'"
    query = Eligibilities.EligibilitySchedulesRequestBuilderGetQueryParameters(filter=wanted)
    listed = await pim.eligibility_schedules.get(RequestConfiguration(query_parameters=query))
    assert listed is not None
    assert [it.principal_id for it in listed.value or ()] == [alice.id]
    with pytest.raises(ODataError) as twice:
        await pim.eligibility_schedule_requests.post(asked)
    assert twice.value.error is not None
    assert twice.value.error.code == "RoleAssignmentExists"
    active = AssignmentRequest(
        access_id=PrivilegedAccessGroupRelationships.Member,
        principal_id=alice.id,
        group_id=GROUP,
        action=ScheduleRequestActions.AdminAssign,
        schedule_info=schedule(2),
        justification="a node is gone",
    )
    assert await pim.assignment_schedule_requests.post(active) is not None
    some = Instances.AssignmentScheduleInstancesRequestBuilderGetQueryParameters(filter=wanted)
    instances = await pim.assignment_schedule_instances.get(RequestConfiguration(query_parameters=some))
    assert instances is not None
    assert [it.principal_id for it in instances.value or ()] == [alice.id]
    members = await graph.groups.by_group_id(GROUP).members.get()
    assert members is not None
    assert [it.id for it in members.value or ()] == [alice.id]


async def rules(graph: GraphServiceClient) -> tuple[str, dict[str, Any]]:
    """Return the id of the policy for the group's members, which its first change renews, and the rules by id."""
    query = PolicyAssignments.RoleManagementPolicyAssignmentsRequestBuilderGetQueryParameters(
        filter=f"scopeId eq '{GROUP}' and scopeType eq 'Group' and roleDefinitionId eq 'member'",
        expand=["policy($expand=rules)"],
    )
    found = await graph.policies.role_management_policy_assignments.get(RequestConfiguration(query_parameters=query))
    assert found is not None
    assert found.value
    policy = found.value[0].policy
    assert policy is not None
    return str(policy.id), {str(it.id): it for it in policy.rules or ()}


async def test_the_sdk_reads_and_changes_the_rules_of_a_group(graph: GraphServiceClient) -> None:
    policy, held = await rules(graph)
    assert len(held) == 17
    name = "Expiration_EndUser_Assignment"
    rule = graph.policies.role_management_policies.by_unified_role_management_policy_id(
        policy
    ).rules.by_unified_role_management_policy_rule_id(name)
    changed = ExpirationRule(id=name, is_expiration_required=True, maximum_duration=timedelta(hours=2))
    changed.odata_type = "#microsoft.graph.unifiedRoleManagementPolicyExpirationRule"
    with pytest.raises(ODataError) as odd:  # the SDK writes 2:00:00, which is not an Edm.Duration
        await rule.patch(changed)
    assert odd.value.response_status_code == 400
    written = ExpirationRule(id=name, is_expiration_required=True, additional_data={"maximumDuration": "PT2H"})
    written.odata_type = changed.odata_type
    await rule.patch(written)
    other, held = await rules(graph)
    assert other != policy
    assert held[name].maximum_duration == timedelta(hours=2)


async def test_the_sdk_manages_conditional_access_and_reads_the_sign_in_log(
    sandbox: Sandbox, graph: GraphServiceClient
) -> None:
    policies = graph.identity.conditional_access.policies
    sent = ConditionalAccessPolicy(
        display_name="compliant devices for clusters",
        state=ConditionalAccessPolicyState.EnabledForReportingButNotEnforced,
        conditions=ConditionalAccessConditionSet(
            users=ConditionalAccessUsers(include_groups=[GROUP]),
            applications=ConditionalAccessApplications(
                include_applications=["6dae42f8-4368-4678-94ff-3960e28e3630"],
            ),
            client_app_types=[ConditionalAccessClientApp.All],
        ),
        grant_controls=ConditionalAccessGrantControls(
            operator="OR", built_in_controls=[ConditionalAccessGrantControl.CompliantDevice]
        ),
    )
    made = await policies.post(sent)
    assert made is not None
    policy = policies.by_conditional_access_policy_id(str(made.id))
    await policy.patch(ConditionalAccessPolicy(state=ConditionalAccessPolicyState.Enabled))
    read = await policy.get()
    assert read is not None
    assert read.state == ConditionalAccessPolicyState.Enabled
    assert sandbox.directory.conditional.policies[str(made.id)]["state"] == "enabled"
    with pytest.raises(ODataError) as refused:
        await policies.post(ConditionalAccessPolicy(display_name="no conditions"))
    assert refused.value.response_status_code == 400
    await policy.delete()
    with pytest.raises(ODataError) as gone:
        await policy.get()
    assert gone.value.response_status_code == 404
    log = await graph.audit_logs.sign_ins.get()
    assert log is not None
    assert log.value == []
