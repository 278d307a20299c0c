"""The one place that opens a session and closes it: the ports on the real services, and the engine on top of them.

A task asks `current_session()` for what its flow opened. Azure's clients take a second to import. They are therefore
imported when a session is opened, in `adapters.assembly`. Flow runs import them earlier: `load_services`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aks_entra.adapters.first_use import on_first_use
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.lasting import lasting
from aks_entra.core.evidence.observations import Baseline, Evidence
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.execution.operations import Watch
from aks_entra.host import core_dumps
from aks_entra.ports.migration import Journal, NoLog, Ports, RunLog
from aks_entra.ports.read_only import only_looking
from aks_entra.probes.checks import Timeouts
from aks_entra.settings import Settings

if TYPE_CHECKING:
    from aks_entra.adapters.http.pacing import Buckets
    from aks_entra.core.evidence.rotation_debt import Record
    from aks_entra.execution.executor import Executor
    from aks_entra.ports.access import AccessPorts, PersonSpec
    from aks_entra.ports.signing import KeyName, SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a process works with: the ports on the real services, and the engine on top of them."""

    ports: Ports
    access: AccessPorts
    watch: Watch
    executor: Executor
    timeouts: Timeouts
    settings: Settings
    look_only: bool = False  # the ports and the executor refuse to write


NEW_OBJECTS: Final = 10_000
"""After so many new objects, a flow run looks for garbage among them."""

_current: ContextVar[Session] = ContextVar("aks_entra_session")


def current_session() -> Session:
    """Return the session that is open here.

    Raises:
        LookupError: Outside of `open_session`.
    """
    return _current.get()


@asynccontextmanager
async def open_session(
    settings: Settings,
    *,
    prover: ProverSpec | None = None,
    journal: Journal | None = None,
    log: RunLog | None = None,
    person: PersonSpec | None = None,
    look_only: bool = False,
    buckets: Buckets | None = None,
) -> AsyncIterator[Session]:
    """Open everything that reaches the world, and close it at the end.

    No credential is used yet. The first call that needs a credential finds a missing or refused one.

    Args:
        settings: What `AKS_ENTRA_*` says.
        prover: The identity that proves sign-in. None: the identity that runs this process.
        journal: Where baselines are kept. None: in memory, until the process ends.
        log: Where people read what happens. None: nowhere.
        person: A person who signs in for calls to Graph. None: the identity that runs this process.
        look_only: Whether the ports, and with them the executor, refuse to write.
        buckets: The parts of Azure's request buckets that this process may use. None: all of them.
    """
    from aks_entra.adapters.assembly import open_services  # noqa: PLC0415 - see the first paragraph

    core_dumps.forbid()  # from here on this process holds credentials
    services = open_services(
        settings, SystemClock(), journal or MemoryJournal(), prover=prover, person=person, buckets=buckets
    )
    async with services as (opened, access):
        writing = replace(opened, log=NoLog() if log is None else log)
        ports = only_looking(writing) if look_only else writing
        watch = Watch(ports.arm, ports.clock, settings.poll_interval, timeout=settings.operation_limit, log=ports.log)
        timeouts = timeouts_of(settings)
        session = Session(
            ports=ports,
            access=access,
            watch=watch,
            executor=on_first_use(lambda: _executor(ports, watch, timeouts)),
            timeouts=timeouts,
            settings=settings,
            look_only=look_only,
        )
        token = _current.set(session)
        try:
            yield session
        finally:
            _current.reset(token)


@asynccontextmanager
async def open_signing_key(settings: Settings, name: KeyName) -> AsyncIterator[SigningKey]:
    """Open a key in Azure Key Vault with the identity that runs, and close its connections at the end."""
    from aks_entra.adapters.key_vault import open_key  # noqa: PLC0415 - see the first paragraph

    async with open_key(settings, name) as key:
        yield key


def _executor(ports: Ports, watch: Watch, timeouts: Timeouts) -> Executor:
    from aks_entra.execution.executor import Executor  # noqa: PLC0415 - commands that only read do without it

    return Executor(ports, watch, timeouts)


def load_services() -> None:
    """Import what a session uses. Call it before an event loop runs, because nothing else runs during an import.

    No later collection of garbage looks at what was imported: that took a quarter of a second each time.
    """
    from aks_entra.adapters import assembly  # noqa: PLC0415 - commands that only list clusters import less

    assembly.load()
    _keep_imports()


def load_kubernetes() -> None:
    """Import the Kubernetes client, which takes most of a second. Call it before an event loop runs."""
    from aks_entra.adapters.kubernetes import api_server  # noqa: PLC0415 - as above

    api_server.load()
    _keep_imports()


def _keep_imports() -> None:
    """Let collections of garbage leave out everything that exists now, and look less often at what is new.

    By default, Python looks for cycles after 700 new objects. One page of ARM's list of clusters has thousands.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def timeouts_of(settings: Settings) -> Timeouts:
    """Return the engine's timeouts from the settings."""
    return Timeouts(
        sign_in=settings.sign_in_limit,
        refusal=settings.refusal_limit,
        credential=settings.credential_limit,
        nodes_settle=settings.settle_limit,
        policy=settings.policy_limit,
        look=settings.verify_limit,
        log=settings.activity_log_delay * 1.5,
        step=settings.step_limit,
        poll_interval=settings.look_interval,
    )


class SystemClock:
    """The `Clock` port on this machine's clock."""

    def now(self) -> datetime:
        """Return the current time, in UTC and with its time zone."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait this many seconds."""
        await asyncio.sleep(seconds)


class MemoryJournal:
    """The `Journal` port in memory, for a run that nobody resumes."""

    def __init__(self) -> None:
        self._baselines: dict[tuple[str, str], Baseline] = {}
        self._evidence: dict[tuple[str, str, str], tuple[Evidence, ...]] = {}

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """Return the stored baseline. None means that none was stored."""
        return self._baselines.get((digest, cluster.key))

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store a baseline. It replaces an earlier one of the same cluster and digest."""
        self._baselines[digest, baseline.cluster] = baseline

    async def evidence(self, digest: str, plan: ClusterPlan) -> tuple[Evidence, ...]:
        """Return what this process did to the cluster before, in the order of the plan's steps."""
        kinds = dict.fromkeys(step.kind for step in plan.steps)
        kept = (self._evidence.get((digest, plan.cluster.key, kind), ()) for kind in kinds)
        return tuple(one for seen in kept for one in lasting(seen))

    async def store_evidence(self, digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
        """Store the evidence of a step. It replaces earlier evidence of the same step."""
        self._evidence[digest, cluster.key, step] = evidence

    async def records(self, cluster: ClusterId) -> tuple[Record, ...]:  # noqa: ARG002 - it has no reports
        """Return nothing: no report is kept here."""
        return ()
