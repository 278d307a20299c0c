"""The one place that builds credentials, clients and settings, and takes them down again.

A task asks `current_session()` for what its flow opened. Azure's clients cost a second to import, so that nothing of
them is imported before a session is opened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from aks_entra.access_ports import AccessPorts, Machine, PersonSpec
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence import Baseline
from aks_entra.core.fleet import ProverSpec
from aks_entra.executor import Executor
from aks_entra.ports import Journal, Ports
from aks_entra.proofs import Limits
from aks_entra.settings import Settings
from aks_entra.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a process works with: the ports on the real services, and the engine on top of them."""

    ports: Ports
    access: AccessPorts
    machine: Machine
    watch: Watch
    executor: Executor
    limits: Limits
    settings: Settings


_current: ContextVar[Session] = ContextVar("aks_entra_session")


def current_session() -> Session:
    """The session that is open here. Raises `LookupError` outside of `open_session`."""
    return _current.get()


@asynccontextmanager
async def open_session(
    settings: Settings,
    *,
    prover: ProverSpec | None = None,
    journal: Journal | None = None,
    person: PersonSpec | None = None,
) -> AsyncIterator[Session]:
    """Open everything that reaches the world, and close it at the end. `person` signs in by themselves, for Graph.

    No credential is used yet: a missing or refused one is found by the first call that needs it. Without `journal` what
    it would keep ends with the process.
    """
    async with AsyncExitStack() as open_things:
        ports, access = await _ports(settings, (prover, person), journal or MemoryJournal(), open_things)
        watch = Watch(ports.arm, ports.clock, settings.poll_interval, limit=settings.operation_limit)
        limits = limits_of(settings)
        session = Session(
            ports=ports,
            access=access,
            machine=_machine(settings),
            watch=watch,
            executor=Executor(ports, watch, limits),
            limits=limits,
            settings=settings,
        )
        token = _current.set(session)
        try:
            yield session
        finally:
            _current.reset(token)


async def load_clients() -> None:
    """Import in a thread what is needed later: a batch's first proofs need not stand still for it, all at once."""
    from aks_entra.adapters import cluster  # noqa: PLC0415 - lazy: see the module's first paragraph

    await asyncio.to_thread(cluster.load)


def limits_of(settings: Settings) -> Limits:
    """The engine's patience as it was set."""
    return Limits(
        sign_in=settings.sign_in_limit,
        refusal=settings.refusal_limit,
        credential=settings.credential_limit,
        nodes_settle=settings.settle_limit,
        look=settings.verify_limit,
        step=settings.step_limit,
        every=settings.look_interval,
    )


class SystemClock:
    """The `Clock` port on this machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class MemoryJournal:
    """The `Journal` port for a run that nobody resumes: kept in memory."""

    def __init__(self) -> None:
        self._baselines: dict[tuple[str, str], Baseline] = {}

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """The stored baseline, if one was stored."""
        return self._baselines.get((digest, cluster.key))

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store it; a second one for the same cluster and digest replaces the first."""
        self._baselines[digest, baseline.cluster] = baseline


def _machine(settings: Settings) -> Machine:
    from aks_entra.adapters.machine import ThisMachine  # noqa: PLC0415 - lazy: see the module's first paragraph

    return ThisMachine(patience=settings.tool_limit)


async def _ports(
    settings: Settings,
    who: tuple[ProverSpec | None, PersonSpec | None],
    journal: Journal,
    open_things: AsyncExitStack,
) -> tuple[Ports, AccessPorts]:
    from aks_entra.adapters.arm import AzureControlPlane  # noqa: PLC0415 - lazy: see the module's first paragraph
    from aks_entra.adapters.arm.assignments import ClusterRoles  # noqa: PLC0415 - as above
    from aks_entra.adapters.arm.clients import Clients  # noqa: PLC0415 - as above
    from aks_entra.adapters.bindings import KubernetesRbac  # noqa: PLC0415 - as above
    from aks_entra.adapters.cluster import ApiServers  # noqa: PLC0415 - as above
    from aks_entra.adapters.conditional_access import GraphSignInPolicies  # noqa: PLC0415 - as above
    from aks_entra.adapters.credentials import Identities  # noqa: PLC0415 - as above
    from aks_entra.adapters.graph import MicrosoftGraph  # noqa: PLC0415 - as above
    from aks_entra.adapters.graph_client import Graph  # noqa: PLC0415 - as above
    from aks_entra.adapters.graph_wire import Wire  # noqa: PLC0415 - as above
    from aks_entra.adapters.group_pim import GraphGroupPim  # noqa: PLC0415 - as above
    from aks_entra.adapters.log_analytics import LogAnalytics  # noqa: PLC0415 - as above
    from aks_entra.adapters.network import Web  # noqa: PLC0415 - as above
    from aks_entra.adapters.people import DirectoryPeople  # noqa: PLC0415 - as above
    from aks_entra.adapters.surroundings import Machine  # noqa: PLC0415 - as above
    from aks_entra.adapters.vault import MemoryVault  # noqa: PLC0415 - as above

    logging.getLogger("azure").setLevel(logging.ERROR)  # what goes wrong there is raised, and then it is ours to say
    clock, vault = SystemClock(), MemoryVault()
    web = Web(connect=settings.connect_timeout, read=settings.request_timeout)
    open_things.push_async_callback(web.close)
    identities = Identities(web, *who)
    open_things.push_async_callback(identities.close)
    clients = Clients(identities, web, rate=settings.request_rate)
    open_things.push_async_callback(clients.close)
    graph = Graph(identities.runner_credential, timeout=settings.request_timeout)
    open_things.push_async_callback(graph.close)
    audit = LogAnalytics(clients, identities.runner_credential, web)
    open_things.push_async_callback(audit.close)
    arm = AzureControlPlane(clients, vault, clock)
    servers = ApiServers(identities, vault, arm, timeout=settings.api_server_timeout)
    wire = Wire(graph.client)
    policies = GraphSignInPolicies(wire)
    access = AccessPorts(
        people=DirectoryPeople(wire),
        roles=ClusterRoles(clients),
        bindings=KubernetesRbac(servers),
        pim=GraphGroupPim(wire),
        policies=policies,
    )
    ports = Ports(
        arm=arm,
        directory=MicrosoftGraph(graph.client, clock, reads=settings.group_reads, gap=settings.group_read_gap),
        kubernetes=servers,
        vault=vault,
        clock=clock,
        journal=journal,
        callers=identities,
        surroundings=Machine(),
        audit=audit,
        sign_in=policies,
    )
    return ports, access
