"""What `aks-entra break-glass` does once it knows what was typed: open, hand out, wait, close; and what it says of it.

While it waits it looks at the tags: the opening may have got another end, or been closed, by somebody else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from aks_entra.cli import output
from aks_entra.cli.planning import read_fleet, read_settings
from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from aks_entra.break_glass import BreakGlass
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.opening import Opening
    from aks_entra.core.verdict import Verdict
    from aks_entra.one_place import OnePlace
    from aks_entra.wiring import Session

_LOOK: Final = 60.0  # seconds between two looks at the tags of a cluster that is open
_CLAIMED: Final = 120.0  # seconds until whoever else is closing it lets go of it


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
    format_: output.Format = output.Format.TABLE


async def at_the_glass(request: Request) -> None:
    """Open, wait and close; or only close. Leaves with exit code 1 where accounts stay open against the plan."""
    from aks_entra.break_glass import BreakGlass  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    prover = read_fleet(request.fleet).prover if request.fleet else None
    async with open_session(read_settings(), prover=prover) as session:
        glass = BreakGlass(session.ports, session.watch, session.executor, session.limits)
        cluster = await _found(session, request)
        person = _Person(session=session, glass=glass, cluster=cluster, format_=request.format_)
        if request.lasting is None:
            await person.close()
            return
        opening, verdict = await person.open(request)
        if not request.wait:
            output.say(f"  close it: aks-entra break-glass {cluster} --close (or the sweep does, when it is due)")
            person.tell(opening, verdict)
            return
        try:
            standing = await person.wait(opening)
        except asyncio.CancelledError:
            output.say(
                f"stopped waiting: local accounts of {cluster} are OPEN until {opening.until}\n"
                f"  the scheduled sweep closes them then; now: aks-entra break-glass {cluster} --close",
                style="warning",
            )
            person.tell(opening, verdict)
            raise
        await person.close(standing)


@dataclass(slots=True, kw_only=True)
class _Person:
    """One person's opening of one cluster."""

    session: Session
    glass: BreakGlass
    cluster: ClusterId
    format_: output.Format
    kubeconfig: str | None = None
    local_accounts: bool | None = None  # None: could not be read

    async def open(self, request: Request) -> tuple[Opening, Verdict]:
        """The place is reserved first: where nothing can be handed out, nothing is opened.

        One that is open already gets another end, and hands nothing out again unless a place is named.
        """
        from aks_entra.core.verdict import Outcome  # noqa: PLC0415 - startup is quick without it
        from aks_entra.one_place import OnePlace  # noqa: PLC0415 - as above

        standing, _ = await self.glass.standing(self.cluster)
        opening = await self._opening(request, standing)
        await self._may_hand_out(handing=standing is None or request.out is not None)
        place: OnePlace | None = None
        if standing is None or request.out is not None:
            place = OnePlace.reserve(request.out or Path(f"{self.cluster.name}.kubeconfig"))
        try:
            with output.progress(f"opening local accounts of {self.cluster}"):
                async with AsyncExitStack() as held:
                    await _claim(held, self.cluster)
                    verdict = await self.glass.open(self.cluster, opening)
            if verdict.outcome is Outcome.REFUSED:
                raise Refused(verdict.because[0], remedy=verdict.next, cluster=str(self.cluster))
            await self._keep(opening, verdict)
            self.local_accounts = True if verdict.outcome is not Outcome.FAILED else await self._seen()
            if verdict.outcome is Outcome.FAILED:
                self._alarm(opening, verdict)
            output.say(f"local accounts of {self.cluster} are OPEN until {opening.until}", style="warning")
            await self._hand_out(place, standing)
        finally:
            if place is not None:
                place.give_up()
        output.say("  at its end: sign-in is proven, accounts close, rotation is owed (its own approval)")
        return opening, verdict

    async def wait(self, opening: Opening) -> Opening | None:
        """Until the opening's time is over. The opening as it stands then; None: it is gone from the tags."""
        clock, now = self.session.ports.clock, opening
        while not now.due(clock.now()):
            left = (datetime.fromisoformat(now.until) - clock.now()).total_seconds()
            await clock.sleep(min(max(left, 0.0), _LOOK))
            try:
                standing, _ = await self.glass.standing(self.cluster)
            except AksEntraError as error:  # it is read again; the time runs on by the end that is known
                output.say(f"the cluster could not be read just now: {error.message}", style="warning")
                continue
            if standing is None:
                return None
            if standing.until != now.until:
                output.say(f"local accounts of {self.cluster} are OPEN until {standing.until} now", style="warning")
            now = standing
        return now

    async def close(self, waited_for: Opening | None = None) -> None:
        """Prove and close. Somebody else (the sweep, `--close`) may have done it meanwhile."""
        from aks_entra.core.opening_verdict import judge_gone  # noqa: PLC0415 - startup is quick without it
        from aks_entra.core.plan import Prover  # noqa: PLC0415 - as above
        from aks_entra.core.verdict import Outcome  # noqa: PLC0415 - as above

        who = await self.session.ports.callers.prover()
        standing, _ = await self.glass.standing(self.cluster)
        with output.progress(f"proving sign-in to {self.cluster}, then closing"):
            async with AsyncExitStack() as held:
                await _claim(held, self.cluster, patience=_CLAIMED)
                verdict = await self.glass.close(self.cluster, Prover(object_id=who.object_id))
        known = standing or waited_for
        if known is None:
            raise Refused(verdict.because[0], remedy=verdict.next, cluster=str(self.cluster))
        self.local_accounts = await self._seen()
        if verdict.outcome is Outcome.REFUSED:
            verdict = judge_gone(self.cluster, known, local_accounts=self.local_accounts is not False)
        else:
            await self._keep(known, verdict)
        if verdict.outcome is Outcome.FAILED:
            self._alarm(known, verdict)
        if self.format_ is output.Format.TABLE:
            for line in verdict.because:
                output.emit_text(f"{self.cluster}: {line}")
        output.say(f"  → {verdict.next}")
        self.tell(known, verdict)

    def tell(self, opening: Opening, verdict: Verdict) -> None:
        """The one document for programs, when the command leaves: how it stands. Never what was handed out."""
        if self.format_ is not output.Format.JSON:
            return
        output.emit_json(
            {
                "cluster": self.cluster.resource_id,
                "disableLocalAccounts": None if self.local_accounts is None else not self.local_accounts,
                "until": opening.until,
                "since": opening.since,
                "reason": opening.reason,
                "ticket": opening.ticket,
                "opener": opening.opener,
                "kubeconfig": self.kubeconfig,
                "outcome": str(verdict.outcome),
                "because": list(verdict.because),
                "next": verdict.next,
            }
        )

    async def _seen(self) -> bool | None:
        try:
            return (await self.glass.standing(self.cluster))[1]
        except AksEntraError:
            return None

    async def _opening(self, request: Request, standing: Opening | None) -> Opening:
        """What will stand on the cluster. One more `--for` moves the end; since when it is open stays true."""
        from aks_entra.core.opening import Opening  # noqa: PLC0415 - startup is quick without it

        who, now = await self.session.ports.callers.runner(), self.session.ports.clock.now()
        return Opening(
            until=_iso(now + (request.lasting or timedelta())),
            since=(standing.since if standing else "") or _iso(now),
            reason=request.reason,
            ticket=request.ticket,
            opener=fits("the name of who runs", who.name or who.object_id),
        )

    async def _may_hand_out(self, *, handing: bool) -> None:
        """Refuse before anything is opened where a right is known to be missing."""
        from aks_entra.core.steps import EnableLocalAccounts  # noqa: PLC0415 - startup is quick without it
        from aks_entra.survey import needed_actions  # noqa: PLC0415 - as above

        wanted = [
            one
            for one in needed_actions((EnableLocalAccounts(),))
            if handing or not one.endswith("listClusterAdminCredential/action")
        ]
        try:
            missing = await self.session.ports.arm.missing_permissions(self.cluster, tuple(wanted))
        except AksEntraError:
            return  # what cannot be read is not known to be missing; Azure itself will say
        if missing:
            raise Refused(
                f"this identity lacks {', '.join(missing)}: nothing was opened",
                remedy="let somebody open it who may, or assign a role that allows it",
                cluster=str(self.cluster),
            )

    async def _hand_out(self, place: OnePlace | None, standing: Opening | None) -> None:
        """The kubeconfig into its one place; where that fails it is said that the cluster is open all the same."""
        if place is None:
            since = standing.since if standing else ""
            output.say(f"  open since {since} already: what was handed out works on; --out FILE hands out another")
            return
        with self._open_all_the_same():
            await self.glass.hand_out(self.cluster, place)
        self.kubeconfig = str(place.path.resolve())
        said = f"kubeconfig in {self.kubeconfig} (0600)"
        if self.format_ is output.Format.TABLE:
            output.emit_text(said)
        else:
            output.say(said)

    @contextmanager
    def _open_all_the_same(self) -> Iterator[None]:
        try:
            yield
        except (AksEntraError, asyncio.CancelledError):
            output.say(
                "no kubeconfig was handed out, and local accounts are open all the same\n"
                f"  close them: aks-entra break-glass {self.cluster} --close (or the sweep does, when it is due)",
                style="warning",
            )
            raise

    def _alarm(self, opening: Opening, verdict: Verdict) -> None:
        for line in verdict.because:
            output.say(f"ALARM {self.cluster}: {line}", style="error")
        output.say(f"  → {verdict.next}", style="error")
        self.tell(opening, verdict)
        raise typer.Exit(output.ExitCode.FAILED)

    async def _keep(self, opening: Opening, verdict: Verdict) -> None:
        """The report of an opening: into the folder for evidence, and to Prefect's server where there is one."""
        from aks_entra.cli.rollback import keep  # noqa: PLC0415 - startup is quick without it
        from aks_entra.core.opening_verdict import report_of  # noqa: PLC0415 - as above
        from aks_entra.proofs import stamp  # noqa: PLC0415 - as above

        report = report_of(self.cluster, opening, verdict, ended_at=stamp(self.session.ports.clock))
        keep(report, self.session.settings.evidence_dir)
        if os.environ.get("PREFECT_API_URL"):
            from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

            try:
                await prefect_client.store_report(report)
            except Exception as error:  # noqa: BLE001 - the file holds the evidence; Prefect may be what is down today
                output.say(f"not stored at Prefect's server: {type(error).__name__}", style="warning")


