"""An activation that waits for its approver."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.identity_client import IdentityClient
from tests.support.pim_requests import ALICE, BASE, BOB, activate, eligible, members, new_client, rule


async def approved(client: IdentityClient) -> None:
    approver = {"@odata.type": "#microsoft.graph.singleUser", "userId": client.id(BOB)}
    stage = {"approvalStageTimeOutInDays": 1, "isApproverJustificationRequired": True, "primaryApprovers": [approver]}
    setting = {"isApprovalRequired": True, "approvalMode": "SingleStage", "approvalStages": [stage]}
    await rule(client, "Approval_EndUser_Assignment", {"setting": setting})
    await eligible(client)


async def test_an_activation_waits_for_its_approver() -> None:
    client = new_client()
    await approved(client)
    made = await activate(client)
    assert (made["status"], made["approvalId"]) == ("PendingApproval", made["id"])
    assert await members(client) == []
    stages = f"{BASE}/assignmentApprovals/{made['id']}/stages"
    (stage,) = (await client.get(stages))["value"]
    yes = {"reviewResult": "Approve", "justification": "go ahead"}
    assert (await client.error("PATCH", f"{stages}/{stage['id']}", yes))[0] == 403  # her own request
    client.caller = "operator"
    assert (await client.error("PATCH", f"{stages}/{stage['id']}", yes))[0] == 403  # applications cannot approve
    client.caller = BOB
    mine = f"{BASE}/assignmentScheduleRequests/filterByCurrentUser(on='approver')"
    (waiting,) = (await client.get(f"{mine}?$filter={quote(chr(39).join(['status eq ', 'PendingApproval', '']))}"))[
        "value"
    ]
    assert waiting["id"] == made["id"]
    assert (await client.get(f"{BASE}/assignmentApprovals/{made['id']}"))["stages"][0]["assignedToMe"] is True
    assert (await client.error("PATCH", f"{stages}/{stage['id']}", {"reviewResult": "Approve"}))[0] == 400
    assert (await client.send("PATCH", f"{stages}/{stage['id']}", yes)).status == 204
    assert await members(client) == ["Alice Adams"]
    assert (await client.error("PATCH", f"{stages}/{stage['id']}", yes))[0] == 409
    client.later(hours=2)
    assert await members(client) == []


@pytest.mark.parametrize("end", ["Denied", "Canceled", "TimedOut"])
async def test_an_activation_without_approval_never_starts(end: str) -> None:
    client = new_client()
    await approved(client)
    made = await activate(client)
    path = f"{BASE}/assignmentScheduleRequests/{made['id']}"
    stages = f"{BASE}/assignmentApprovals/{made['id']}/stages"
    (stage,) = (await client.get(stages))["value"]
    match end:
        case "Denied":
            client.caller = BOB
            no = {"reviewResult": "Deny", "justification": "not now"}
            assert (await client.send("PATCH", f"{stages}/{stage['id']}", no)).status == 204
        case "Canceled":
            assert (await client.send("POST", f"{path}/cancel")).status == 204
        case _:
            client.later(days=1)
    assert (await client.get(path))["status"] == end
    assert await members(client) == []
    client.caller = ALICE
    assert (await client.error("POST", f"{path}/cancel"))[0] == 400
    assert (await client.error("PATCH", f"{stages}/nothing", {}))[0] == 404
