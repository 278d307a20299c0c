"""The API servers of a world, by host name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from azure_sandbox.cluster.front import Front
from azure_sandbox.cluster.service import ApiServer


class ApiServers:
    """The API servers by fully qualified domain name."""

    def __init__(self) -> None:
        self._servers: dict[str, ApiServer] = {}
        self.serve: Callable[[ApiServer], Front] | None = None  # starts a real control plane; None: not available

    def for_host(self, fqdn: str) -> ApiServer | None:
        """Return the API server of a host name in any case. Returns None for an unknown name."""
        return self._servers.get(fqdn.lower())

    def add(self, server: ApiServer) -> None:
        """Add a server. Raises ValueError if it needs a real control plane and this sandbox has no binaries for one."""
        if server.blueprint.real:
            if self.serve is None:
                raise ValueError(f"{server.fqdn}: no real control plane is available")
            server.front = self.serve(server)
        self._servers[server.fqdn.lower()] = server

    def remove(self, server: ApiServer) -> None:
        """Remove a server and abort its connections."""
        server.take_down(server.blueprint.created)
        if server.front is not None:
            server.front.retire()
        self._servers.pop(server.fqdn.lower(), None)

    def all(self) -> Iterable[ApiServer]:
        """Return all servers."""
        return tuple(self._servers.values())
