"""The sandbox: a world, its services and the proxy in front of them, in one event loop.

async with Sandbox(Path("world.yaml")) as sandbox:
    ... run anything with sandbox.environment ...
"""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from azure_sandbox.arm.service import Arm, ArmSettings
from azure_sandbox.build import Operator, build_arm, build_directory
from azure_sandbox.clock import DEFAULT_PACE, Clock
from azure_sandbox.cluster.service import ApiServers
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.discovery import HOST as ENTRA_HOST
from azure_sandbox.entra.service import DEVICE_HOSTS, Entra
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.faults import Faults
from azure_sandbox.graph.service import HOST as GRAPH_HOST
from azure_sandbox.graph.service import Graph
from azure_sandbox.pki import Authority
from azure_sandbox.proxy import Exchange, Proxy, Target, Unreachable
from azure_sandbox.world import builtin_world, load_world

ARM_HOST = "management.azure.com"
FRONTS = (ENTRA_HOST, ARM_HOST, GRAPH_HOST, *DEVICE_HOSTS)
HTTPS = 443
LOOPBACK = "127.0.0.1,localhost,::1"


class Sandbox:
    """A local Azure. Raises WorldError for a world that cannot be built.

    `pace`: seconds of Azure per real second. `port`: of the proxy, 0 for a free one. `replication`: real seconds until
    a read sees what was written to the directory. `observe` is told of each answered request. `authority`: a CA that
    outlives this sandbox, for processes that read their CA bundle once. `faults` scripts what goes wrong.
    """

    def __init__(
        self,
        world: Path | None = None,
        *,
        pace: float = DEFAULT_PACE,
        port: int = 0,
        replication: float = 0.0,
        clock: Clock | None = None,
        observe: Callable[[Exchange], None] | None = None,
        authority: Authority | None = None,
    ) -> None:
        described = builtin_world() if world is None else load_world(world)
        self.clock = clock or Clock(pace=pace)
        self.directory: Directory
        self.directory, names = build_directory(described, self.clock, replication=replication)
        self.tokens = Tokens(self.directory)
        self.arm = Arm(self.directory, self.tokens, self.clock, ArmSettings(durations=described.durations))
        self.operator: Operator = build_arm(described, self.arm, self.directory, names)
        self.entra = Entra(self.directory, self.tokens)
        self.graph = Graph(self.directory, self.tokens, throttle=described.graph_throttling)
        self.faults = Faults()
        self.proxy = Proxy(self, self.clock, port=port, observe=observe, faults=self.faults)
        self._authority = authority or Authority(self.clock.now())
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._handlers = {
            ENTRA_HOST: self.entra.handle,
            ARM_HOST: self.arm.router.dispatch,
            GRAPH_HOST: self.graph.handle,
            **dict.fromkeys(DEVICE_HOSTS, self.entra.handle),
        }
        self._front = self._authority.server_context(FRONTS)

    @property
    def clusters(self) -> ApiServers:
        """The clusters' API servers."""
        return self.arm.clusters

    @property
    def folder(self) -> Path:
        """Where the CA bundle lies, and clients keep their state; gone when the sandbox is."""
        if self._folder is None:
            raise RuntimeError("the sandbox is not running: enter it with `async with`")
        return Path(self._folder.name)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to live in here, and nothing of the machine's own Azure."""
        proxy, bundle, home = self.proxy.url, str(self.folder / "ca.pem"), self.folder
        return {
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), LOOPBACK),
            **dict.fromkeys(("ALL_PROXY", "all_proxy"), ""),
            **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), bundle),
            "SSL_CERT_DIR": "",
            "AZURE_TENANT_ID": self.operator.tenant_id,
            "AZURE_CLIENT_ID": self.operator.principal.app_id,
            "AZURE_CLIENT_SECRET": self.operator.secret,
            "AZURE_SUBSCRIPTION_ID": self.operator.subscription_id,
            "AZURE_CONFIG_DIR": str(home / "azure"),
            "KUBECONFIG": str(home / "kube" / "config"),
            "KUBECACHEDIR": str(home / "kube" / "cache"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_SURVEY_MESSAGE": "false",
            "DO_NOT_TRACK": "1",
        }

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="azure-sandbox-", ignore_cleanup_errors=True)
        try:
            (self.folder / "ca.pem").write_bytes(self._authority.pem)
            await self.proxy.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.proxy.stop()
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)
            self._folder = None

    def target(self, host: str, port: int) -> Target:
        """What answers for a host; raises Unreachable."""
        if port == HTTPS and host in self._handlers:
            return Target(context=self._front, handle=self._handlers[host])
        if not host.endswith(".azmk8s.io"):
            known = ", ".join((*FRONTS, "*.azmk8s.io"))
            raise Unreachable(403, f"{host}:{port} is not part of this Azure, which is {known} on port 443")
        server = self.clusters.for_host(host)
        if server is None or port != HTTPS:
            raise Unreachable(502, f"no cluster of this world answers at {host}:{port}")
        if not server.reachable:
            raise Unreachable(502, f"the API server {host} does not answer (stopped, private, or being rotated)")
        return Target(context=server.ssl_context(), handle=server.handle, connections=server.connections)

    def greeting(self, path: str) -> str | None:
        """`GET /environment` asked of the proxy itself: the lines that a shell evaluates to get in."""
        return exports(self.environment) if path == "/environment" else None


def exports(environment: Mapping[str, str]) -> str:
    """Shell lines that set an environment."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
