from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aks_entra import prefect_client
from aks_entra.core.steps import Guarded
from aks_entra.core.verdict import Outcome
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.http import Reply
from flows.migrate_batch import migrate_batch

if TYPE_CHECKING:
    from tests.flows.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")
FORBIDDEN = Reply(
    403,
    {"error": {"code": "RequestDisallowedByPolicy", "message": "Resource 'bad' was disallowed by policy."}},
    {},
)
UNGATED: dict[str, Any] = {"name": "all", "groups": [{"name": "all", "rest": True}], "gate_before": False}
NEW_GROUP: dict[str, Any] = {
    "admin_groups": [{"name": "fleet-admins", "create": True, "description": "made by a test"}]
}


async def test_one_members_failure_is_its_own_and_every_kind_of_step_is_done(house: House) -> None:

    with house.inside():
        plan = await house.plan(
            "mixed",
            {**UNGATED, "max_allowed_failures": 1},
            **NEW_GROUP,
        )
        house.sandbox.faults.add("PUT", "/resourceGroups/mixed/.*/managedClusters/bad$", answer=FORBIDDEN)
        house.sandbox.faults.add(
            "PUT",
            "/resourceGroups/mixed/.*/managedClusters/good$",
            answer=Reply(429, {"error": {"code": "TooManyRequests", "message": "throttled"}}, {"Retry-After": "1"}),
        )
        state = await migrate_batch(
            plan.digest, "all", [one.cluster.resource_id for one in plan.clusters], return_state=True
        )
        assert state.is_completed(), state.message
        verdicts = {one.cluster.name: one for one in (await prefect_client.verdicts(plan.digest)).values()}
        assert {name: one.outcome for name, one in verdicts.items()} == {
            "bad": Outcome.FAILED,
            "good": Outcome.VERIFIED,
            "legacy": Outcome.VERIFIED,
        }
        assert "Azure Policy forbids it" in verdicts["bad"].because[0]
        assert house.sandbox.faults.waiting == ()
        assert {step.kind for one in plan.clusters for step in one.steps} == {
            *("ensure-admin-group", "enable-entra", "update-entra", "prove-sign-in", "record-baseline"),
            *("disable-local-accounts", "rotate-certificates", "verify-outcome"),
        }


async def test_who_comes_after_the_budget_is_spent_is_skipped(house: House) -> None:

    with house.inside():
        plan = await house.plan(
            "spent",
            {**UNGATED, "max_concurrency": 1},
        )
        house.sandbox.faults.add("PUT", "/resourceGroups/spent/.*/managedClusters/", answer=FORBIDDEN)
        members = [one.cluster.resource_id for one in plan.clusters]
        state = await migrate_batch(plan.digest, "all", members, return_state=True)
        assert state.is_failed()
        assert [one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()].count(
            Outcome.SKIPPED
        ) == 1
        assert house.writes("spent") == []


async def test_a_batch_without_the_stages_approval_is_refused_whoever_starts_it(house: House) -> None:
    with house.inside():
        plan = await house.plan("spent", rotation="later")
        state = await migrate_batch(plan.digest, "all", [plan.clusters[0].cluster.resource_id], return_state=True)
        assert state.is_failed()
        assert "was not approved" in str(state.message)
        assert house.writes("spent") == []


async def test_a_batch_of_a_stage_that_waits_for_its_time_is_refused_too(house: House) -> None:
    with house.inside():
        plan = await house.plan(
            "spent", {**UNGATED, "gate_before": {"approval": False, "not_before": "2999-01-01T00:00Z"}}
        )
        state = await migrate_batch(plan.digest, "all", [plan.clusters[0].cluster.resource_id], return_state=True)
        assert state.is_failed()
        assert "waits for its time" in str(state.message)
        assert house.writes("spent") == []


@pytest.mark.parametrize(
    ("stage", "group", "said"), [("all", "reopened", "`members`: stage all"), ("nope", "spent", "has no stage 'nope'")]
)
async def test_a_batch_takes_nobody_under_another_stages_gate(house: House, stage: str, group: str, said: str) -> None:
    with house.inside():
        plan = await house.plan("spent", UNGATED)
        stranger = plan.clusters[0].cluster.resource_id.replace("/spent/", f"/{group}/")
        state = await migrate_batch(plan.digest, stage, [stranger], return_state=True)
        assert state.is_failed()
        assert said in str(state.message)
        assert house.writes("spent") == house.writes(group) == []


async def test_a_moved_cluster_is_refused_and_left_alone(house: House) -> None:

    with house.inside():
        plan = await house.plan("moved", UNGATED, rotation="later")
        cluster = plan.clusters[0].cluster
        async with open_session(Settings()) as session:  # somebody else switches Azure RBAC on
            posture = await session.ports.arm.cluster(cluster)
            before = Guarded.of(posture)
            await session.watch.settled(
                await session.ports.arm.update_entra(cluster, before, posture.admin_group_ids, azure_rbac=True)
            )
        written = house.writes("moved")
        await migrate_batch(plan.digest, "all", [cluster.resource_id], return_state=True)
        [verdict] = (await prefect_client.verdicts(plan.digest)).values()
        assert verdict.outcome is Outcome.REFUSED
        assert "Azure RBAC: expected off, found on" in verdict.because[0]
        assert house.writes("moved") == written
