"""What ARM's documents say about versions, policies, windows, networks and writers, after Azure's own examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import pytest

from aks_entra.adapters.arm import activity_log, surroundings
from aks_entra.adapters.arm.azure_policy import policies
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.cluster_document import posture_of
from aks_entra.adapters.arm.shared_reads import SharedReads
from aks_entra.core.evidence.observations import ActivityLogRead, HandedOut
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.preflight import ADMIN_GROUPS_POLICY, LOCAL_ACCOUNTS_POLICY, Policy, Writer
from aks_entra.errors import Refused, TryLater
from tests.support.cases import ADMINS, SHOP

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SUBSCRIPTION = f"/subscriptions/{SHOP.subscription_id}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/shop-weu"
BUILT_IN = "/providers/Microsoft.Authorization/policyDefinitions/"
SET = "/providers/Microsoft.Authorization/policySetDefinitions/baseline"
ASSIGNMENTS = f"{GROUP}/providers/Microsoft.Authorization/policyAssignments"
EXEMPTIONS = f"{GROUP}/providers/Microsoft.Authorization/policyExemptions"
EVENTS = f"{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"


class Arm:
    """Answers by path: a document, or (status, document)."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = {path.lower(): answer for path, answer in answers.items()}
        self.asked: list[str] = []
        self.shared = SharedReads()

    def plain(self) -> Arm:
        return self

    async def send_request(self, request: Any) -> Any:
        self.asked.append(unquote(request.url))
        answer = self._answers.get(urlsplit(request.url).path.lower(), (404, {}))
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return SimpleNamespace(
            status_code=status,
            reason="",
            headers={},
            text=lambda *_: json.dumps(body),
            json=lambda: body,
            content_type="application/json",
        )


def clients(arm: Arm) -> Clients:
    return cast("Clients", arm)


def assignment(definition: str, **how: Any) -> dict[str, Any]:
    scope = how.pop("scope", SUBSCRIPTION)
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/policyAssignments/a1",
        "name": "a1",
        "properties": {"policyDefinitionId": definition, "scope": scope, **how},
    }


DENY = assignment(
    f"{BUILT_IN}{LOCAL_ACCOUNTS_POLICY}", displayName="No local", parameters={"effect": {"value": "Deny"}}
)
DENIED = Policy(
    name="No local",
    scope=SUBSCRIPTION,
    definition=LOCAL_ACCOUNTS_POLICY,
    effect="Deny",
    assignment=f"{SUBSCRIPTION}/providers/Microsoft.Authorization/policyAssignments/a1",
)


async def seen(*assigned: dict[str, Any], **others: Any) -> tuple[Policy, ...] | None:
    arm = Arm({ASSIGNMENTS: {"value": list(assigned)}, EXEMPTIONS: {"value": []}, **others})
    return await policies(clients(arm), SHOP, NOW)


async def test_a_policy_that_denies() -> None:
    assert await seen(DENY) == (DENIED,)
    assert await seen() == ()
    assert await seen(assignment(f"{BUILT_IN}11111111-aaaa-4bbb-8ccc-000000000001")) == ()


async def test_an_assignment_without_parameters_has_the_definitions_own_effect() -> None:
    found = await seen(
        assignment(f"{BUILT_IN}{LOCAL_ACCOUNTS_POLICY}", enforcementMode="DoNotEnforce"),
        assignment(f"{BUILT_IN}{ADMIN_GROUPS_POLICY}", parameters={"adminGroupObjectIDs": {"value": [ADMINS]}}),
    )
    assert found is not None
    assert [(one.effect, one.enforced, one.admin_groups) for one in found] == [
        ("Audit", False, ()),
        ("DeployIfNotExists", True, (ADMINS,)),
    ]


@pytest.mark.parametrize(
    ("how", "reaches"),
    [
        ({"scope": GROUP.upper()}, True),
        ({"scope": SHOP.resource_id}, True),
        ({"scope": "/providers/Microsoft.Management/managementGroups/root"}, True),
        ({"scope": f"{SHOP.resource_id}-2"}, False),
        ({"notScopes": [GROUP]}, False),
        ({"notScopes": [f"{SUBSCRIPTION}/resourceGroups/other"]}, True),
    ],
)
async def test_only_what_reaches_the_cluster_counts(how: dict[str, Any], *, reaches: bool) -> None:
    found = await seen(assignment(f"{BUILT_IN}{LOCAL_ACCOUNTS_POLICY}", **how))
    assert bool(found) is reaches


