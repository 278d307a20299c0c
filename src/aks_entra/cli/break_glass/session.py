"""The work of `aks-entra break-glass`: open the cluster, hand out a kubeconfig, wait, prove sign-in, and close.

While the command waits, it reads the record and the tags: somebody else may extend the opening, or close it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from aks_entra.access.grants import cluster_named
from aks_entra.cli import output, overdue_schedules
from aks_entra.cli.break_glass import records
from aks_entra.cli.break_glass.approval import require_approval
from aks_entra.cli.break_glass.request import Request
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.plan_input import read_fleet, read_settings
from aks_entra.cli.shown import keep
from aks_entra.core import durations
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import LONGEST, Opening, OpeningRecord
from aks_entra.core.planning.prover import Prover
from aks_entra.core.steps import EnableLocalAccounts
from aks_entra.core.verdict.break_glass import judge_gone, report_of
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import AksEntraError, Refused
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.host.private_file import PrivateFile
from aks_entra.planning.reader import needed_actions
from aks_entra.probes.checks import stamp
from aks_entra.text.safe import for_file_name

if TYPE_CHECKING:
    from aks_entra.core.verdict.verdict import Verdict
    from aks_entra.wiring import Session

SWEEP: Final = "sweep-break-glass/sweep-break-glass"
_LOOK: Final = 60.0  # seconds between two reads of a cluster that is open
_LEASED: Final = 120.0  # seconds to wait for another process that is closing the cluster


async def open_or_close(request: Request) -> None:
    """Open, wait and close, or only close. Exits with 1 if the accounts stay open although they should be closed."""
    prover = read_fleet(request.fleet).prover if request.fleet else None
    async with wiring.open_session(read_settings(), prover=prover) as session:
        glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
        cluster = await _found(session, request)
        person = _Person(session=session, glass=glass, cluster=cluster, format_=request.format_)
        try:
            if request.lasting is None:
                await person.close()
            else:
                await person.keep_open(request)
        except asyncio.CancelledError:
            person.say_what_is_open()
            raise


@dataclass(slots=True, kw_only=True)
class _Person:
    """One person's opening of one cluster."""

    session: Session
    glass: BreakGlass
    cluster: ClusterId
    format_: output.Format
    kubeconfig: str | None = None
    local_accounts: bool | None = None  # None: could not be read
    recorded: bool = False  # the sweep knows the opening
    opening: Opening | None = None  # None: nothing was written
    opened: Verdict | None = None  # None: not known to be open
    closing: bool = False

    async def keep_open(self, request: Request) -> None:
        """Open the cluster for a limited time, and close it at the end unless the request says not to wait."""
        opening, verdict = await self.open(request)
        await overdue_schedules.warn(SWEEP, f"If this process dies, close it yourself: {self.close_command}")
        if not request.wait:
            output.say(f"  to close it: {self.close_command}{self.or_by_the_sweep}")
            self.tell(opening, verdict)
            return
        await self.close(await self.wait(opening))

    def say_what_is_open(self) -> None:
        """Say, when the command is interrupted, whether local accounts are open and what closes them."""
        if self.opening is None or self.local_accounts is False:
            return
        if self.closing:
            said = f"stopped while closing: local accounts of {self.cluster} may still be OPEN"
        elif self.opened is None:
            said = f"stopped while opening: local accounts of {self.cluster} may be OPEN until {self.opening.until}"
        else:
            said = f"stopped waiting: local accounts of {self.cluster} are OPEN until {self.opening.until}"
        output.say(
            said,
            f"  {self.what_happens_at_its_end}; to close them now: {self.close_command}",
            style="warning",
        )
        if self.opened is not None and not self.closing:
            self.tell(self.opening, self.opened)

    @property
    def close_command(self) -> str:
        """Return the command that closes it."""
        return f"aks-entra break-glass {self.cluster} --close"

    @property
    def or_by_the_sweep(self) -> str:
        """Say who else closes it. Without a record nobody does."""
        if self.recorded:
            return " (the sweep also closes it when its time is over)"
        return " (nothing else closes it, because the opening is not recorded)"

    @property
    def what_happens_at_its_end(self) -> str:
        """Say what happens at the opening's end after this process has ended."""
        if self.recorded:
            return "the scheduled sweep closes them then"
        return "NOTHING closes them then, because the opening is not recorded"

    async def open(self, request: Request) -> tuple[Opening, Verdict]:
        """Open local accounts, and write the kubeconfig to a file that is reserved before anything is opened.

        If the cluster is open already, only the end changes. A kubeconfig is then written only if a file was named.
        """
        before = await records.known(self.cluster)
        known = before.opening if before is not None else None
        standing = (await self.glass.current(self.cluster))[0] or known
        opening = await self._opening(request, standing)
        approved_by = await require_approval(self.session, self.cluster, request)
        await self._may_hand_out(handing=standing is None or request.file is not None)
        place: PrivateFile | None = None
        if standing is None or request.file is not None:
            place = PrivateFile.reserve(request.file or Path(f"{for_file_name(self.cluster.name)}.kubeconfig"))
        try:
            with output.progress(f"opening local accounts of {self.cluster}"):
                async with AsyncExitStack() as held:
                    await _lease(held, self.cluster)
                    self.recorded = await self._record(opening, approved_by, attended=request.wait)
                    self.opening = opening
                    verdict = await self.glass.open(self.cluster, opening, known)
            if verdict.outcome is Outcome.REFUSED:
                self.opening = None
                await records.take_back(self.cluster, before, self._now(), verdict.because[0])
                raise Refused(" · ".join(verdict.because), remedy=verdict.next, cluster=str(self.cluster))
            if verdict.outcome is not Outcome.FAILED:
                self.local_accounts, self.opened = True, verdict
            await self._keep(opening, verdict)
            if verdict.outcome is Outcome.FAILED:
                self.local_accounts = await self._seen()
                self._alarm(opening, verdict)
            output.say(f"local accounts of {self.cluster} are OPEN until {opening.until}", style="warning")
            await self._hand_out(place, standing)
        finally:
            if place is not None:
                place.give_up()
        output.say("  when its time is over: sign-in is proven, the accounts are closed, and a rotation is owed")
        return opening, verdict

    async def wait(self, opening: Opening) -> Opening | None:
        """Wait until the opening's time is over. Returns the opening as it is then, or None if somebody else closed it.

        Our record on Prefect's server says when the time is over. Without a record the tags do. Anyone who extends the
        opening changes both. If the tags are gone while accounts are on, the opening continues.
        """
        clock, now = self.session.ports.clock, opening
        while not now.due(clock.now()):
            left = (datetime.fromisoformat(now.until) - clock.now()).total_seconds()
            await clock.sleep(min(max(left, 0.0), _LOOK))
            try:
                tagged, accounts_on = await self.glass.current(self.cluster)
            except AksEntraError as error:  # it is read again; until then the known end counts
                output.say(f"the cluster could not be read just now: {error.message}", style="warning")
                continue
            if tagged is None and not accounts_on:
                return None
            record = await records.known(self.cluster)
            standing = record.opening if record is not None else tagged or now
            if standing.until != now.until:
                output.say(f"local accounts of {self.cluster} are now OPEN until {standing.until}", style="warning")
            self.opening = now = standing
        return now

    async def close(self, waited_for: Opening | None = None) -> None:
        """Prove sign-in and close, unless somebody else (the sweep, `--close`) has closed the cluster.

        An opening that only our record or this process knows is closed too, because its tags may be gone.
        """
        who = await self.session.ports.callers.prover()
        record = await records.known(self.cluster)
        tagged, accounts_on = await self.glass.current(self.cluster)
        known = (record.opening if record else None) or tagged or waited_for
        self.opening, self.closing, self.recorded = known if accounts_on else None, True, record is not None
        with output.progress(f"proving sign-in to {self.cluster}, then closing"):
            async with AsyncExitStack() as held:
                await _lease(held, self.cluster, patience=_LEASED)
                verdict = await self.glass.close(
                    self.cluster, Prover(object_id=who.object_id), known if accounts_on else None
                )
        if verdict.outcome in {Outcome.NOT_VERIFIED, Outcome.REFUSED}:
            await records.end(self.cluster, self._now(), verdict.because[0])
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
                output.emit_lines(f"{self.cluster}: {line}")
        output.say(f"  → {verdict.next}")
        self.tell(known, verdict)

    def tell(self, opening: Opening, verdict: Verdict) -> None:
        """Print the command's one JSON document: the present state, and never the credential."""
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

    def _now(self) -> str:
        return durations.stamp(self.session.ports.clock.now())

    async def _record(self, opening: Opening, approved_by: str, *, attended: bool) -> bool:
        """Prepare the end of an opening before the write that opens. Returns whether the sweep can close it."""
        posture = await self.session.ports.arm.cluster(self.cluster)
        place, at = self.cluster.resource_id, self._now()
        record = OpeningRecord(cluster=place, opening=opening, uid=posture.uid, at=at, approved_by=approved_by)
        return await records.announce(record, attended=attended, close_command=self.close_command)

    async def _seen(self) -> bool | None:
        try:
            return (await self.glass.current(self.cluster))[1]
        except AksEntraError:
            return None

    async def _opening(self, request: Request, standing: Opening | None) -> Opening:
        """Return the opening to write. A second `--duration` moves the end; the beginning stays."""
        who, now = await self.session.ports.callers.runner(), self.session.ports.clock.now()
        return Opening(
            until=durations.stamp(now + (request.lasting or timedelta())),
            since=(standing.since if standing else "") or durations.stamp(now),
            reason=request.reason,
            ticket=request.ticket,
            opener=fits("the name of the signed-in identity", who.name or who.object_id),
        )

    async def _may_hand_out(self, *, handing: bool) -> None:
        """Raise Refused, before anything is opened, if a right is known to be missing."""
        wanted = [
            one
            for one in needed_actions((EnableLocalAccounts(),))
            if handing or not one.endswith("listClusterAdminCredential/action")
        ]
        try:
            missing = await self.session.ports.arm.missing_permissions(self.cluster, tuple(wanted))
        except AksEntraError:
            return  # the right may be there: Azure itself decides
        if missing:
            raise Refused(
                f"this identity lacks {', '.join(missing)}: nothing was opened",
                remedy="ask someone with this right to open it, or assign a role that has it",
                cluster=str(self.cluster),
            )

    async def _hand_out(self, place: PrivateFile | None, standing: Opening | None) -> None:
        """Write the kubeconfig to its file. If that fails, say that the cluster is open nevertheless."""
        if place is None:
            since = standing.since if standing else ""
            output.say(
                f"  already open since {since}: the kubeconfig from then still works; --file FILE writes another one"
            )
            return
        with self._say_that_it_is_open():
            await self.glass.hand_out(self.cluster, place)
        self.kubeconfig = str(place.path.resolve())
        said = f"kubeconfig in {self.kubeconfig} (0600)"
        if self.format_ is output.Format.TABLE:
            output.emit_lines(said)
        else:
            output.say(said)

    @contextmanager
    def _say_that_it_is_open(self) -> Iterator[None]:
        try:
            yield
        except AksEntraError:
            output.say(
                "local accounts are open, but no kubeconfig was written",
                f"  to close them: {self.close_command}{self.or_by_the_sweep}",
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
        """Store the report of an opening in the folder for evidence, and on Prefect's server if one is named."""
        report = report_of(self.cluster, opening, verdict, ended_at=stamp(self.session.ports.clock))
        keep(report, self.session.settings.evidence_dir)
        if os.environ.get("PREFECT_API_URL"):
            try:
                await prefect_client.store_report(report)
            except Exception as error:  # noqa: BLE001 - the file holds the evidence; break-glass must work without Prefect
                output.say(f"the report was not stored on Prefect's server: {type(error).__name__}", style="warning")


async def _lease(held: AsyncExitStack, cluster: ClusterId, *, patience: float = 0) -> None:
    """Take the cluster's lease, if Prefect's server answers. Without it, only a changed cluster is noticed."""
    if not os.environ.get("PREFECT_API_URL"):
        return
    try:
        await held.enter_async_context(prefect_client.hold_lease(cluster, patience=patience))
    except AksEntraError:
        raise
    except Exception as error:  # noqa: BLE001 - break-glass must work without Prefect
        output.say(
            f"Prefect's server does not answer ({type(error).__name__}): there is no lease on the cluster",
            style="warning",
        )


async def _found(session: Session, request: Request) -> ClusterId:
    """Return the cluster that was named. Raises Refused if no cluster, or several, have this name."""
    name, arm = request.cluster, session.ports.arm
    if "/" in name:
        found = await cluster_named(arm, name, request.subscription or "")
        return found if name.startswith("/") else (await arm.cluster(found)).cluster
    if not request.subscription:
        raise Refused("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    subscription = await arm.subscription_id(request.subscription)
    hits = [
        one.cluster async for one in arm.list_clusters(subscription) if one.cluster.name.casefold() == name.casefold()
    ]
    if len(hits) == 1:
        return hits[0]
    what = f"{len(hits)} clusters are" if hits else "no cluster is"
    raise Refused(f"{what} called {name} in this subscription", remedy="write RESOURCE-GROUP/NAME")


def fits(what: str, text: str) -> str:
    """Return a text if it fits into a tag: one line of at most 256 characters. If not, exit with an error."""
    if len(text) > LONGEST or not text.isprintable():
        output.usage(
            f"{what} does not fit into a tag of Azure", remedy=f"write one line of at most {LONGEST} characters"
        )
    return text
