"""A sandbox: a world, its services and the proxy in front of them, in one event loop.

async with Sandbox(Path("world.yaml")) as sandbox:
    ...  # run a client with sandbox.environment
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from azure_sandbox.arm.network.client_networks import INTERNET, no_answer
from azure_sandbox.arm.service import Arm, ArmSettings
from azure_sandbox.clock import DEFAULT_PACE, Clock
from azure_sandbox.cluster.real.binaries import NoControlPlane, find_binaries
from azure_sandbox.cluster.real.plant import Plant
from azure_sandbox.cluster.servers import ApiServers
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.discovery import HOST as ENTRA_HOST
from azure_sandbox.entra.service import DEVICE_HOSTS, Entra
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.faults.requests import Faults
from azure_sandbox.front.control import CONTROL_HOST, Control
from azure_sandbox.front.environment import network_variables, write_trust
from azure_sandbox.front.home import HomeFolder
from azure_sandbox.front.pki import Authority
from azure_sandbox.front.proxy import Proxy, Target, Unreachable
from azure_sandbox.front.traffic_report import Exchange, Report
from azure_sandbox.front.tunnel import Passage
from azure_sandbox.graph.service import HOST as GRAPH_HOST
from azure_sandbox.graph.service import Graph
from azure_sandbox.logs.feed import Feed
from azure_sandbox.logs.service import HOST as LOGS_HOST
from azure_sandbox.logs.service import LogAnalytics
from azure_sandbox.state.folder import Saved, save
from azure_sandbox.vaults.service import DOMAIN as VAULTS
from azure_sandbox.vaults.service import KeyVaults
from azure_sandbox.world.build import Operator, build_arm, build_directory, build_networks
from azure_sandbox.world.export import dump_world, export_world
from azure_sandbox.world.model import World, WorldError, builtin_world, load_world

ARM_HOST = "management.azure.com"
FRONTS = (ENTRA_HOST, ARM_HOST, GRAPH_HOST, LOGS_HOST, *DEVICE_HOSTS)
NAMES = (*FRONTS, CONTROL_HOST)
HTTPS = 443
READING = frozenset({"GET", "HEAD", "CONNECT"})
SAVE_EVERY = 0.5  # seconds


class Sandbox:
    """A local Azure.

    Args:
        world: A world file, a parsed world, or None for an operator and an empty subscription.
        pace: Seconds of Azure time per real second, or `real`, `fast`, `instant` or `by-hand`.
        seed: Draw durations of operations from recorded ones with this seed.
        throttle: Answer 429 when a token bucket is empty, even if the world does not ask for it.
        state: Folder that keeps the sandbox across restarts. `world` is only read on the first start.
        port: Port of the proxy. 0 picks a free one.
        replication: Real seconds until a read sees what was written to the directory.
        clock: The clock to use instead of one with `pace`.
        observe: Called with each answered request.
        authority: A CA that outlives this sandbox, for processes that read their CA bundle only once.

    Raises:
        WorldError: The world cannot be built, or the state folder cannot be read.
    """

    def __init__(  # noqa: PLR0913  # one argument per setting
        self,
        world: Path | World | None = None,
        *,
        pace: str | float = DEFAULT_PACE,
        seed: int | None = None,
        throttle: bool = False,
        state: Path | None = None,
        port: int = 0,
        replication: float = 0.0,
        clock: Clock | None = None,
        observe: Callable[[Exchange], None] | None = None,
        authority: Authority | None = None,
    ) -> None:
        self._state = state
        saved = Saved(state) if state is not None else None
        described = (saved and saved.world) or _described(world)
        self.clock = clock or Clock.at(pace)
        self.faults = Faults()
        self.report = Report()
        self.directory: Directory
        self.directory, names = build_directory(described, self.clock, replication=replication)
        self.tokens = Tokens(self.directory)
        settings = ArmSettings(
            durations=described.durations,
            seed=seed,
            throttling=throttle or described.throttling,
            real_control_planes=described.control_plane == "real",
        )
        self.arm = Arm(self.directory, self.tokens, self.clock, settings, self.faults.operations)
        self.faults.interfere = self.arm.interfere
        self.faults.expire = self.tokens.expired
        self._plant = _plant(self.clock) if described.wants_real_control_planes else None
        self.clusters.serve = None if self._plant is None else self._plant.serve
        self.operator: Operator = build_arm(described, self.arm, self.directory, names)
        self.networks = {INTERNET.name: INTERNET} | build_networks(described, self.arm)
        self.entra = Entra(self.directory, self.tokens)
        self.graph = Graph(self.directory, self.tokens, throttle=throttle or described.graph_throttling)
        self.logs = LogAnalytics(self.directory, self.tokens, self.arm.state)
        subscriptions = {it.name.lower(): key for key, it in self.arm.state.subscriptions.items()}
        self.vaults = KeyVaults(self.directory, self.tokens, self.arm.state, described.key_vaults, subscriptions)
        if self._plant is not None:
            self.logs.feed = Feed(self.arm.state.logs, self.clock, self._plant.audited)
        self._observers = (self.report.note, *(() if observe is None else (observe,)))
        self.proxy = Proxy(self, self.clock, port=port, observe=self._observe, faults=self.faults)
        self.authority = authority or (saved and saved.authority()) or Authority(self.clock.now())
        if saved is not None:
            saved.restore(self)
        self._folder: HomeFolder | None = None
        self._changed = asyncio.Event()
        self._saving: asyncio.Task[None] | None = None
        self._handlers = {
            ENTRA_HOST: self.entra.handle,
            ARM_HOST: self.arm.router.dispatch,
            GRAPH_HOST: self.graph.handle,
            LOGS_HOST: self.logs.router.dispatch,
            CONTROL_HOST: Control(self).router.dispatch,
            **dict.fromkeys(DEVICE_HOSTS, self.entra.handle),
            **dict.fromkeys(self.vaults.hosts, self.vaults.router.dispatch),
        }
        self._front = self.authority.server_context((*NAMES, *self.vaults.hosts))

    def _observe(self, exchange: Exchange) -> None:
        for observer in self._observers:
            observer(exchange)
        if exchange.method not in READING:
            self._changed.set()

    @property
    def pace(self) -> str:
        """Return the pace as it is typed: `by-hand` or a number."""
        return "by-hand" if self.clock.by_hand else f"{self.clock.pace:g}"

    def export(self) -> str:
        """Return the present world as YAML that starts another sandbox."""
        return dump_world(export_world(self))

    def ledger(self) -> dict[str, Any]:
        """Return the static credentials that were handed out, without secrets, and whether each is accepted now."""
        return self.arm.ledger.shown(self.arm.state, self.clock.now())

    @property
    def clusters(self) -> ApiServers:
        """Return the API servers of the clusters."""
        return self.arm.clusters

    @property
    def folder(self) -> Path:
        """Return the folder with the CA bundle and the files of clients. It is removed when the sandbox ends.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        if self._folder is None:
            raise RuntimeError("the sandbox is not running: enter it with `async with`")
        return self._folder.path

    @property
    def spare(self) -> frozenset[int]:
        """Return the process IDs of the sandbox's own processes, which must outlive the command that runs inside it."""
        watcher = None if self._folder is None else self._folder.watcher
        planes = frozenset() if self._plant is None else self._plant.pids
        return planes if watcher is None else planes | {watcher}

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that send a client to this sandbox and hide any other Azure sign-in."""
        return self.environment_in(INTERNET.name)

    def environment_in(self, network: str) -> dict[str, str]:
        """Return the environment of a client in a network of the world. Raises KeyError for an unknown network."""
        name = self.networks[network].name
        proxy = self.proxy.url.replace("//", f"//{name}:network@") if name else self.proxy.url
        home = self.folder
        credentials = {
            "TENANT_ID": self.operator.tenant_id,
            "CLIENT_ID": self.operator.principal.app_id,
            "CLIENT_SECRET": self.operator.secret,
            "SUBSCRIPTION_ID": self.operator.subscription_id,
        }
        return {
            **network_variables(proxy, home),
            **{f"AZURE_{name}": value for name, value in credentials.items()},
            **{f"ARM_{name}": value for name, value in credentials.items()},  # Terraform's azurerm and azuread
            "AZURE_CONFIG_DIR": str(home / "azure"),
            "KUBECONFIG": str(home / "kube" / "config"),
            "KUBECACHEDIR": str(home / "kube" / "cache"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_SURVEY_MESSAGE": "false",
            "DO_NOT_TRACK": "1",
        }

    async def __aenter__(self) -> Self:
        self._folder = HomeFolder(self._state)
        try:
            write_trust(self.authority, self.folder)
            await self.proxy.start()
            if self._plant is not None:
                await self._plant.start()
        except BaseException:
            await self.proxy.stop()
            self._folder.close()
            raise
        if self._state is not None:
            self._saving = asyncio.create_task(self._keep(self._state))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.proxy.stop()
        if self._plant is not None:
            await self._plant.stop()
        if self._saving is not None and self._state is not None:
            self._saving.cancel()
            save(self._state, self)
        if self._folder is not None:
            await asyncio.to_thread(self._folder.close)
            self._folder = None

    async def _keep(self, folder: Path) -> None:
        """Save shortly after each write, so that the state also survives a kill."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            save(folder, self)
            await asyncio.sleep(SAVE_EVERY)

    def target(self, host: str, port: int, network: str) -> Target | Passage:
        """Return what serves a host: a TLS target, or a passage to another server. Raises Unreachable."""
        place = self.networks.get(network)
        if place is None:
            raise Unreachable(403, f"this world has no network {network!r}; {known_networks(self.networks)}")
        if port == HTTPS and host in self._handlers:
            return Target(context=self._front, handle=self._handlers[host])
        if host.endswith(VAULTS):
            raise Unreachable(502, f"no key vault of this world is {host} (`keyVaults` of the world file)")
        if not host.endswith(".azmk8s.io"):
            self.report.refuse(f"{host}:{port}")
            known = ", ".join((*FRONTS, "*.azmk8s.io"))
            raise Unreachable(403, f"{host}:{port} is not part of this Azure, which is {known} on port 443")
        server = self.clusters.for_host(host)
        if server is None or port != HTTPS:
            raise Unreachable(502, f"no cluster of this world answers at {host}:{port}")
        if not server.reachable:
            raise Unreachable(502, f"the API server {host} does not answer (stopped, or being rotated)")
        if silent := no_answer(place, self.arm.state.clusters[server.blueprint.resource_id.lower()].properties):
            raise Unreachable(silent[0], f"the API server {host} does not answer: {silent[1]}")
        if server.front is not None:
            if server.front.port is None:
                why = server.front.failed or "its kube-apiserver is starting"
                raise Unreachable(502, f"the API server {host} does not answer ({why})")
            return Passage(port=server.front.port, connections=server.connections)
        return Target(context=server.ssl_context(), handle=server.handle, connections=server.connections)

    def greeting(self, path: str) -> str | None:
        """Return a shell's export lines if `GET /environment[/network]` is sent to the proxy itself, else None."""
        route, _, network = path.removeprefix("/").partition("/")
        return exports(self.environment_in(network)) if route == "environment" and network in self.networks else None


def _plant(clock: Clock) -> Plant:
    try:
        return Plant(find_binaries(os.environ), clock)
    except NoControlPlane as error:
        raise WorldError(str(error)) from error


def _described(world: Path | World | None) -> World:
    if world is None:
        return builtin_world()
    return load_world(world) if isinstance(world, Path) else world


def known_networks(networks: Iterable[str]) -> str:
    """Return which networks a world has, in words."""
    return f"its networks are: {', '.join(filter(None, networks)) or 'none'}"


def exports(environment: Mapping[str, str]) -> str:
    """Return the shell lines that export an environment."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
