"""The secrets of Argo CD and Flux in hubs of the world in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aks_entra.ports.hubs import ArgoCdSecret, FluxSecret, ListedSecret

if TYPE_CHECKING:
    from aks_entra.core.cluster import Posture


@dataclass(slots=True)
class WorldHubs:
    """Secrets of Argo CD by namespace and server (URL), of Flux by namespace, name and key.

    `asked` holds the name of each secret that a call named.
    """

    secrets: dict[tuple[str, str], tuple[ArgoCdSecret, ...]] = field(default_factory=dict)
    flux: dict[tuple[str, str, str], FluxSecret] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)  # the CA of each secret, by its name
    asked: list[str] = field(default_factory=list)

    async def argocd_secrets(self, hub: Posture, *, namespace: str) -> tuple[ListedSecret, ...]:
        assert hub.fqdn
        self.asked.append(str(hub.cluster))
        mine = {server: found for (home, server), found in self.secrets.items() if home == namespace}
        return tuple(ListedSecret(name=one.name, server=server) for server, found in mine.items() for one in found)

    async def update_argocd_secrets(
        self, hub: Posture, *, namespace: str, name: str, server: str, ca_data: str, rotated_at: str
    ) -> tuple[ArgoCdSecret, ...]:
        assert hub.fqdn
        assert rotated_at
        self.asked.append(name)
        found = self.secrets.get((namespace, server), ())
        changed = tuple(replace(one, changed=self.held.get(one.name) != ca_data) for one in found)
        self.held |= dict.fromkeys((one.name for one in found), ca_data)
        return changed

    async def flux_secret(self, hub: Posture, *, namespace: str, name: str, key: str) -> FluxSecret | None:
        assert hub.fqdn
        self.asked.append(name)
        return self.flux.get((namespace, name, key))

    async def update_flux_secret(
        self, hub: Posture, *, namespace: str, name: str, key: str, server: str, ca_data: str, rotated_at: str
    ) -> FluxSecret | None:
        assert rotated_at
        found = await self.flux_secret(hub, namespace=namespace, name=name, key=key)
        if found is None:
            return None
        assert found.server == server
        changed = self.held.get(name) != ca_data
        self.held[name] = ca_data
        return replace(found, changed=changed)
