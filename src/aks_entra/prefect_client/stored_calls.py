"""This program's own calls with held credentials, as the stored verdicts, reports and plans have them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.own_calls import OwnCall, recorded_in
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.artifacts import Stored
from aks_entra.prefect_client.kept_records import beginning_of
from aks_entra.prefect_client.stored_documents import plan_in, read
from aks_entra.prefect_client.stored_evidence import all_reports

_PLAN: Final = "plan"
_READS: Final = '"admin_read": {'
"""What the document of a plan contains if the plan read with the admin credential. The others are not parsed."""


async def recorded_calls(clusters: Collection[ClusterId]) -> dict[str, tuple[OwnCall, ...]]:
    """Return our own calls to each cluster, by `ClusterId.key`. A document that cannot be read records none."""
    reports = await all_reports()
    alone = read(await artifacts.newest("verdict-"), documents.load_verdict)
    verdicts = [*(one for _, report in reports.read for one in report.verdicts), *(one for _, one in alone.read)]
    return recorded_in(clusters, verdicts, await _plans_that_read())


async def _plans_that_read() -> list[FleetPlan]:
    """Return the plans that read with an admin credential, also earlier ones with the same digest."""
    newest = [one for one in await artifacts.newest(f"{_PLAN}-") if beginning_of(one.key) == _PLAN]
    texts = read(newest, lambda text: text).read
    found: list[FleetPlan] = []
    for name in (key for key, text in texts if _READS in text):
        found += [plan for stored in await artifacts.versions(name) for plan in _plan(stored)]
    return found


def _plan(stored: Stored) -> tuple[FleetPlan, ...]:
    digest = f"sha256:{stored.key.partition('-')[2]}"
    return tuple(plan for _, plan in plan_in(stored, digest).read)
