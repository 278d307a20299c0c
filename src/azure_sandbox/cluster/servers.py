"""The API servers of a world, found by host name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from azure_sandbox.cluster.front import Front
from azure_sandbox.cluster.service import ApiServer


class ApiServers:
    """All of them, by fully qualified domain name."""

    def __init__(self) -> None:
        self._servers: dict[str, ApiServer] = {}
        self.serve: Callable[[ApiServer], Front] | None = None  # gives a cluster a real control plane

    def for_host(self, fqdn: str) -> ApiServer | None:
        """The API server of this host name (any case), or None."""
        return self._servers.get(fqdn.lower())

    def add(self, server: ApiServer) -> None:
        """Make a server known under its name; ValueError if it wants a real control plane where there is none."""
        if server.blueprint.real:
            if self.serve is None:
                raise ValueError(f"{server.fqdn}: there is no real control plane here")
            server.front = self.serve(server)
        self._servers[server.fqdn.lower()] = server

    def remove(self, server: ApiServer) -> None:
        """Forget a server; its connections break."""
        server.take_down(server.blueprint.created)
        if server.front is not None:
            server.front.retire()
        self._servers.pop(server.fqdn.lower(), None)

    def all(self) -> Iterable[ApiServer]:
        """Every server."""
        return tuple(self._servers.values())
