"""Reading stored documents: an artifact that cannot be read is named, and the others are still read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.observations import LOOKING, Failure
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.documents.unreadable import Found, Unread, read_each
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.artifacts import Stored
from aks_entra.prefect_client.names import hexadecimal, key

_T = TypeVar("_T")


def plan_in(stored: Stored, digest: str) -> Found[FleetPlan]:
    """Read the plan in one artifact, which must have this digest."""
    return read((stored,), lambda text: documents.load_plan(text, under=digest))


def read(found: Iterable[Stored], load: Callable[[str], _T]) -> Found[_T]:
    """Read documents, each under its key. Those that cannot be read are named."""
    return read_each(((one.key, partial(getattr, one, "text")) for one in found), load)


async def clusters_of(digest: str) -> tuple[ClusterId, ...]:
    """Return the clusters of a stored plan. Empty if there is no such plan, or if it cannot be read."""
    kept = await artifacts.get(key("plan", hexadecimal(digest)))
    plans = plan_in(kept, f"sha256:{hexadecimal(digest)}").read if kept else ()
    return tuple(one.cluster for _, plan in plans for one in plan.clusters)


def unproven(cluster: ClusterId, lost: Unread) -> Verdict:
    """Return the verdict of a cluster whose stored one cannot be read: failed, until the cluster is read again."""
    return Verdict(
        cluster=cluster,
        outcome=Outcome.FAILED,
        because=(f"its stored verdict cannot be read ({lost.key}): {lost.why}",),
        next="aks-entra migrate --resume RUN: the cluster is read again, and only what is left of the plan is done",
    )


def lost_evidence(lost: Unread) -> Failure:
    """Return what the report shows instead of evidence that cannot be read."""
    return Failure(
        at=stamp(datetime.now(UTC)),
        error="Refused",
        step=LOOKING,
        message=f"evidence of an earlier attempt cannot be read ({lost.key}): {lost.why}",
    )


async def written_under(digest: str) -> str:
    """Say what is stored about clusters that were worked on under a plan, even if the plan itself cannot be read.

    Returns "nothing was written" if there is neither evidence of a step nor a verdict.
    """
    worked_on = {
        one.key.removeprefix(f"{prefix}-").partition("-")[0]
        for prefix in (key("evidence", hexadecimal(digest)), key("verdict", hexadecimal(digest)))
        for one in await artifacts.newest(prefix)
    }
    if not worked_on:
        return "nothing was written"
    return (
        f"{len(worked_on)} clusters were worked on under this plan before: "
        f"their evidence and verdicts are stored (keys evidence-{hexadecimal(digest)[:12]}… and verdict-…)"
    )


def words_of(error: BaseException) -> str:
    """Return an error of Prefect's client as one short line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
