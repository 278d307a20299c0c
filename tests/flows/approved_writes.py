"""Checks that each write in Azure was approved, or that a person typed the command that made it.

It does not trust records of the program. The sandbox tells what was written, because it answered each request. The test
itself notes here what it approves, signs and types. Prefect's server only tells when a run ended, because an approval
ends with its run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.core.planning.rollout import as_gate
from aks_entra.core.steps import Step
from aks_entra.core.steps import writes as writes_something

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.rollout import Stage
    from azure_sandbox.front.proxy import Exchange

HOSTS: Final = ("management.azure.com", "graph.microsoft.com")
_LOOKS: Final = re.compile(
    r"/(checkmember(groups|objects)|getmember(groups|objects)|getbyids|\$batch|evaluate|checkaccess)$"
    r"|/providers/microsoft\.resourcegraph/resources$|/listcluster[a-z]+credential$|checkpolicyrestrictions$",
    re.IGNORECASE,
)
"""POSTs that change nothing. A POST that is not listed here counts as a write."""
_SECRET: Final = re.compile(r"/listcluster(admin|monitoringuser)credential$", re.IGNORECASE)
_ROTATES: Final = re.compile(r"/rotateclustercertificates$", re.IGNORECASE)
_CLUSTER: Final = re.compile(r"(/subscriptions/.*/managedclusters/[^/]+)", re.IGNORECASE)
_ENDING: Final = timedelta(seconds=10)
"""How long after its coordinator's end a batch may still finish a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A request that could change something, even if Azure refused it. `cluster` is a key, or empty for none."""

    at: datetime
    what: str
    cluster: str
    status: int

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S.%f} {self.what} → {self.status}"


def writes_in(exchanges: Iterable[Exchange], *groups: str) -> list[Write]:
    """Return every write to ARM and Graph. With resource groups, return only the writes in them."""
    return [
        _of(one)
        for one in exchanges
        if one.host in HOSTS
        and one.method not in {"GET", "HEAD", "OPTIONS", "CONNECT"}
        and not (one.method == "POST" and _LOOKS.search(one.path))
        and _within(one.path, groups)
    ]


