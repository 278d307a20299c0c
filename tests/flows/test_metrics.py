"""What operators watch, as Prometheus reads it: over HTTP, from a real Prefect server."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prometheus_client.parser import text_string_to_metric_families

from aks_entra import prefect_client
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.core.verdict.break_glass import opening_digest
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import judge
from aks_entra.prefect_client import names
from tests.flows.conftest import MAIN
from tests.flows.stages import ALL
from tests.support.patience import SOON
from tests.support.report_samples import cluster

if TYPE_CHECKING:
    from aks_entra.core.verdict.verdict import Verdict
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOW = stamp(datetime.now(UTC))
OPENED = cluster("measured-01")
OPENING = Opening(until=stamp(datetime.now(UTC) + timedelta(hours=1)), since=NOW, reason="INC-77")
RECORD = OpeningRecord(cluster=OPENED.resource_id, opening=OPENING, uid="", at=NOW)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (one.name.removeprefix("aks_entra_"), frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def report(name: str, digest: str, verdict: Verdict) -> FleetReport:
    return FleetReport(name=name, plan_digest=digest, started_at=NOW, ended_at=NOW, verdicts=(verdict,))


@asynccontextmanager
async def served(stack: PrefectStack) -> AsyncIterator[str]:
    """Run `aks-entra metrics` at a free port. Yields the URL that it prints."""
    words = ("metrics", "--listen", "127.0.0.1:0", "--timeout", str(SOON))
    process = await stack.begin(stack.home.parent, sys.executable, "-c", MAIN, *words)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SOON):
            line = (await process.stderr.readline()).decode()
        url = re.search(r"http://\S+/metrics", line)
        assert url, line + (await process.stderr.read()).decode()
        yield url[0]
    finally:
        process.terminate()
        async with asyncio.timeout(SOON):
            _, err = await process.communicate()
    assert process.returncode == 143, err.decode()
    assert "Traceback" not in err.decode()


@asynccontextmanager
async def damaged(key: str) -> AsyncIterator[None]:
    """Store an opening that cannot be read, until the end of the block."""
    async with get_client() as client:
        made = await client.create_artifact(ArtifactCreate(key=key, type="aks-entra/opening", data="!!"))
        try:
            yield
        finally:
            await client.delete_artifact(made.id)


async def test_prometheus_sees_a_waiting_gate_a_fleet_an_opening_and_what_cannot_be_read(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        plan = await stack.plan("measured", ALL)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        verdict = judge(plan.clusters[0], ())
        await prefect_client.store_report(report("measured", plan.digest, verdict), purpose="verification")
        for name, digest in (
            ("provision measured/one", names.provision_digest(verdict.cluster, NOW)),
            ("break-glass measured/one", opening_digest(verdict.cluster, OPENING)),
        ):
            await prefect_client.store_report(report(name, digest, verdict))
        await prefect_client.store_opening(RECORD)
        try:
            async with served(stack) as url, httpx.AsyncClient(trust_env=False, timeout=SOON) as prometheus:
                before = samples((await prometheus.get(url)).raise_for_status().text)
                async with damaged(f"opening-{uuid4().hex[:12]}"):
                    after = samples((await prometheus.get(url)).raise_for_status().text)
            once = await stack.aks_entra("metrics", "--once", "--timeout", str(SOON))
        finally:
            await prefect_client.store_opening(RECORD.over(NOW, "the test is over"))
            await prefect_client.stop(run.id)
    gate = {"fleet": "measured", "stage": "all", "side": "before"}
    opening = {"subscription": OPENED.subscription_id, "cluster": "shop-weu/measured-01"}
    for found in (before, after, samples(once.stdout)):
        assert of(found, "gates_waiting", **gate) == 1
        since = of(found, "gate_waiting_since_timestamp_seconds", **gate)
        assert since is not None
        assert since >= datetime.fromisoformat(NOW).timestamp() - SOON
        assert of(found, "clusters", fleet="measured", verdict="not verified") == 1
        assert of(found, "clusters", fleet="measured", verdict="verified") == 0
        assert of(found, "last_report_timestamp_seconds", fleet="measured") == datetime.fromisoformat(NOW).timestamp()
        assert (
            sum(
                value
                for (name, labels), value in found.items()
                if name == "rotation_debt" and ("fleet", "measured") in labels
            )
            == 1
        )
        assert not [one for one in found if ("fleet", "provision measured/one") in one[1]]
        assert not [one for one in found if ("fleet", "break-glass measured/one") in one[1]]
        assert of(found, "break_glass_open", **opening) == 1
        assert of(found, "break_glass_open_until_timestamp_seconds", **opening) == (
            datetime.fromisoformat(OPENING.until).timestamp()
        )
        assert of(found, "schedule_overdue", deployment="end-access") in {0, 1}
        assert of(found, "up", collector="gates") == of(found, "up", collector="schedules") == 1
    assert of(before, "up", collector="break_glass") == 1
    assert of(after, "up", collector="break_glass") == 0
    assert of(after, "unreadable_records", collector="break_glass") == 1
    assert once.exit_code == 0