async def test_an_exempt_cluster() -> None:
    for scope, exempt in ((GROUP, True), (SHOP.resource_id, True), (f"{SHOP.resource_id}-2", False)):
        exemption = {
            "id": f"{scope}/providers/Microsoft.Authorization/policyExemptions/e",
            "properties": {"policyAssignmentId": DENY["id"].upper()},
        }
        found = await seen(DENY, **{EXEMPTIONS: {"value": [exemption]}})
        assert found is not None
        assert [one.exempt for one in found] == [exempt]
    assert await seen(DENY, **{EXEMPTIONS: (403, {})}) == (DENIED,)


@pytest.mark.parametrize(
    ("until", "exempt"),
    [
        (None, True),
        ("2026-12-01T00:00:00Z", True),
        ("2026-12-01T00:00:00", True),
        ("2026-11-24T08:59:59.0000000Z", False),
        ("soon", False),
    ],
)
async def test_an_exemption_that_expired_or_has_no_readable_end_exempts_nothing(
    until: str | None, exempt: bool
) -> None:
    properties = {"policyAssignmentId": DENY["id"], "expiresOn": until}
    exemption = {"id": f"{GROUP}/providers/Microsoft.Authorization/policyExemptions/e", "properties": properties}
    found = await seen(DENY, **{EXEMPTIONS: {"value": [exemption]}})
    assert found is not None
    assert [one.exempt for one in found] == [exempt]


@pytest.mark.parametrize(("references", "exempt"), [([], True), (["Local"], True), (["other"], False)])
async def test_an_exemption_from_a_part_of_an_initiative_covers_that_part(references: list[str], exempt: bool) -> None:
    member = {"policyDefinitionId": f"{BUILT_IN}{LOCAL_ACCOUNTS_POLICY}", "policyDefinitionReferenceId": "local"}
    initiative = "/providers/Microsoft.Authorization/policySetDefinitions/baseline"
    assigned = assignment(initiative)
    properties = {"policyAssignmentId": assigned["id"], "policyDefinitionReferenceIds": references}
    exemption = {"id": f"{GROUP}/providers/Microsoft.Authorization/policyExemptions/e", "properties": properties}
    document = {"properties": {"policyDefinitions": [member]}}
    found = await seen(assigned, **{EXEMPTIONS: {"value": [exemption]}, initiative: document})
    assert found is not None
    assert [one.exempt for one in found] == [exempt]


async def test_an_initiative_is_opened() -> None:
    definition = {
        "properties": {
            "parameters": {"localEffect": {"defaultValue": "Deny"}},
            "policyDefinitions": [
                {
                    "policyDefinitionId": f"{BUILT_IN}{LOCAL_ACCOUNTS_POLICY}",
                    "parameters": {"effect": {"value": "[parameters('localEffect')]"}},
                },
                {
                    "policyDefinitionId": f"{BUILT_IN}{ADMIN_GROUPS_POLICY}",
                    "parameters": {"effect": {"value": "Disabled"}},
                },
                {"policyDefinitionId": f"{BUILT_IN}11111111-aaaa-4bbb-8ccc-000000000001"},
            ],
        }
    }
    path = f"{SUBSCRIPTION}{SET}"
    found = await seen(assignment(path), **{path: definition})
    assert found is not None
    assert [one.effect for one in found] == ["Deny", "Disabled"]
    given = await seen(assignment(path, parameters={"localEffect": {"value": "Audit"}}), **{path: definition})
    assert given is not None
    assert given[0].effect == "Audit"
    unread = await seen(assignment(path), **{path: (403, {})})
    assert unread is not None
    assert [(one.definition, one.effect) for one in unread] == [(LOCAL_ACCOUNTS_POLICY, None)]


async def test_what_may_not_be_read_is_unknown() -> None:
    arm = Arm({ASSIGNMENTS: (403, {}), EVENTS: (501, {})})
    assert await policies(clients(arm), SHOP, NOW) is None
    assert await activity_log.writers(clients(arm), SHOP, NOW) is None
    assert await surroundings.published_addresses(clients(arm), SHOP, "MC_shop") is None
    assert (await surroundings.subnet(clients(arm), f"{GROUP}/subnets/nodes")).free is None