def credential_reads_in(exchanges: Iterable[Exchange], *groups: str) -> list[Write]:
    """Return each read of an admin credential. It is not a write, but it needs an approval or a command too."""
    return [
        _of(one) for one in exchanges if one.status < 300 and _SECRET.search(one.path) and _within(one.path, groups)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedStage:
    """A person's approval of a stage of a plan, for one run, at one moment.

    `changed` and `rotated` are the keys of the clusters that the plan writes to and rotates in this stage.
    """

    run: UUID
    plan: str
    stage: str
    changed: frozenset[str]
    rotated: frozenset[str]
    at: datetime
    valid: timedelta

    def names(self, one: Write) -> bool:
        """Whether a step of the plan makes this write."""
        return one.cluster in (self.rotated if _ROTATES.search(one.what) else self.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedCommand:
    """A command that a person typed, and that may write to these clusters while it runs."""

    words: str
    clusters: frozenset[str]
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """The people who have to sign approvals, and how many of them. Who started a run does not sign for it."""

    people: frozenset[str]
    at_least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedByPerson:
    """A signature that a person of the test made: for a stage of a plan (its digest), in one run."""

    who: str
    run: UUID
    plan: str
    stage: str


@dataclass(slots=True, kw_only=True)
class ApprovalLog:
    """The approvals and commands of a test. While a break-glass opening is active, no approval covers its cluster.

    With `signers`, an approval counts only if enough of them signed it before. `requesters` says who started a run.
    """

    signers: Signers | None = None
    signed: list[SignedByPerson] = field(default_factory=list)
    requesters: dict[UUID, str] = field(default_factory=dict)
    stages: list[ApprovedStage] = field(default_factory=list)
    commands: list[TypedCommand] = field(default_factory=list)
    openings: list[TypedCommand] = field(default_factory=list)
    deleted: dict[UUID, datetime] = field(default_factory=dict)

    async def approve(self, run: UUID, *, reason: str = "as read", code: str = "") -> FleetPlan:
        """Approve the gate at which the run waits, and note it if it counts. Returns the plan that the gate shows.

        `code` is the approval code at a gate whose approvals are signed.
        """
        (gate,) = await prefect_client.gates(str(run))
        plan, at = await prefect_client.load_plan(gate.plan), datetime.now(UTC)
        stage = plan.stages[gate.stage]
        await prefect_client.decide(
            *(str(run), plan.digest),
            decision="approve",
            approver="dana@contoso.com",
            reason=reason,
            ticket="CHG-1",
            code=code,
        )
        limits = as_gate(stage.gate_before)
        if gate.moment == "before" and self.is_signed(run, plan.digest, stage.name):
            valid = timedelta(seconds=limits.expires_after if limits else 86_400)
            self.stages.append(_approved(run, plan, stage, at, valid))
        return plan

    def is_signed(self, run: UUID, plan: str, stage: str) -> bool:
        """Whether enough people signed the approval of a stage. Without `signers`, nobody has to."""
        if self.signers is None:
            return True
        people = {one.who for one in self.signed if (one.run, one.plan, one.stage) == (run, plan, stage)}
        return len(people & self.signers.people - {self.requesters.get(run, "")}) >= self.signers.at_least

    def allow_ungated(self, run: UUID, plan: FleetPlan, at: datetime) -> None:
        """Note that a run may write its stages without gates, because its worker's settings allow them.

        Where people have to sign, no run may.
        """
        if self.signers is not None:
            return
        self.stages += [_approved(run, plan, one, at, timedelta.max) for one in plan.stages if one.ungated]

    @contextmanager
    def typing(self, words: str, *clusters: str) -> Iterator[None]:
        """Note that a person types a command. It covers writes to these clusters (keys) until the end of the block."""
        since = datetime.now(UTC)
        try:
            yield
        finally:
            self.commands.append(
                TypedCommand(words=words, clusters=frozenset(clusters), since=since, until=datetime.now(UTC))
            )

    @contextmanager
    def open(self, cluster: str) -> Iterator[None]:
        """Note that a break-glass opening of a cluster is active, so earlier approvals do not cover it."""
        opening = TypedCommand(words="open", clusters=frozenset({cluster}), since=datetime.now(UTC))
        self.openings.append(opening)
        try:
            yield
        finally:
            self.openings[self.openings.index(opening)] = replace(opening, until=datetime.now(UTC))

    async def delete_run(self, run: UUID) -> None:
        """Delete a waiting run from the server, so that its approvals do not count any more."""
        async with get_client() as client:
            await client.delete_flow_run(run)
        self.deleted[run] = datetime.now(UTC)

    async def lose_runs(self) -> None:
        """Note the ends of all runs before the server's database is lost. A run that has not ended ends with it."""
        for run in {one.run for one in self.stages} - {*self.deleted}:
            self.deleted[run] = await _ended(run) or datetime.now(UTC)

    async def unapproved(self, writes: Sequence[Write]) -> list[str]:
        """Describe the writes that no approval and no command covers."""
        runs = {one.run for one in self.stages}
        ends = {run: self.deleted.get(run) or await _ended(run) for run in runs}
        return [str(one) for one in writes if not self._is_typed(one) and not self._is_approved(one, writes, ends)]

    def _is_typed(self, one: Write) -> bool:
        return any(_covers(command, one) for command in self.commands)

    def _is_approved(self, one: Write, writes: Sequence[Write], ends: dict[UUID, datetime | None]) -> bool:
        if any(_covers(opening, one) for opening in self.openings):
            return False
        for given in self.stages:
            end = ends[given.run]
            if not given.names(one) or one.at < given.at or (end and one.at > end + _ENDING):
                continue
            began = min(it.at for it in writes if given.names(it) and it.at >= given.at)
            if began - given.at < given.valid:
                return True
        return False


def _approved(run: UUID, plan: FleetPlan, stage: Stage, at: datetime, valid: timedelta) -> ApprovedStage:
    members = [plan.plan_for(one) for one in stage.members]
    return ApprovedStage(
        run=run,
        plan=plan.digest,
        stage=stage.name,
        changed=frozenset(one.cluster.key for one in members if any(map(_changes, one.steps))),
        rotated=frozenset(one.cluster.key for one in members if one.rotates),
        at=at,
        valid=valid,
    )


def _changes(step: Step) -> bool:
    return writes_something(step) and step.kind not in {"rotate-certificates", "ensure-admin-group"}


def _covers(command: TypedCommand, one: Write) -> bool:
    if one.cluster not in command.clusters or one.at < command.since:
        return False
    return command.until is None or one.at <= command.until


async def _ended(run: UUID) -> datetime | None:
    async with get_client() as client:
        found = await client.read_flow_run(run)
    if found.state is None or not found.state.is_final():
        return None
    return found.state.timestamp


def _of(one: Exchange) -> Write:
    cluster = _CLUSTER.search(one.path)
    return Write(
        at=one.at,
        what=f"{one.method} {one.path}",
        cluster=cluster[1].lower() if cluster else "",
        status=one.status,
    )


def _within(path: str, groups: tuple[str, ...]) -> bool:
    return not groups or any(f"/resourcegroups/{group.lower()}/" in path.lower() for group in groups)
