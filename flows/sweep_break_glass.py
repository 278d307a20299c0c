"""Close what break-glass opened, when its time is over: the end stands on the cluster, whatever became of the opener.

Where sign-in cannot be proven accounts stay open: the run fails and an event says so, every time, until a person
decides.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.opening import Opening
from aks_entra.core.opening_verdict import report_of
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.errors import Refused
from aks_entra.fleet_file import ProverFile
from aks_entra.prefect_client import archive
from aks_entra.prefect_client.claims import claim
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.wayback import close_opening, look_for_openings

ALARM = "aks-entra.break-glass.stays-open"


@flow(name="sweep-break-glass", persist_result=False)
async def sweep_break_glass(subscriptions: list[str] | None = None, prover: ProverFile | None = None) -> State[Any]:
    """Close every break-glass opening that is due.

    Args:
        subscriptions: names or ids; all that the identity sees when empty.
        prover: who proves sign-in; the identity that runs when empty.
    """
    await sign_on()
    async with open_session(Settings(), prover=prover.to_spec() if prover else None) as session:
        arm = session.ports.arm
        ids = [await arm.subscription_id(one) for one in subscriptions or ()] or list(await arm.subscription_ids())
        found = [one for subscription in ids for one in await look_for_openings(subscription)]
        now = session.ports.clock.now()
        due = [(cluster, opening) for cluster, opening in found if opening.due(now)]
        verdicts = [await bring_to_end(cluster, opening) for cluster, opening in due]
    failed = [verdict for verdict in verdicts if verdict.outcome is not Outcome.NOT_VERIFIED]
    said = f"{len(found)} open, {len(due)} due, {len(due) - len(failed)} closed: each owes a rotation"
    if failed:
        names = "; ".join(f"{verdict.cluster}: {verdict.because[0]}" for verdict in failed)
        return Failed(message=f"{said} · ALARM {names}")
    return Completed(message=said)


async def bring_to_end(cluster: ClusterId, opening: Opening) -> Verdict:
    """One opening, claimed, closed where sign-in is proven; its report kept, an event where it stays open."""
    try:
        async with claim(cluster, patience=0):
            verdict = await close_opening(cluster)
    except Refused as error:  # a migration or a rollback holds it: the next sweep looks again
        verdict = Verdict(cluster=cluster, outcome=Outcome.FAILED, because=(error.message,), next=error.remedy)
    ended = datetime.now(UTC).isoformat()
    await archive.store_report(report_of(cluster, opening, verdict, ended_at=ended))
    if verdict.outcome is not Outcome.NOT_VERIFIED:
        emit_event(
            ALARM,
            resource={"prefect.resource.id": f"aks-entra.cluster.{cluster.name}", "aks-entra.cluster": str(cluster)},
            payload={"because": list(verdict.because), "next": verdict.next, "opened_for": opening.reason},
        )
    return verdict