async def test_throttling_is_said() -> None:
    with pytest.raises(TryLater):
        await policies(clients(Arm({ASSIGNMENTS: (429, {"error": {"code": "x", "message": "slow down"}})})), SHOP, NOW)


async def test_lists_are_read_to_their_last_page_and_never_elsewhere() -> None:
    second = f"https://management.azure.com{ASSIGNMENTS}/next?api-version=1"
    arm = Arm(
        {ASSIGNMENTS: {"value": [], "nextLink": second}, f"{ASSIGNMENTS}/next": {"value": [DENY]}, EXEMPTIONS: {}}
    )
    assert await policies(clients(arm), SHOP, NOW) == (DENIED,)
    foreign = Arm({ASSIGNMENTS: {"value": [], "nextLink": "https://example.com/x/y/z"}})
    with pytest.raises(Refused, match="is sent to no other host"):
        await policies(clients(foreign), SHOP, NOW)
    gone = Arm({ASSIGNMENTS: {"value": [], "nextLink": f"https://management.azure.com{ASSIGNMENTS}/gone"}})
    assert await policies(clients(gone), SHOP, NOW) is None


async def test_who_wrote_the_cluster() -> None:
    def event(
        caller: str, at: str, operation: str = "Microsoft.ContainerService/managedClusters/write", **claims: str
    ) -> Any:
        return {"caller": caller, "eventTimestamp": at, "operationName": {"value": operation}, "claims": claims}

    arm = Arm(
        {
            EVENTS: {
                "value": [
                    event("dana@contoso.com", "2026-11-20T08:00:00Z"),
                    event("6666", "2026-11-21T08:00:00Z", appid="1f0c"),
                    event("6666", "2026-11-19T08:00:00Z", appid="1f0c"),
                    event("7777", "2026-11-18T08:00:00Z"),
                    event("8888", "2026-11-22T08:00:00Z", "Microsoft.ContainerService/managedClusters/delete"),
                    event("", "2026-11-22T08:00:00Z"),
                ]
            }
        }
    )
    assert await activity_log.writers(clients(arm), SHOP, NOW) == (
        Writer(name="application 1f0c", at="2026-11-21T08:00:00Z", application=True),
        Writer(name="dana@contoso.com", at="2026-11-20T08:00:00Z", application=False),
        Writer(name="7777", at="2026-11-18T08:00:00Z", application=True),
    )
    assert f"$filter=eventTimestamp ge '2026-08-27T09:00:00Z' and resourceUri eq '{SHOP.resource_id}'" in arm.asked[0]


async def test_when_an_admin_credential_was_handed_out() -> None:
    def event(status: str, operation: str = "listClusterAdminCredential/action", **more: Any) -> Any:
        name = f"Microsoft.ContainerService/managedClusters/{operation}"
        return {
            "caller": "dana@contoso.com",
            "eventTimestamp": "2026-11-20T08:00:00Z",
            "operationName": {"value": name},
            "status": {"value": status},
            **more,
        }

    told = [event("Started"), event("Failed"), event("Succeeded", "write"), event("Succeeded"), {}]
    assert await activity_log.handed_out(clients(Arm({EVENTS: {"value": told}})), SHOP, NOW) == ActivityLogRead(
        at="2026-11-24T09:00:00.000Z",
        since="2026-08-27T09:00:00Z",
        until="2026-11-24T08:40:00.000Z",
        handed_out=(HandedOut(at="2026-11-20T08:00:00Z", to="dana@contoso.com"),),
    )


async def test_an_activity_log_that_may_not_be_read_covers_nothing() -> None:
    read = await activity_log.handed_out(clients(Arm({EVENTS: (403, {})})), SHOP, NOW)
    assert (read.since, read.until, read.problem) == ("", "", "this identity may not read it")


@pytest.mark.parametrize(
    ("properties", "free"),
    [
        ({"addressPrefix": "10.0.0.0/24", "ipConfigurations": [{}] * 51}, 200),
        ({"addressPrefixes": ["10.0.0.0/28", "fd00::/64"]}, 11),
        ({"addressPrefix": "10.0.0.0/29", "ipConfigurations": [{}] * 9}, 0),
        ({"addressPrefix": "nonsense"}, None),
        ({}, None),
    ],
)
async def test_addresses_that_a_subnet_has_left(properties: dict[str, Any], free: int | None) -> None:
    path = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
    assert (await surroundings.subnet(clients(Arm({path: {"properties": properties}})), path)).free == free


