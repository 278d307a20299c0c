"""Builds every port on the real services.

A command that only lists clusters needs tokens and ARM. All other adapters are imported and built on first use, because
the clients of Graph and Kubernetes take half a second to import.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.control_plane import AzureControlPlane
from aks_entra.adapters.first_use import on_first_use
from aks_entra.adapters.http.network import Web
from aks_entra.adapters.http.pacing import Buckets
from aks_entra.adapters.identity.credentials import Identities
from aks_entra.adapters.vault import MemoryVault
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.ports.migration import Clock, Journal, Ports
from aks_entra.settings import Settings

if TYPE_CHECKING:
    from aks_entra.adapters.arm.deny_policies import ArmDenyPolicies
    from aks_entra.adapters.arm.doors import ArmDoors
    from aks_entra.adapters.arm.role_assignments import ClusterRoles
    from aks_entra.adapters.graph.client import GraphClient
    from aks_entra.adapters.graph.conditional_access import GraphConditionalAccess
    from aks_entra.adapters.graph.directory import MicrosoftGraph
    from aks_entra.adapters.host.this_host import ThisHost
    from aks_entra.adapters.identity.approvals import EntraApprovals
    from aks_entra.adapters.kubernetes.api_server import ApiServers
    from aks_entra.adapters.kubernetes.hubs import HubSecrets
    from aks_entra.adapters.kubernetes.rbac import KubernetesRbac
    from aks_entra.adapters.log_analytics import LogAnalytics
    from aks_entra.adapters.rights import Rights
    from aks_entra.ports.access import AccessPorts, PersonSpec

_USED_LATER: Final = (
    "aks_entra.adapters.graph.directory",
    "azure.mgmt.authorization.v2022_04_01.aio",
    "azure.mgmt.containerservice.aio",
    "azure.mgmt.resource.locks.aio",
    "ruamel.yaml",
)
"""What this package imports when it is first used."""


def load() -> None:
    """Import what a session that plans or migrates uses later, except the Kubernetes client.

    These imports take up to half a second. On an event loop, nothing else would run during that time.
    """
    for name in _USED_LATER:
        import_module(name)


@asynccontextmanager
async def open_services(
    settings: Settings,
    clock: Clock,
    journal: Journal,
    *,
    prover: ProverSpec | None,
    person: PersonSpec | None,
    buckets: Buckets | None = None,
) -> AsyncIterator[tuple[Ports, AccessPorts]]:
    """Make the ports. At the end, close the clients that were used. `buckets`: the process's own, if it has some."""
    logging.getLogger("azure").setLevel(logging.ERROR)  # it also raises its errors, and we report those
    async with AsyncExitStack() as to_close:
        web = Web(connect=settings.connect_timeout, read=settings.request_timeout)
        to_close.push_async_callback(web.close)
        identities = Identities(web, prover, person, egress=settings.egress_address)
        to_close.push_async_callback(identities.close)
        clients = Clients(identities, web, buckets or Buckets(settings.request_rate))
        to_close.push_async_callback(clients.close)
        adapters = _Adapters(settings, clock, web, identities, clients, to_close)
        ports = Ports(
            arm=adapters.arm,
            directory=on_first_use(lambda: adapters.directory),
            kubernetes=on_first_use(lambda: adapters.servers),
            vault=adapters.vault,
            clock=clock,
            journal=journal,
            callers=identities,
            host=on_first_use(lambda: adapters.host),
            deny_policies=on_first_use(lambda: adapters.deny_policies),
            audit=on_first_use(lambda: adapters.audit),
            conditional_access=on_first_use(lambda: adapters.policies),
            rights=on_first_use(lambda: adapters.rights),
            doors=on_first_use(lambda: adapters.doors),
            approvals=on_first_use(lambda: adapters.approvals),
            hubs=on_first_use(lambda: adapters.hubs),
        )
        yield ports, on_first_use(lambda: adapters.access)


