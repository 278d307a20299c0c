"""Random histories of plans, runs, approvals, forgeries and openings at two clusters, and the check of every write."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from aks_entra import prefect_client
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.planning.prover import Prover
from aks_entra.errors import Refused
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.prefect_client import names
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tests.flows.approved_writes import ApprovalLog, credential_reads_in, writes_in
from tests.flows.attacker import approvals_of, push, replay, start_batch_here
from tests.flows.disturbances import enable_local_accounts
from tests.flows.stages import CANARY, REST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.planning.plan import FleetPlan
    from tests.flows.conftest import PrefectStack, Until
    from tests.flows.lossy_server import LossyServer

GROUP = "random-a"
ACTIONS = (
    "plan",
    "start",
    "start",
    "approve",
    "approve",
    "by hand",
    "forge",
    "forge",
    "push",
    "reopen",
    "glass",
    "leave",
)
LOSSES = ("lose", "lose")
"""What happens too where the server has a store of records: its database is lost."""
HARMS = ("cut short", "cut short", "removed", "removed", "refusing", "refusing")
"""What happens to the store of records itself."""


@dataclass(slots=True, kw_only=True)
class History:
    """The events so far, and the runs and plans that the next event can use."""

    stack: PrefectStack
    until: Until
    chance: random.Random
    log: ApprovalLog = field(default_factory=ApprovalLog)
    events: list[str] = field(default_factory=list)
    plans: list[FleetPlan] = field(default_factory=list)
    live: list[UUID] = field(default_factory=list)
    ever: list[UUID] = field(default_factory=list)
    lossy: LossyServer | None = None
    opened: dict[str, Any] = field(default_factory=dict)
    losses: tuple[str, ...] = LOSSES
    group: str = GROUP
    actions: tuple[str, ...] = ACTIONS

    async def live_through(self, number: int) -> None:
        """Do a number of random events after a first plan and run."""
        possible = (*self.actions, *(self.losses if self.lossy else ()))
        await self.happen_in_turn(chain(("plan", "start"), (self.chance.choice(possible) for _ in range(number))))

    async def happen_in_turn(self, events: Iterable[str]) -> None:
        """Do these events. After each, wait until every run is at rest, and check every write."""
        first = len(self.stack.exchanges)
        for what in events:
            try:
                await (self.lose(self.lossy, what) if self.lossy and what in self.losses else self.happen(what))
            except Refused as refused:
                if not set(HARMS) & set(self.losses):
                    raise
                self.events[-1] += f": {refused.message}"  # it needs a record that has come to harm
            seen = self.stack.exchanges[first:]
            assert await self.log.unapproved(writes_in(seen, self.group)) == [], "\n".join(self.events)
            assert await self.log.unapproved(credential_reads_in(seen, self.group)) == [], "\n".join(self.events)
        for cluster in list(self.opened):
            await self.close(next(one for one in self.clusters if one.key == cluster))
        for run in self.live:
            await self.log.delete_run(run)

    @property
    def clusters(self) -> tuple[ClusterId, ...]:
        return tuple(one.cluster for one in self.plans[0].clusters)

    async def happen(self, what: str) -> None:
        self.events.append(what)
        match what:
            case "plan":
                gates = [{"gate_before": self.chance.choice((True, SHORT))}, {"gate_before": self.chance.choice(GATES)}]
                stages = [{**one, **gate} for one, gate in zip((CANARY, REST), gates, strict=True)]
                rotation = self.chance.choice(("at-once", "later"))
                self.plans.append(await self.stack.plan(self.group, *stages, rotation=rotation))
                self.events[-1] += f" {prefect_client.short(self.plans[-1].digest)} {gates} {rotation}"
            case "start":
                await self.start(self.chance.choice(self.plans))
            case "approve" if self.live:
                run = self.chance.choice(self.live)
                plan = await self.log.approve(run)
                self.events[-1] += f" {run} {prefect_client.short(plan.digest)}"
                await self.rest(run)
            case "by hand":
                plan, stage = self.chance.choice(self.plans), self.chance.choice(("canary", "rest"))
                self.events[-1] += f" {prefect_client.short(plan.digest)} {stage}"
                await start_batch_here(plan, stage)
            case "forge" if self.ever:
                await self.forge()
            case "reopen":
                cluster = self.chance.choice(self.clusters)
                self.events[-1] += f" {cluster}"
                with self.log.typing("az aks update", cluster.key):
                    await enable_local_accounts(cluster)
            case "glass":
                cluster = self.chance.choice(self.clusters)
                self.events[-1] += f" {cluster}"
                await (self.close(cluster) if cluster.key in self.opened else self.open(cluster))
            case "push" if self.live:
                run = self.chance.choice(self.live)
                self.events[-1] += f" {run}"
                await push(run)
                await self.rest(run)
            case "leave" if self.live:
                run = self.live.pop(self.chance.randrange(len(self.live)))
                self.events[-1] += f" {run}"
                await self.log.delete_run(run)

    async def lose(self, server: LossyServer, what: str) -> None:
        """Lose the server's database, and with it every run, or let the store of records come to harm."""
        self.events.append(what)
        if what == "refusing":
            with server.refusing():
                await self.happen("push")
        elif what in HARMS:
            self.events[-1] += f": {server.harm_record(self.chance, removes=what == 'removed')}"
        else:
            await self.log.lose_runs()
            await server.lose_database()
            self.live.clear()
            self.ever.clear()

    async def start(self, plan: FleetPlan, requester: str = "") -> None:
        self.events[-1] += f" {prefect_client.short(plan.digest)}"
        at = datetime.now(UTC)
        try:
            run = await prefect_client.start_migration(plan.digest, requester=requester)
        except Refused as refused:
            self.events[-1] += f": {refused.message}"
            return
        self.log.allow_ungated(run.id, plan, at)
        self.live.append(run.id)
        self.ever.append(run.id)
        await self.rest(run.id)

    async def rest(self, run: UUID) -> None:
        """Wait until a run asks for an approval or ends."""
        now = await self.until(run, lambda now: now.gate is not None or now.run.ended)
        self.events[-1] += f" → {now.run.state}: {now.run.message}"
        if now.run.ended:
            self.live.remove(run)

    async def forge(self) -> None:
        """Post copies of one run's artifacts for another run, plan, stage or time."""
        source, plan = self.chance.choice(self.ever), self.chance.choice(self.plans)
        target = self.chance.choice(self.live or self.ever)
        changes = {str(source): str(target)}
        for one in self.plans:
            changes[names.hexadecimal(one.digest)] = names.hexadecimal(plan.digest)
        if self.chance.random() < 0.5:
            changes |= {names.stage_key("canary"): names.stage_key("rest"), '"canary"': '"rest"'}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        at = self.chance.choice(("", now, "2099-01-01T00:00:00+00:00", "2025-01-01T00:00:00+00:00"))
        posted = await replay(await approvals_of(source), changes, run=target, at=at)
        self.events[-1] += (
            f" {posted} artifacts of {source} as if of {target}, {prefect_client.short(plan.digest)}, {at}"
        )

    async def open(self, cluster: ClusterId) -> None:
        now = datetime.now(UTC)
        until = (now + timedelta(hours=2)).isoformat(timespec="seconds")
        opening = Opening(until=until, since=now.isoformat(timespec="seconds"), reason="INC-7")
        async with open_session(Settings()) as session:
            glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
            with self.log.typing("aks-entra break-glass", cluster.key):
                await glass.open(cluster, opening)
            standing, _ = await glass.current(cluster)
        if standing is not None:
            self.opened[cluster.key] = self.log.open(cluster.key)
            self.opened[cluster.key].__enter__()

    async def close(self, cluster: ClusterId) -> None:
        self.opened.pop(cluster.key).__exit__(None, None, None)
        async with open_session(Settings()) as session:
            glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
            who = await session.ports.callers.prover()
            with self.log.typing("aks-entra break-glass --close", cluster.key):
                await glass.close(cluster, Prover(object_id=who.object_id))


SHORT: dict[str, Any] = {"approval": {"expires_after": "PT1S"}}
"""A gate whose approval expires before any process can begin the stage."""
GATES = (True, False, SHORT)


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a history that can be lived through again, not a secret
