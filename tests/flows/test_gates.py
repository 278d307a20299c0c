from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import SetStateStatus

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, events, names
from aks_entra.report.rollout_events import events_of
from tests.flows.run_logs import logs_of
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
TWO_STAGES = (
    {"name": "canary", "groups": [{"name": "one", "clusters": ["first"]}]},
    {"name": "rest", "groups": [{"name": "others", "rest": True}], "gate_before": False, "gate_after": True},
)


@pytest.mark.sample
async def test_a_gate_accepts_only_an_approval_of_its_own_plan(stack: PrefectStack, until: Until) -> None:

    with stack.inside():
        plan = await stack.plan("gated", *TWO_STAGES)
        other = await stack.plan("gated", *TWO_STAGES, rotation="later")
        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.gate is not None)
        assert waiting.gate.plan == plan.digest
        said = {"approver": "dana@contoso.com", "reason": "CHG-1042"}

        with pytest.raises(Refused, match="waits for plan"):
            await prefect_client.decide(str(run.id)[:8], other.digest, decision="approve", **said)
        with pytest.raises(Refused, match="waits for plan"):
            await prefect_client.decide(str(run.id)[:8], plan.digest[:9], decision="approve", **said)
        with pytest.raises(Refused, match="did not take the answer"):
            await prefect_client.decide(
                str(run.id)[:8], plan.digest, decision="approve", approver="dana@contoso.com", reason=" "
            )
        async with get_client() as client:
            for answer in ({}, {"decision": "approve", "plan": other.digest, **said}):
                assert (await client.resume_flow_run(run.id, run_input=answer)).status is SetStateStatus.REJECT
        with pytest.raises(Refused, match="is being carried out"):
            await prefect_client.start_migration(plan.digest)
        with pytest.raises(Refused, match="waiting at its gate"):
            await prefect_client.resume(str(run.id), plan.digest)
        assert stack.writes("gated") == []

        await prefect_client.decide(str(run.id)[:8], prefect_client.short(plan.digest), decision="approve", **said)
        after = await until(run.id, lambda now: now.gate is not None and now.gate.moment == "after")
        assert after.gate.stage == 1
        await prefect_client.decide(run.name, plan.digest, decision="approve", **said)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        report = await stack.report(run.id)
        assert {str(one.cluster): one.outcome for one in report.verdicts} == {
            "gated/first": Outcome.VERIFIED,
            "gated/second": Outcome.VERIFIED,
        }
        assert stack.writes("gated").count("POST rotateClusterCertificates") == 2
        assert report.history is not None
        assert [one.by for _, one in report.history.decisions] == ["dana@contoso.com, a claim"] * 2
        (coordinator,), (canary, rest) = report.history.runs, report.history.stages
        assert coordinator.run == str(run.id)
        assert [(one.number, one.state) for one in (*canary.batches, *rest.batches)] == [(1, "COMPLETED")] * 2
        assert [(one.side, len(one.askings)) for one in (*canary.gates, *rest.gates)] == [("before", 1), ("after", 1)]
        course = events_of(report.history)
        assert [one.at for one in course if not one.at] == []
        assert sum(" was passed" in one.what for one in course) == 2
        page = await artifacts.get(names.key("page-timeline", names.short(plan.digest)))
        assert page is not None
        assert "](data:image/svg+xml;base64," in page.packed
        assert "approved by dana@contoso.com, a claim (CHG-1042)" in page.packed
        told = await logs_of(*(one.id for one in (ended.run, *ended.batches)))
        digits = prefect_client.short(plan.digest)
        for line in (
            *("the gate before stage canary needs an approval", f"the run waits for a decision on {digits}"),
            *(
                f"{digits} was approved by dana@contoso.com, a claim (CHG-1042)",
                "stage canary begins: 1 cluster in 1 batch",
            ),
            *("gated/first · look: these steps are left", "gated/first · rotate certificates: certificates rotated"),
            "gated/first · rotate certificates: Azure accepted the write (correlation id",
            "gated/first: verified (proof: credential refused)",
        ):
            assert line in told
        with pytest.raises(Refused, match="waits for an approval"):
            await prefect_client.decide(str(run.id)[:8], plan.digest, decision="approve", **said)


async def test_a_rejection_writes_nothing(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("rejected")
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(
            str(run.id), plan.digest, decision="reject", approver="dana@contoso.com", reason="not this week"
        )
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.state == "Rejected"
        assert "rejected by dana@contoso.com, a claim (not this week)" in ended.run.message
        report = await stack.report(run.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.SKIPPED]
        assert stack.writes("rejected") == []
        told = await sent(events.fleet_id("rejected"), events.GATE_REJECTED)
        assert told[events.GATE_REJECTED]["payload"]["reason"] == "not this week"