class _Adapters:
    """The adapters of one session. Each is built on first use, and closed at the end of the session."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        web: Web,
        identities: Identities,
        clients: Clients,
        to_close: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._web = web
        self._identities = identities
        self._clients = clients
        self._to_close = to_close
        self.vault = MemoryVault(clock.now)
        self.arm = AzureControlPlane(clients, self.vault, clock, log_delay=settings.activity_log_delay)

    @cached_property
    def graph(self) -> GraphClient:
        from aks_entra.adapters.graph.client import GraphClient

        client = GraphClient(self._identities.runner_credential, timeout=self._settings.request_timeout)
        self._to_close.push_async_callback(client.close)
        return client

    @cached_property
    def directory(self) -> MicrosoftGraph:
        from aks_entra.adapters.graph.directory import MicrosoftGraph

        settings = self._settings
        return MicrosoftGraph(self.graph, self._clock, reads=settings.group_reads, gap=settings.group_read_gap)

    @cached_property
    def policies(self) -> GraphConditionalAccess:
        from aks_entra.adapters.graph.conditional_access import GraphConditionalAccess

        return GraphConditionalAccess(self.graph)

    @cached_property
    def servers(self) -> ApiServers:
        from aks_entra.adapters.kubernetes.api_server import ApiServers

        return ApiServers(self._identities, self.vault, self.arm, timeout=self._settings.api_server_timeout)

    @cached_property
    def doors(self) -> ArmDoors:
        from aks_entra.adapters.arm.doors import ArmDoors

        return ArmDoors(self._clients)

    @cached_property
    def deny_policies(self) -> ArmDenyPolicies:
        from aks_entra.adapters.arm.deny_policies import ArmDenyPolicies

        return ArmDenyPolicies(self._clients)

    @cached_property
    def approvals(self) -> EntraApprovals:
        from aks_entra.adapters.identity.approvals import EntraApprovals
        from aks_entra.adapters.identity.entra_keys import KeysInFile, PublishedKeys

        file = self._settings.entra_keys
        keys = KeysInFile(Path(file)) if file else PublishedKeys(self._web, self._clock.now)
        return EntraApprovals(keys, on_first_use(lambda: self.directory))

    @cached_property
    def hubs(self) -> HubSecrets:
        from aks_entra.adapters.kubernetes.hubs import HubSecrets

        return HubSecrets(self.servers)

    @cached_property
    def audit(self) -> LogAnalytics:
        from aks_entra.adapters.log_analytics import LogAnalytics

        log = LogAnalytics(self._clients, self._identities.runner_credential, self._web)
        self._to_close.push_async_callback(log.close)
        return log

    @cached_property
    def host(self) -> ThisHost:
        from aks_entra.adapters.host.this_host import ThisHost

        return ThisHost(patience=self._settings.tool_limit)

    @cached_property
    def roles(self) -> ClusterRoles:
        from aks_entra.adapters.arm.role_assignments import ClusterRoles

        return ClusterRoles(self._clients)

    @cached_property
    def bindings(self) -> KubernetesRbac:
        from aks_entra.adapters.kubernetes.rbac import KubernetesRbac

        return KubernetesRbac(self.servers)

    @cached_property
    def rights(self) -> Rights:
        from aks_entra.adapters.arm.fleets import Fleets
        from aks_entra.adapters.rights import Rights

        return Rights(self.roles, Fleets(self._clients), self.bindings, self.servers)

    @cached_property
    def access(self) -> AccessPorts:
        from aks_entra.adapters.graph.pim import GraphGroupPim
        from aks_entra.adapters.graph.sign_in_application import GraphSignInApplications
        from aks_entra.ports.access import AccessPorts

        return AccessPorts(
            roles=self.roles,
            bindings=self.bindings,
            pim=GraphGroupPim(self.graph),
            policies=self.policies,
            applications=GraphSignInApplications(self.graph),
        )
