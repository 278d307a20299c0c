"""A gate that listens to the audit logs: it waits for callers with old credentials, and shuts when one comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry

from aks_entra import prefect_client
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment
from aks_entra.core.verdict.verdict import Outcome, Reason, Verdict
from azure_sandbox.logs.state import AuditEvent
from tests.flows.coordinator import batch_of
from tests.flows.stages import ALL

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

LATER = AdminRead(at="2027-01-01T00:00:00Z", until="2027-01-01T00:00:00Z", requests=1)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_stage_begins_when_no_caller_with_an_old_credential_is_left(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("listening", {**ALL, "gate_before": {"approval": False, "quiet": "1h"}})
        [cluster] = plan.stages[0].members
        events = stack.sandbox.arm.state.logs.events[cluster.key]
        calls = AuditEvent(
            user="masterclient", groups=("system:masters",), user_agent="kubectl/v1.33.1", at=datetime.now(UTC)
        )
        tried = CredentialTried(
            at=stamp(calls.at), credential=Credential.STATIC_TOKEN, moment=Moment.BEFORE, status=200, ca=""
        )
        ours = replace(calls, verb="list", user_agent="aks-entra/0.1.0")
        events += [calls, ours, replace(ours, count=12)]
        read = AdminRead(at=tried.at, until=tried.at, requests=12)
        first = replace(plan, ticket_required=True, clusters=(replace(plan.clusters[0], admin_read=read),))
        await prefect_client.store_plan(first)
        await prefect_client.store_plan(replace(first, clusters=plan.clusters))
        await prefect_client.store_plan(replace(first, clusters=(replace(plan.clusters[0], admin_read=LATER),)))
        earlier = Verdict(cluster=cluster, outcome=Outcome.VERIFIED, because=("tried",), evidence=(tried,))
        await prefect_client.store_verdict("sha256:" + "0" * 64, earlier)

        state = await batch_of(plan)  # the caller came back after its gate had opened
        assert (state.name, state.message) == ("NotQuiet", "1 of 1 wait until their logs are quiet again")
        [verdict] = (await prefect_client.verdicts(plan.digest)).values()
        assert (verdict.outcome, verdict.reason_code) == (Outcome.SKIPPED, Reason.NOT_QUIET)
        assert "1 caller with old credentials at 1 cluster" in verdict.because[0]

        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.run.waits)
        assert "gate before stage all: quiet 1h: 1 caller with old credentials" in waiting.run.message
        [listed] = [one for one in await prefect_client.waiting() if one.run == run.id]
        assert listed.callers is not None
        [shut] = listed.callers.shut
        assert [one.name for one in shut.owners] == ["shop"]
        assert [one.user_agent for one in shut.callers] == ["kubectl/v1.33.1"]
        assert [(one.count, one.user_agent) for one in shut.own] == [(13, "aks-entra/0.1.0")]
        shown = await stack.aks_entra("gates")
        assert "listening/one (owner: shop, by tag team)" in shown.stdout
        assert "→ aks-entra's own calls, which its evidence recorded" in shown.stdout
        assert "→ kubectl: a person or a pipeline: `az aks get-credentials" in shown.stdout
        assert stack.writes("listening") == []

        events[:] = [replace(one, at=one.at - timedelta(hours=2)) if one is calls else one for one in events]
        async with get_client() as client:
            await client.set_flow_run_state(run.id, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert [one.outcome for one in (await stack.report(run.id)).verdicts] == [Outcome.VERIFIED]
        assert stack.writes("listening") == ["PUT one", "POST rotateClusterCertificates"]
