"""`aks-entra break-glass`: local accounts open for a stated time, the kubeconfig in one place, closed after a proof.

Works in this process alone: on the day it is needed nothing else may be up. Until when stands on the cluster, so that
the scheduled sweep (or `--close`) closes where this process has died.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aks_entra.cli import output
from aks_entra.cli.planning import read_fleet, read_settings
from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from aks_entra.break_glass import BreakGlass
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.opening import Opening
    from aks_entra.core.verdict import Verdict
    from aks_entra.wiring import Session

_DURATION: Final = re.compile(r"(?:(?P<hours>\d{1,2})h)?(?:(?P<minutes>\d{1,4})m)?", re.IGNORECASE)
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was typed."""

    cluster: str
    subscription: str | None
    lasting: timedelta | None  # None: close it now
    reason: str
    ticket: str
    out: Path | None
    fleet: Path | None
    wait: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("break-glass", short_help="Open local accounts for a stated time, and close them after a proof.")(
        break_glass
    )


def break_glass(  # noqa: PLR0913 - one parameter for each option
    cluster: Annotated[
        str, typer.Argument(metavar="CLUSTER", help="RESOURCE-GROUP/NAME, a name that is there once, or the ARM id.")
    ],
    *,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="45m|1h30m", help="How long: a minute to a day.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands on the cluster.")] = "",
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="A ticket; it stands there too.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the admin kubeconfig goes: a new file. Default: NAME.kubeconfig.",
            show_default=False,
        ),
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="Prove sign-in and close now.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave once it is open: the scheduled sweep, or --close, closes it.")
    ] = False,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet", metavar="FLEET.yaml", help="Whose prover proves sign-in. Default: who runs.", show_default=False
        ),
    ] = None,
    subscription: output.Subscription = None,
    yes: output.Yes = False,
) -> None:
    """Open local accounts of a closed cluster for a stated time, hand out the admin kubeconfig, and close again.

    At the end sign-in is proven first. Where it still fails, accounts stay open and this says so (exit code 1). From
    then on a rotation is owed: what was handed out works until the certificates are rotated.

    It cannot help when Microsoft Entra ID itself is down: Azure's API needs it too.
    """
    with output.guarded():
        if close == (lasting is not None):
            output.usage("open it or close it?", remedy="give --for 45m and --reason, or --close")
        if lasting is not None and not reason.strip():
            output.usage("why?", remedy="give --reason: it stands on the cluster as long as it is open")
        request = Request(
            cluster=cluster,
            subscription=subscription or os.environ.get("AZURE_SUBSCRIPTION_ID"),
            lasting=_duration(lasting) if lasting is not None else None,
            reason=_fits("--reason", reason.strip()),
            ticket=_fits("--ticket", ticket.strip()),
            out=out,
            fleet=fleet,
            wait=not no_wait,
        )
        if not close:
            output.confirm(f"Open local accounts of {cluster} for {lasting}? A rotation is owed afterwards.", yes=yes)
    output.run(_break_glass(request))


async def _break_glass(request: Request) -> None:
    from aks_entra.break_glass import BreakGlass  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    prover = read_fleet(request.fleet).prover if request.fleet else None
    async with open_session(read_settings(), prover=prover) as session:
        glass = BreakGlass(session.ports, session.watch, session.executor, session.limits)
        cluster = await _found(session, request)
        if request.lasting is None:
            await _close(session, glass, cluster)
            return
        opening = await _open(session, glass, cluster, request)
        if not request.wait:
            output.say(f"  close it: aks-entra break-glass {cluster} --close (or the sweep does, when it is due)")
            return
        left = (datetime.fromisoformat(opening.until) - session.ports.clock.now()).total_seconds()
        try:
            await session.ports.clock.sleep(max(left, 0.0))
        except asyncio.CancelledError:
            output.say(
                f"stopped waiting: local accounts of {cluster} are OPEN until {opening.until}\n"
                f"  the scheduled sweep closes them then; now: aks-entra break-glass {cluster} --close",
                style="warning",
            )
            raise
        await _close(session, glass, cluster)


async def _open(session: Session, glass: BreakGlass, cluster: ClusterId, request: Request) -> Opening:
    """The place is reserved first: where nothing can be handed out, nothing is opened."""
    from aks_entra.core.opening import Opening  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core.verdict import Outcome  # noqa: PLC0415 - as above
    from aks_entra.one_place import OnePlace  # noqa: PLC0415 - as above

    ports = session.ports
    who = await ports.callers.runner()
    now = ports.clock.now()
    opening = Opening(
        until=_iso(now + (request.lasting or timedelta())),
        since=_iso(now),
        reason=request.reason,
        ticket=request.ticket,
        opener=_fits("the name of who runs", who.name or who.object_id),
    )
    place = OnePlace.reserve(request.out or Path(f"{cluster.name}.kubeconfig"))
    try:
        async with AsyncExitStack() as held:
            await _claim(held, cluster)
            with output.progress(f"opening local accounts of {cluster}"):
                verdict = await glass.open(cluster, opening)
        await _keep(session, cluster, opening, verdict)
        if verdict.outcome is Outcome.REFUSED:
            raise Refused(verdict.because[0], remedy=verdict.next, cluster=str(cluster))
        if verdict.outcome is Outcome.FAILED:
            _alarm(cluster, verdict)
        await glass.hand_out(cluster, place)
    finally:
        place.give_up()
    output.say(f"local accounts of {cluster} are OPEN until {opening.until}", style="warning")
    output.emit_text(f"kubeconfig in {place.path.resolve()} (0600)")
    output.say("  at its end: sign-in is proven, accounts close, rotation is owed (its own approval)")
    return opening


