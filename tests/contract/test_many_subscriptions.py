"""Clusters of a management group or a tenant, through Azure Resource Graph and without it."""

from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.cluster import Posture
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.wiring import Session
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import SUBSCRIPTION, Opener

GRAPH = "/providers/Microsoft.ResourceGraph/resources$"
OTHER = "4e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9164"
MORE = f"""\
  - id: {OTHER}
    name: dev-eu
    roleAssignments: [{{principal: operator, role: Reader}}]
    resourceGroups: [{{name: dev, clusters: [{{name: dev-01}}]}}]
managementGroups:
  - {{name: corp, displayName: Corporation, roleAssignments: [{{principal: operator, role: Reader}}]}}
  - {{name: corp-dev, parent: corp, subscriptions: [dev-eu]}}
"""
ALL = {"asleep", "azure-rbac", "guarded", "legacy", "plain"}


async def asked(session: Session, management_group: str | None = None) -> list[Posture]:
    return [one async for one in session.ports.arm.clusters_in_resource_graph(management_group)]


@pytest.mark.parametrize("box", [{"more": MORE}], indirect=True)
async def test_resource_graph_shows_the_clusters_as_a_list_does(opened: Opener) -> None:
    async with opened() as session:
        found = {one.cluster.name: one for one in await asked(session)}
        listed = {one.cluster.name: one async for one in session.ports.arm.list_clusters(SUBSCRIPTION)}
        assert set(found) == {*ALL, "dev-01"}
        for name, posture in listed.items():
            other = found[name]
            assert (other.etag, other.identity, other.pools, other.uid) == (
                None,
                posture.identity,
                posture.pools,
                posture.uid,
            )
        assert [one.cluster.name for one in await asked(session, "corp")] == ["dev-01"]
        assert await session.ports.arm.subscription_ids("corp") == (OTHER,)
        with pytest.raises(Refused, match="management group Corporation") as refused:
            await asked(session, "Corporation")  # its display name
        assert refused.value.status == 400
        with pytest.raises(Refused) as empty:
            await asked(session, "")  # it does not stand for the tenant
        assert empty.value.status == 400
        with pytest.raises(AksEntraError, match="management group nobody"):
            await session.ports.arm.subscription_ids("nobody")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"totalRecords": 0, "count": 0}, Refused),
        ({"data": [], "resultTruncated": "true"}, Refused),
        ({"data": [], "resultTruncated": "false", "totalRecords": 1}, Refused),
        ({"data": [{"id": "x"}]}, Rejected),
        ({"data": [7]}, Rejected),
        ({"data": [], "$skipToken": "again"}, Refused),
    ],
)
async def test_an_answer_of_resource_graph_that_is_not_whole_is_refused(
    opened: Opener, box: Sandbox, answer: dict[str, Any], error: type[AksEntraError]
) -> None:
    async with opened() as session:
        box.faults.add("POST", GRAPH, answer=Reply(200, answer), times=2)
        with pytest.raises(error, match="Azure Resource Graph"):
            await asked(session)


async def test_throttling_by_resource_graph_says_how_long_to_wait(opened: Opener, box: Sandbox) -> None:
    reply = Reply(
        429, {"error": {"code": "RateLimiting", "message": "x"}}, {"x-ms-user-quota-resets-after": "00:00:05"}
    )
    async with opened() as session:
        box.faults.add("POST", GRAPH, answer=reply)
        with pytest.raises(TryLater) as later:
            await asked(session)
        assert later.value.after == 5