async def test_addresses_that_a_cluster_publishes() -> None:
    network = f"{SUBSCRIPTION}/resourceGroups/MC_shop/providers/Microsoft.Network"
    balancer = {
        "properties": {
            "frontendIPConfigurations": [{"properties": {"privateIPAddress": "10.1.0.9"}}, {"properties": {}}]
        }
    }
    arm = Arm(
        {
            f"{network}/publicIPAddresses": {"value": [{"properties": {"ipAddress": "20.1.2.3"}}, {}]},
            f"{network}/loadBalancers": {"value": [balancer]},
        }
    )
    assert await surroundings.published_addresses(clients(arm), SHOP, "MC_shop") == ("10.1.0.9", "20.1.2.3")


@pytest.mark.parametrize(
    ("document", "window"),
    [
        (
            {
                "name": "default",
                "properties": {
                    "timeInWeek": [{"day": "Saturday", "hourSlots": [2, 3]}],
                    "notAllowedTime": [{"start": "2026-12-24T00:00:00Z", "end": "2026-12-26T00:00:00Z"}],
                },
            },
            MaintenanceWindow(
                name="default",
                hours=(("Saturday", 2), ("Saturday", 3)),
                not_allowed=(("2026-12-24T00:00:00Z", "2026-12-26T00:00:00Z"),),
            ),
        ),
        (
            {
                "name": "aksManagedAutoUpgradeSchedule",
                "properties": {
                    "maintenanceWindow": {
                        "schedule": {
                            "relativeMonthly": {"intervalMonths": 2, "weekIndex": "First", "dayOfWeek": "Monday"}
                        },
                        "durationHours": 8,
                        "utcOffset": "+05:30",
                        "startDate": "2026-01-01",
                        "startTime": "09:30",
                        "notAllowedDates": [{"start": "2026-12-23", "end": "2027-01-05"}],
                    }
                },
            },
            MaintenanceWindow(
                name="aksManagedAutoUpgradeSchedule",
                schedule="relativeMonthly",
                interval=2,
                week_index="First",
                day_of_week="Monday",
                duration_hours=8,
                utc_offset="+05:30",
                start_date="2026-01-01",
                start_time="09:30",
                not_allowed=(("2026-12-23", "2027-01-05"),),
            ),
        ),
        (
            {
                "name": "nodes",
                "properties": {
                    "maintenanceWindow": {
                        "schedule": {"absoluteMonthly": {"intervalMonths": 1, "dayOfMonth": 15}},
                        "durationHours": 4,
                        "startTime": "00:00",
                    }
                },
            },
            MaintenanceWindow(name="nodes", schedule="absoluteMonthly", day_of_month=15, duration_hours=4),
        ),
        ({"name": "empty", "properties": {}}, MaintenanceWindow(name="empty")),
    ],
)
def test_maintenance_windows(document: dict[str, Any], window: MaintenanceWindow) -> None:
    assert surroundings.window_of(document) == window


@pytest.mark.parametrize(
    ("profile", "access"),
    [({"securityProfile": {"sshAccess": "EntraId"}}, "EntraId"), ({}, ""), ({"securityProfile": ["LocalUser"]}, "")],
)
def test_ssh_access_of_a_pool(profile: dict[str, Any], access: str) -> None:
    document = {"id": SHOP.resource_id, "properties": {"agentPoolProfiles": [{"name": "a", **profile}]}}
    assert posture_of(document).pools[0].ssh_access == access


def test_addresses_that_a_node_takes() -> None:
    def posture(network: dict[str, Any], **pool: Any) -> int:
        properties = {"networkProfile": network, "agentPoolProfiles": [{"name": "a", "vnetSubnetID": "/s", **pool}]}
        (found,) = posture_of({"id": SHOP.resource_id, "properties": properties}).pools
        assert found.subnet_id == "/s"
        return found.addresses_per_node

    assert posture({"networkPlugin": "azure"}) == 31
    assert posture({"networkPlugin": "azure"}, maxPods=110) == 111
    assert posture({"networkPlugin": "azure"}, podSubnetID="/p") == 1
    assert posture({"networkPlugin": "azure", "networkPluginMode": "overlay"}) == 1
    assert posture({"networkPlugin": "kubenet"}) == 1