async def _close(session: Session, glass: BreakGlass, cluster: ClusterId) -> None:
    from aks_entra.core.opening import Opening, opening_on  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core.plan import Prover  # noqa: PLC0415 - as above
    from aks_entra.core.verdict import Outcome  # noqa: PLC0415 - as above

    ports = session.ports
    who = await ports.callers.prover()
    standing = opening_on((await ports.arm.cluster(cluster)).tags) or Opening(until="", since="", reason="")
    async with AsyncExitStack() as held:
        await _claim(held, cluster)
        with output.progress(f"proving sign-in to {cluster}, then closing"):
            verdict = await glass.close(cluster, Prover(object_id=who.object_id))
    if verdict.outcome is Outcome.REFUSED or not standing.since:
        raise Refused(verdict.because[0], remedy=verdict.next, cluster=str(cluster))
    await _keep(session, cluster, standing, verdict)
    if verdict.outcome is Outcome.FAILED:
        _alarm(cluster, verdict)
    for line in verdict.because:
        output.emit_text(f"{cluster}: {line}")
    output.say(f"  → {verdict.next}")


def _alarm(cluster: ClusterId, verdict: Verdict) -> None:
    for line in verdict.because:
        output.say(f"ALARM {cluster}: {line}", style="error")
    output.say(f"  → {verdict.next}", style="error")
    raise typer.Exit(output.ExitCode.FAILED)


async def _keep(session: Session, cluster: ClusterId, opening: Opening, verdict: Verdict) -> None:
    """The report of an opening: into the folder for evidence, and to Prefect's server where there is one."""
    from aks_entra.cli.rollback import keep  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core.opening import report_of  # noqa: PLC0415 - as above
    from aks_entra.proofs import stamp  # noqa: PLC0415 - as above

    report = report_of(cluster, opening, verdict, ended_at=stamp(session.ports.clock))
    keep(report, session.settings.evidence_dir)
    if os.environ.get("PREFECT_API_URL"):
        from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

        try:
            await prefect_client.store_report(report)
        except Exception as error:  # noqa: BLE001 - the file holds the evidence; Prefect may be what is down today
            output.say(f"not stored at Prefect's server: {type(error).__name__}", style="warning")


async def _claim(held: AsyncExitStack, cluster: ClusterId) -> None:
    """One actor for one cluster, where Prefect's server can say so. Without it, only what moved is noticed."""
    if not os.environ.get("PREFECT_API_URL"):
        return
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    try:
        await held.enter_async_context(prefect_client.claim(cluster, patience=0))
    except AksEntraError:
        raise
    except Exception as error:  # noqa: BLE001 - on this day Prefect may be down; that must not keep the way in shut
        output.say(
            f"Prefect's server does not answer ({type(error).__name__}): the cluster is not claimed", style="warning"
        )


async def _found(session: Session, request: Request) -> ClusterId:
    """The cluster that was named. Raises Refused when there is none, or several."""
    from aks_entra.core.cluster import ClusterId  # noqa: PLC0415 - startup is quick without it

    name = request.cluster
    if name.startswith("/"):
        try:
            return ClusterId.parse(name)
        except ValueError as error:
            raise Refused(str(error)) from None
    if not request.subscription:
        raise Refused("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    arm = session.ports.arm
    subscription = await arm.subscription_id(request.subscription)
    group, slash, short = name.rpartition("/")
    if slash:
        return (await arm.cluster(ClusterId(subscription_id=subscription, resource_group=group, name=short))).cluster
    hits = [
        one.cluster async for one in arm.list_clusters(subscription) if one.cluster.name.casefold() == name.casefold()
    ]
    if len(hits) == 1:
        return hits[0]
    what = f"{len(hits)} clusters are" if hits else "no cluster is"
    raise Refused(f"{what} called {name} in this subscription", remedy="write RESOURCE-GROUP/NAME")


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip())
    length = (
        timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
        if match and text.strip()
        else None
    )
    if length is None or not _SHORTEST <= length <= _LONGEST:
        output.usage(f"--for {text}: not a time between a minute and a day", remedy="write 45m, 2h or 1h30m")
    return length


def _fits(what: str, text: str) -> str:
    """A value of a tag: 256 characters at most, one line."""
    from aks_entra.core.opening import LONGEST  # noqa: PLC0415 - startup is quick without it

    if len(text) > LONGEST or not text.isprintable():
        output.usage(f"{what} does not fit into a tag of Azure", remedy=f"one line of {LONGEST} characters at most")
    return text


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
