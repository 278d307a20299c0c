"""Messages about a run that ended without a report, that continues by itself, or that was only started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.errors import Refused, Rejected

if TYPE_CHECKING:
    from uuid import UUID


async def unreported(run: UUID) -> Refused | Rejected:
    """Return the error for a run that ended without a report. Without a plan, nothing was written."""
    view = await prefect_client.look_at(run)
    why = view.message or f"it ended in state {view.state}"
    digest = await prefect_client.noted_plan(run)
    if digest is None:
        return Refused(f"the run could not begin: {why}", remedy=f"read its log: {view.page}")
    await _print_verdicts(digest)
    return Rejected(
        f"the run ended {view.state} without a report: {why}", remedy=f"aks-entra migrate --resume {str(run)[:8]}"
    )


async def _print_verdicts(digest: str) -> None:
    """Print the verdict of each cluster of such a run, or how the cluster is continued."""
    plan, known = await prefect_client.load_plan(digest), await prefect_client.verdicts(digest)
    for one in plan.clusters:
        verdict = known.get(one.cluster.key)
        if verdict is not None:
            output.say(f"  {one.cluster}: {verdict.outcome} · {verdict.because[0]}")
        elif one.disposition == "migrate":
            output.say(
                f"  {one.cluster}: not begun, or its batch has stored no verdict; `--resume` reads Azure and continues"
            )


def leave(run: UUID, page: str, format_: output.Format) -> None:
    """Say where to find a run that was only started."""
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/run", "run": str(run), "page": page})
    else:
        output.emit_lines(f"started {page}", f"  to follow it: aks-entra migrate --follow {str(run)[:8]}")


def detached(run: UUID, page: str, *, local: bool) -> None:
    """Say how to return to a run that is no longer followed."""
    short = str(run)[:8]
    if local:
        output.say(f"stopped with the local server · to continue later: aks-entra migrate --local --resume {short}")
        return
    output.say(f"the run continues: {page}")
    output.say(f"  to follow it: aks-entra migrate --follow {short} · to cancel it: prefect flow-run cancel {run}")