async def _claim(held: AsyncExitStack, cluster: ClusterId, *, patience: float = 0) -> None:
    """One actor for one cluster, where Prefect's server can say so. Without it, only what moved is noticed."""
    if not os.environ.get("PREFECT_API_URL"):
        return
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    try:
        await held.enter_async_context(prefect_client.claim(cluster, patience=patience))
    except AksEntraError:
        raise
    except Exception as error:  # noqa: BLE001 - on this day Prefect may be down; that must not keep the way in shut
        output.say(
            f"Prefect's server does not answer ({type(error).__name__}): the cluster is not claimed", style="warning"
        )


async def _found(session: Session, request: Request) -> ClusterId:
    """The cluster that was named. Raises Refused when there is none, or several."""
    from aks_entra.core.cluster import ClusterId  # noqa: PLC0415 - startup is quick without it
    from aks_entra.granting import cluster_named  # noqa: PLC0415 - as above

    name, arm = request.cluster, session.ports.arm
    if name.startswith("/"):
        return await cluster_named(arm, name, "")
    if not request.subscription:
        raise Refused("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
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


def fits(what: str, text: str) -> str:
    """A value of a tag: 256 characters at most, one line."""
    from aks_entra.core.opening import LONGEST  # noqa: PLC0415 - startup is quick without it

    if len(text) > LONGEST or not text.isprintable():
        output.usage(f"{what} does not fit into a tag of Azure", remedy=f"one line of {LONGEST} characters at most")
    return text


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
