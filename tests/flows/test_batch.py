from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from aks_entra import prefect_client
from aks_entra.core.steps import Guarded
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.prefect_client import names
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.http import Reply
from flows.migrate_batch import migrate_batch
from tests.flows.coordinator import batch_of
from tests.flows.disturbances import FORBIDDEN
from tests.flows.run_logs import logs_of
from tests.flows.stages import UNGATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEW_GROUP: dict[str, Any] = {
    "admin_groups": [{"name": "fleet-admins", "create": True, "description": "made by a test"}]
}


async def test_a_failure_of_one_cluster_does_not_affect_others_and_every_kind_of_step_runs(stack: PrefectStack) -> None:

    with stack.inside():
        plan = await stack.plan(
            "mixed",
            {**UNGATED, "max_allowed_failures": 1},
            **NEW_GROUP,
        )
        stack.sandbox.faults.add("PUT", "/resourceGroups/mixed/.*/managedClusters/bad$", answer=FORBIDDEN)
        stack.sandbox.faults.add(
            "PUT",
            "/resourceGroups/mixed/.*/managedClusters/good$",
            answer=Reply(429, {"error": {"code": "TooManyRequests", "message": "throttled"}}, {"Retry-After": "1"}),
        )
        state = await batch_of(plan)
        assert state.is_completed(), state.message
        verdicts = {one.cluster.name: one for one in (await prefect_client.verdicts(plan.digest)).values()}
        assert {name: one.outcome for name, one in verdicts.items()} == {
            "bad": Outcome.FAILED,
            "good": Outcome.VERIFIED,
            "legacy": Outcome.VERIFIED,
        }
        assert "Azure Policy forbids it" in verdicts["bad"].because[0]
        assert f"mixed/bad is failed: {verdicts['bad'].because[0]} → {verdicts['bad'].next}" in str(state.message)
        assert state.state_details.flow_run_id is not None
        logs = await logs_of(state.state_details.flow_run_id)
        assert "mixed/bad: failed: " in logs
        assert re.search(r"mixed/good · [^:]*: not yet: .*; attempt 2 begins in 1 s", logs)
        assert stack.sandbox.faults.waiting == ()
        assert {step.kind for one in plan.clusters for step in one.steps} == {
            *("ensure-admin-group", "enable-entra", "update-entra", "prove-sign-in", "record-baseline"),
            *("disable-local-accounts", "rotate-certificates", "verify-outcome"),
        }


async def test_clusters_after_a_spent_failure_budget_are_skipped(stack: PrefectStack) -> None:

    with stack.inside():
        plan = await stack.plan(
            "spent",
            {**UNGATED, "max_concurrency": 1},
        )
        stack.sandbox.faults.add("PUT", "/resourceGroups/spent/.*/managedClusters/", answer=FORBIDDEN)
        state = await batch_of(plan)
        assert state.is_failed()
        assert [one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()].count(
            Outcome.SKIPPED
        ) == 1
        assert stack.writes("spent") == []


@contextmanager
def refused_by_the_database(stack: PrefectStack, key: str) -> Iterator[None]:
    """Make the database of Prefect's server refuse an artifact."""
    with closing(sqlite3.connect(stack.database, timeout=60)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON artifact "
            f"WHEN NEW.key = '{key}' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        try:
            yield
        finally:
            database.execute("DROP TRIGGER full")


async def test_a_verdict_that_cannot_be_stored_fails_its_cluster_alone(stack: PrefectStack) -> None:
    with stack.inside():
        plan = await stack.plan("unstored", {**UNGATED, "max_allowed_failures": 1})
        lost, kept = (one.cluster for one in plan.clusters)
        with refused_by_the_database(stack, names.key("verdict", names.hexadecimal(plan.digest), names.slug(lost))):
            state = await batch_of(plan)
        assert state.is_completed(), state.message
        verdicts = await prefect_client.verdicts(plan.digest)
        assert verdicts[kept.key].outcome is Outcome.VERIFIED
        assert lost.key not in verdicts
        written = stack.writes("unstored")
        again = await batch_of(plan)
        assert again.is_completed(), again.message
        assert (await prefect_client.verdicts(plan.digest))[lost.key].outcome is Outcome.VERIFIED
        assert stack.writes("unstored") == written


async def test_a_batch_without_the_approval_of_its_stage_is_refused(stack: PrefectStack) -> None:
    with stack.inside():
        plan = await stack.plan("spent", rotation="later")
        state = await migrate_batch(plan.digest, "all", [plan.clusters[0].cluster.resource_id], return_state=True)
        assert state.is_failed()
        assert "was not approved" in str(state.message)
        assert stack.writes("spent") == []


async def test_a_batch_of_a_stage_that_waits_for_its_time_is_refused_too(stack: PrefectStack) -> None:
    with stack.inside():
        plan = await stack.plan(
            "spent", {**UNGATED, "gate_before": {"approval": False, "not_before": "2999-01-01T00:00Z"}}
        )
        state = await migrate_batch(plan.digest, "all", [plan.clusters[0].cluster.resource_id], return_state=True)
        assert state.is_failed()
        assert "waits for its time" in str(state.message)
        assert stack.writes("spent") == []


@pytest.mark.parametrize(
    ("stage", "group", "said"), [("all", "reopened", "`members`: stage all"), ("nope", "spent", "has no stage 'nope'")]
)
async def test_a_batch_refuses_clusters_of_another_stage(
    stack: PrefectStack, stage: str, group: str, said: str
) -> None:
    with stack.inside():
        plan = await stack.plan("spent", UNGATED)
        stranger = plan.clusters[0].cluster.resource_id.replace("/spent/", f"/{group}/")
        written = stack.writes("spent"), stack.writes(group)
        state = await migrate_batch(plan.digest, stage, [stranger], return_state=True)
        assert state.is_failed()
        assert said in str(state.message)
        assert (stack.writes("spent"), stack.writes(group)) == written


async def test_a_changed_cluster_is_refused_and_not_written(stack: PrefectStack) -> None:

    with stack.inside():
        plan = await stack.plan("moved", UNGATED, rotation="later")
        cluster = plan.clusters[0].cluster
        async with open_session(Settings()) as session:  # somebody else switches Azure RBAC on
            posture = await session.ports.arm.cluster(cluster)
            before = Guarded.of(posture)
            await session.watch.settled(
                await session.ports.arm.update_entra(cluster, before, posture.admin_group_ids, azure_rbac=True)
            )
        written = stack.writes("moved")
        await batch_of(plan)
        [verdict] = (await prefect_client.verdicts(plan.digest)).values()
        assert verdict.outcome is Outcome.REFUSED
        assert "Azure RBAC: expected off, found on" in verdict.because[0]
        assert stack.writes("moved") == written
